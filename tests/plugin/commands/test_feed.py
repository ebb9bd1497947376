"""Do the closed bars of an exchange come into Redis, those of companions too, and each once?"""

import dataclasses
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
import redis

from plugin.candles import Candles
from plugin.clock import SystemClock
from plugin.features import LOOKBACK_BARS
from plugin.protocol import PushedBar
from plugin.sources.redis_bus import key_of
from tests.support.followed_feed import HOURLY, NOW_SLOT, candles
from tests.support.live import FOLLOWED, SERVED
from tests.support.live_exchange import LiveExchange
from tests.support.redis_server import redis_server
from tests.support.replays import environment
from tests.support.small_training import SmallTraining

SYMBOLS = (*SERVED, *FOLLOWED)
PATIENCE_S = 60.0


@pytest.fixture
def url() -> Iterator[str]:
    with TemporaryDirectory(prefix="redis-") as folder, redis_server(Path(folder)) as address:
        yield address


def as_of_now(symbol: str, seed: int) -> Candles:
    """Bars of which the one in slot NOW_SLOT is open."""
    open_ms = HOURLY.floor(SystemClock().now_ms()) - NOW_SLOT * HOURLY.length_ms
    return dataclasses.replace(candles(symbol, seed), first_open_ms=open_ms)


def start(training: SmallTraining, folder: Path, exchange: str, url: str) -> "subprocess.Popen[bytes]":
    own = {
        "ML_MODELS_DIR": str(training.models),
        "ML_EXCHANGE_URL": exchange,
        "ML_REDIS_URL": url,
    }
    command = [sys.executable, "-m", "plugin", "feed", "--env", str(folder / "none")]
    environ = environment(training, folder / "shadow", **own)
    return subprocess.Popen(command, env=environ, stderr=(folder / "log").open("ab"))


def test_it_publishes_history_and_the_newest_bar_of_all_that_a_worker_needs(
    url: str, small_training: SmallTraining, tmp_path: Path
) -> None:
    stored = {symbol: as_of_now(symbol, seed) for seed, symbol in enumerate(SYMBOLS, 1)}
    newest_ms = stored[SYMBOLS[0]].first_open_ms + (NOW_SLOT - 1) * HOURLY.length_ms
    keys = {symbol: key_of("bars", HOURLY, symbol) for symbol in SYMBOLS}
    bus = redis.Redis.from_url(url)
    with LiveExchange(stored, SystemClock(), HOURLY) as exchange:
        for _ in range(2):  # the second one finds all there
            feed = start(small_training, tmp_path, exchange.url, url)
            try:
                give_up_at = time.monotonic() + PATIENCE_S
                while not all(
                    bus.exists(key) and newest(bus, key) >= newest_ms for key in keys.values()
                ):
                    assert time.monotonic() < give_up_at, (tmp_path / "log").read_text()
                    assert feed.poll() is None, (tmp_path / "log").read_text()
                    time.sleep(0.05)
                wait_for_log(tmp_path / "log", "bars_published")
            finally:
                feed.terminate()
                assert feed.wait(30) == 0
            os.truncate(tmp_path / "log", 0)
    for symbol, key in keys.items():
        bars = [msgspec.json.decode(fields[b"bar"], type=PushedBar) for _, fields in bus.xrange(key)]
        times = [bar.open_time_ms for bar in bars]
        assert times == list(range(times[0], times[-1] + 1, HOURLY.length_ms)), (
            "each once, without a hole"
        )
        assert len(bars) > LOOKBACK_BARS
        for bar in bars[-3:]:
            column = (bar.open_time_ms - stored[symbol].first_open_ms) // HOURLY.length_ms
            assert [bar.open, bar.high, bar.low, bar.close] == stored[symbol].bars[:4, column].tolist()


def newest(bus: "redis.Redis", key: str) -> int:
    ((entry_id, _),) = bus.xrevrange(key, count=1)
    return int(entry_id.partition(b"-")[0])


def wait_for_log(log: Path, event: str) -> None:
    give_up_at = time.monotonic() + PATIENCE_S
    while event not in log.read_text():
        assert time.monotonic() < give_up_at, log.read_text()
        time.sleep(0.05)
