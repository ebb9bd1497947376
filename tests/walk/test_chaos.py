"""Does every bar end as exactly one record, and every decision as it should, whatever the network does?

Real ccxt, the whole process, real one-minute bars of a local exchange whose time is fast. A longer walk
by hand:

    CHAOS_BARS=2000 CHAOS_SEED=3 pytest -s tests/walk/test_chaos.py
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from plugin.clock import Clock
from plugin.sources import BarSource
from plugin.sources.ccxt_feed import CcxtFeed
from tests.support.chaos_walk import Walked, comparable, is_decided, replay_of, walk
from tests.support.minute_market import MINUTE, SERVED, MinuteMarket, minute_market

pytestmark = [pytest.mark.market, pytest.mark.slow]
N_BARS = int(os.environ.get("CHAOS_BARS", "200"))
SPEED = float(os.environ.get("CHAOS_SPEED", "60"))
"""Beyond about 90 a request that hangs, for real seconds, outlasts the bars that are held back."""
SEED = int(os.environ.get("CHAOS_SEED", "1"))
N_CALM_BARS = 6
CALM_SPEED = 10.0
"""Slow enough that no bar comes too late, on a busy machine either."""


@pytest.fixture(scope="module")
def minutes(market: Path, tmp_path_factory: pytest.TempPathFactory) -> MinuteMarket:
    return minute_market(market, tmp_path_factory.mktemp("minutes"))


def feed(url: str, symbols: Sequence[str], clock: Clock) -> BarSource:
    return CcxtFeed("binance", url, symbols, MINUTE, clock, overdue=lambda _symbol, _open_time_ms: None)


def check_each_bar_has_one_record(walked: Walked) -> None:
    for symbol in SERVED:
        opened_ms = [record.open_time_ms for record in walked.bars if record.symbol == symbol]
        first_ms, end_ms = min(opened_ms), max(opened_ms) + MINUTE.length_ms
        assert first_ms <= walked.from_ms
        assert end_ms >= walked.until_ms
        assert sorted(opened_ms) == list(range(first_ms, end_ms, MINUTE.length_ms))


def check_decisions_are_those_of_a_replay(
    walked: Walked, minutes: MinuteMarket, tmp_path: Path
) -> None:
    replayed = {
        (record.symbol, record.open_time_ms): record
        for record in replay_of(walked, minutes, tmp_path / "replayed")
    }
    for record in filter(is_decided, walked.bars):
        assert comparable(record) == comparable(replayed[record.symbol, record.open_time_ms])


def test_without_faults_every_bar_is_decided(minutes: MinuteMarket, tmp_path: Path) -> None:
    walked = walk(minutes, tmp_path / "shadow", feed, n_bars=N_CALM_BARS, speed=CALM_SPEED, seed=None)
    print(json.dumps(walked.figures()))
    check_each_bar_has_one_record(walked)
    closed_meanwhile = [record for record in walked.bars if record.open_time_ms >= walked.from_ms]
    assert all(map(is_decided, closed_meanwhile))
    check_decisions_are_those_of_a_replay(walked, minutes, tmp_path)
    assert not walked.complaints


def test_whatever_the_network_does(minutes: MinuteMarket, tmp_path: Path) -> None:
    walked = walk(minutes, tmp_path / "shadow", feed, n_bars=N_BARS, speed=SPEED, seed=SEED)
    print(json.dumps(walked.figures()))
    check_each_bar_has_one_record(walked)
    check_decisions_are_those_of_a_replay(walked, minutes, tmp_path)
    assert walked.n_decided > len(walked.bars) / 3
    assert not walked.complaints
