"""Does the real freqtrade engine, in a backtest, do with recorded decisions what was promised?"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest
from msgspec.structs import replace

from plugin.bar import Timeframe
from plugin.candle_store import CandleStore
from plugin.clock import utc_text
from plugin.command_line import utc_ms
from shadow.record import BarRecord, encode_line
from tests.support.fast_clock import FastClock
from tests.support.freqtrade_bot import (
    ROOT,
    Trade,
    backtest,
    write_candles,
    write_config,
    write_strategies,
)
from tests.support.host_environment import host_python
from tests.support.hourly_training import HOUR_MS, LEARNT_UNTIL, VENUE, train_hourly
from tests.support.live import read_records
from tests.support.live_exchange import LiveExchange
from tests.support.replays import replay

pytestmark = [pytest.mark.market, pytest.mark.slow]

PAIR = "BTC/USDT"
SINCE, UNTIL = utc_ms("2024-11-28"), utc_ms("2024-12-12")
STRATEGIES = [
    *("Steady", "WithoutRecords", "InShadow", "AsIfLive", "InSample"),
    *("Live", "LiveWhereAgreed", "LiveSized", "LiveStopped"),
    *("OwnRules", "OwnRulesLive", "Hostile", "Mine", "MineBesideShadowgate"),
]


@dataclass(frozen=True)
class Backtested:
    """`trades` by strategy and time of entry; `said` and `live` by the open time of the bar.

    `said` are the records of the replay, `live` the same with decisions that may be followed.
    """

    folder: Path
    bundle_id: str
    trades: dict[str, dict[int, Trade]]
    said: dict[int, BarRecord]
    live: dict[int, BarRecord]
    log: str


@pytest.fixture(scope="module")
def backtested(market: Path, tmp_path_factory: pytest.TempPathFactory) -> Backtested:
    host_python("freqtrade")
    folder = tmp_path_factory.mktemp("freqtrade")
    training = train_hourly(market, folder / "models", (PAIR,))
    ended = replay(
        training,
        folder / "shadow",
        *("--venue", VENUE, "--since", utc_text(SINCE), "--until", utc_text(UNTIL), "--json"),
        flags={"ML_SYMBOLS": PAIR},
    )
    assert ended.returncode == 0, ended.stderr
    said = read_records(folder / "shadow")
    live = write_records(folder / "live", [as_live(record) for record in said])

    candles = CandleStore(market).read(VENUE, "1h", PAIR).between(SINCE - 30 * HOUR_MS, UNTIL)
    write_candles(folder, candles)
    write_strategies(folder, Path(__file__).with_name("freqtrade_strategies.py"))
    (folder / "strategies" / "of_the_page.py").write_text(of_the_page())
    with LiveExchange({PAIR: candles}, FastClock(UNTIL, 1), Timeframe.parse("1h")) as exchange:
        config = write_config(folder, exchange.url, "Steady", [PAIR])
        trades, log = backtest(config, folder, STRATEGIES, SINCE, UNTIL)
    return Backtested(
        folder=folder,
        bundle_id=training.outcome.bundle.name,
        trades={name: {one["open_timestamp"]: one for one in found} for name, found in trades.items()},
        said={record.open_time_ms: record for record in said},
        live={record.open_time_ms: record for record in live},
        log=" ".join(log.split()),  # freqtrade breaks its lines
    )


def of_the_page() -> str:
    """The strategy that docs/hosts/freqtrade.md shows, as it stands there."""
    page = (ROOT / "docs" / "hosts" / "freqtrade.md").read_text()
    return page.split("```python\n")[1].split("```")[0]


def as_live(record: BarRecord) -> BarRecord:
    """The record as it were, had the gates allowed the bundle to steer and were it bold."""
    p = record.probabilities["5"]
    action = "flat" if p is None or abs(p - 0.5) < 0.01 else "long" if p > 0.5 else "short"
    size, stop = {"low": (1.0, 1.5), "mid": (1.0, 2.0)}.get(record.decision.regime, (0.5, 3.0))
    decision = replace(record.decision, action=action, size_multiplier=size, stop_atr=stop, reason="ok")
    return replace(record, mode="live", decision=decision)


def write_records(folder: Path, records: Iterable[BarRecord]) -> list[BarRecord]:
    records = list(records)
    folder.mkdir()
    (folder / "2024-12-31.jsonl").write_bytes(b"".join(encode_line(record) for record in records))
    return records


def judged(backtested: Backtested, entered_ms: int) -> BarRecord | None:
    """What may be followed at an entry: the word on the candle before, unless that was learnt from."""
    opened_ms = entered_ms - HOUR_MS
    return backtested.live[opened_ms] if opened_ms >= LEARNT_UNTIL else None


def entered(trades: dict[int, Trade]) -> dict[int, tuple[float, ...]]:
    """What tells trades apart, less what counts them."""
    names = (
        "open_rate",
        "stake_amount",
        "close_timestamp",
        "close_rate",
        "profit_abs",
        "stop_loss_abs",
    )
    return {at: tuple(one[name] for name in names) for at, one in trades.items()}


def test_the_plain_strategy_trades_every_second_candle(backtested):
    assert len(backtested.trades["Steady"]) > 150
    assert {record.decision.action for record in backtested.live.values()} == {"long", "short", "flat"}


@pytest.mark.parametrize("name", ["WithoutRecords", "InShadow", "Hostile"])
def test_the_mixin_changes_nothing(backtested, name):
    assert entered(backtested.trades[name]) == entered(backtested.trades["Steady"])


def test_the_strategy_of_the_page_trades(backtested):
    trades = backtested.trades
    assert len(trades["Mine"]) > 0
    assert entered(trades["MineBesideShadowgate"]) == entered(trades["Mine"])


def test_every_attribute_stands_on_the_page():
    page = (ROOT / "docs" / "hosts" / "freqtrade.md").read_text()
    source = (ROOT / "plugin" / "hosts" / "freqtrade.py").read_text()
    names = re.findall(r"^    (shadowgate_\w+): .*=", source, re.MULTILINE)
    assert len(names) == 10
    assert [name for name in names if f"`{name}`" not in page] == []


def test_a_broken_mixin_is_heard_of(backtested):
    assert "broken on purpose" in backtested.log


def test_the_dataframe_has_what_the_replay_recorded(backtested):
    with (backtested.folder / "InShadow.csv").open() as file:
        rows = {utc_ms(row["date"]): row for row in csv.DictReader(file)}
    assert rows.keys() >= {at for at in backtested.said if at >= LEARNT_UNTIL}
    for opened_ms, row in rows.items():
        record = backtested.said.get(opened_ms)
        if record is None:
            assert (row["shadowgate_action"], row["shadowgate_p_5"]) == ("", "")
            continue
        assert row["shadowgate_regime"] == record.decision.regime
        if opened_ms < LEARNT_UNTIL:
            assert (row["shadowgate_action"], row["shadowgate_reason"]) == ("abstain", "in_sample")
            assert row["shadowgate_p_5"] == ""
            continue
        assert row["shadowgate_action"] == record.decision.action
        assert row["shadowgate_reason"] == record.decision.reason
        assert float(row["shadowgate_stop_atr"]) == record.decision.stop_atr
        for horizon, p in record.probabilities.items():
            assert float(row[f"shadowgate_p_{horizon}"]) == p


@pytest.mark.parametrize(
    ("name", "refused"), [("Live", {"short"}), ("LiveWhereAgreed", {"short", "flat"})]
)
def test_an_entry_against_a_live_decision_on_the_candle_before_is_refused(backtested, name, refused):
    def stays(entered_ms: int) -> bool:
        record = judged(backtested, entered_ms)
        return record is None or record.decision.action not in refused

    plain = backtested.trades["Steady"]
    expected = {at: trade for at, trade in plain.items() if stays(at)}
    assert 0 < len(expected) < len(plain)
    assert entered(backtested.trades[name]) == entered(expected)


def test_a_stake_is_multiplied(backtested):
    assert backtested.trades["LiveSized"].keys() == backtested.trades["Steady"].keys()
    factors = set()
    for at, trade in backtested.trades["LiveSized"].items():
        record = judged(backtested, at)
        factor = record.decision.size_multiplier if record else 1.0
        factors.add(factor)
        plain = backtested.trades["Steady"][at]
        assert trade["stake_amount"] == pytest.approx(plain["stake_amount"] * factor, rel=0.01)
    assert factors == {1.0, 0.5}


def test_a_stop_stands_so_many_true_ranges_from_the_entry(backtested, market):
    candles = CandleStore(market).read(VENUE, "1h", PAIR)
    n_hit = 0
    for at, trade in backtested.trades["LiveStopped"].items():
        record = judged(backtested, at)
        if record is None:
            assert trade["stop_loss_abs"] == pytest.approx(trade["open_rate"] * 0.1, rel=1e-3)
            continue
        known = candles.between(at - 121 * HOUR_MS, at).bars[1:4].tolist()
        distance = trade["open_rate"] - trade["stop_loss_abs"]
        assert distance == pytest.approx(record.decision.stop_atr * wilder(*known), rel=0.02)
        n_hit += trade["exit_reason"] in ("stop_loss", "trailing_stop_loss")
    assert n_hit > 0


def wilder(high: list[float], low: list[float], close: list[float]) -> float:
    """The average true range over 14 bars, by its recursion."""
    average = math.nan
    for i in range(1, len(close)):
        one = max(high[i] - low[i], abs(high[i] - close[i - 1]), abs(low[i] - close[i - 1]))
        average = one if i == 1 else (13 * average + one) / 14
    return average


def test_the_strategys_own_rules_stand_beside_those_of_the_mixin(backtested):
    own, both = backtested.trades["OwnRules"], backtested.trades["OwnRulesLive"]
    assert 0 < len(both) < len(own)
    for at, trade in both.items():
        record = judged(backtested, at)
        assert record is None or record.decision.action != "short"
        factor = record.decision.size_multiplier if record else 1.0
        assert trade["stake_amount"] == pytest.approx(own[at]["stake_amount"] * factor, rel=0.02)
        assert trade["stop_loss_abs"] >= own[at]["stop_loss_abs"] * (1 - 1e-9)
    assert {at for at in own if judged(backtested, at) is None} <= both.keys()


def test_what_was_made_in_shadow_or_learnt_from_counts_only_where_asked_for(backtested):
    def refused(name: str) -> set[int]:
        return backtested.trades["Steady"].keys() - backtested.trades[name].keys()

    def against(until_ms: int) -> set[int]:
        said = backtested.said.items()
        bars = {at for at, one in said if at < until_ms and one.decision.action in ("short", "flat")}
        return {at + HOUR_MS for at in bars} & backtested.trades["Steady"].keys()

    assert refused("AsIfLive") == against(UNTIL) - against(LEARNT_UNTIL)
    assert refused("InSample") == against(UNTIL)


def test_the_log_says_what_can_not_be_believed(backtested):
    learnt = f"{backtested.bundle_id}: up to 2024-12-01 00:00"
    seen = f"72 of 336 decisions are on bars that their bundle learnt from ({learnt})"
    assert f"{seen}: ignored" in backtested.log
    assert f"{seen}: FOLLOWED, and show no skill" in backtested.log
    assert "decisions made in SHADOW count as live here" in backtested.log
    assert "no shadowgate_records: this backtest shows the strategy by itself" in backtested.log
    assert "candles of BTC/USDT have no record" in backtested.log
