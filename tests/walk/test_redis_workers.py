"""Two real workers on a real Redis, one of them killed: is every bar answered once?"""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
from msgspec.structs import replace

from plugin.bar import BarClosed
from plugin.decision import Decision
from plugin.sources.redis_bus import key_of, open_redis, publish_bars
from plugin.sources.redis_shards import owner
from plugin.sources.redis_streams import GROUP
from shadow.record import BarRecord
from tests.support.bars import HOURLY
from tests.support.live import FOLLOWED, SERVED, stored_bar
from tests.support.redis_server import redis_server
from tests.support.small_training import N_BARS, SmallTraining

pytestmark = pytest.mark.slow
N_SHARED = 60
KILLED_AT = 25
PATIENCE_S = 120


@pytest.fixture
def url() -> Iterator[str]:
    with TemporaryDirectory(prefix="redis-") as folder, redis_server(Path(folder)) as address:
        yield address


class Market:
    """Stored bars, dated so that the last one of them has just closed."""

    def __init__(self, url: str, training: SmallTraining) -> None:
        self.redis = open_redis(url)
        self._store = training.store
        newest_ms = HOURLY.floor(time.time_ns() // 1_000_000) - HOURLY.length_ms
        self._shift_ms = newest_ms - stored_bar(self._store, SERVED[0], N_BARS - 1).open_time_ms

    def bars(self, column: int) -> list[BarClosed]:
        stored = [stored_bar(self._store, symbol, column) for symbol in (*SERVED, *FOLLOWED)]
        return [replace(bar, open_time_ms=bar.open_time_ms + self._shift_ms) for bar in stored]

    async def close(self, column: int) -> None:
        await publish_bars(self.redis, HOURLY, self.bars(column))

    async def n_records(self) -> int:
        return sum([await self.redis.xlen(key_of("records", HOURLY, symbol)) for symbol in SERVED])

    async def has_records(self, n_records: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while await self.n_records() < n_records:
                await asyncio.sleep(0.02)


def start(url: str, training: SmallTraining, folder: Path) -> "subprocess.Popen[bytes]":
    folder.mkdir()
    environ = {name: text for name, text in os.environ.items() if not name.startswith("ML_")}
    environ |= training.environment(folder / "shadow") | {
        "ML_SOURCE": "redis",
        "ML_REDIS_URL": url,
        "ML_SOCKET": str(folder / "plugin.sock"),
    }
    command = [sys.executable, "-m", "plugin", "run", "--env", str(folder / "none")]
    return subprocess.Popen(command, env=environ, stderr=(folder / "log").open("wb"))


def test_a_killed_worker_costs_no_bar_and_none_is_answered_twice(url, small_training, tmp_path):
    workers: list[subprocess.Popen[bytes]] = []

    async def walk() -> None:
        market = Market(url, small_training)
        first = N_BARS - 1 - N_SHARED
        history = [bar for column in range(first - 520, first + 1) for bar in market.bars(column)]
        await publish_bars(market.redis, HOURLY, history)
        workers.extend(start(url, small_training, tmp_path / name) for name in "ab")
        await market.has_records(2)
        async with asyncio.timeout(PATIENCE_S):
            while await market.redis.zcard("shadowgate:workers:1h") < 2:
                await asyncio.sleep(0.05)
        for column in range(first + 1, N_BARS):
            await market.close(column)
            if column == first + KILLED_AT:
                name = owner(SERVED[0], [f"{socket.gethostname()}:{one.pid}" for one in workers])
                victim = next(one for one in workers if name.endswith(f":{one.pid}"))
                victim.send_signal(signal.SIGKILL)
        await market.has_records(2 * (N_SHARED + 1))
        for symbol in SERVED:
            await check(market, symbol, [market.bars(column) for column in range(first, N_BARS)])

    async def check(market: Market, symbol: str, closes: list[list[BarClosed]]) -> None:
        opened_ms = [bars[0].open_time_ms for bars in closes]
        for kind, type_ in (("decisions", Decision), ("records", BarRecord)):
            entries = await market.redis.xrange(key_of(kind, HOURLY, symbol))
            said = [
                msgspec.json.decode(content[kind[:-1].encode()], type=type_) for _, content in entries
            ]
            assert [one.open_time_ms for one in said] == opened_ms, f"each {kind} once, in order"
        assert [one.ml_reason for one in said] == ["late"] * N_SHARED + ["ok"], (
            "the newest is decided on"
        )
        pending = await market.redis.xpending(key_of("bars", HOURLY, symbol), GROUP)
        assert pending["pending"] == 0

    try:
        asyncio.run(walk())
    finally:
        for worker in workers:
            worker.terminate()
            worker.wait(30)
    assert sorted(worker.returncode for worker in workers) == [-signal.SIGKILL, 0]
