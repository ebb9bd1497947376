"""Do the records of all workers come into one log, each of them once?"""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest

from plugin.bar import Timeframe
from plugin.sources.redis_bus import key_of, open_redis
from shadow.record import BarRecord
from tests.support.live import read_records
from tests.support.records import bar
from tests.support.redis_server import redis_server

HOURLY = Timeframe.parse("1h")
SYMBOLS = ("BTC/USDT", "ETH/USDT")


@pytest.fixture
def url() -> Iterator[str]:
    with TemporaryDirectory(prefix="redis-") as folder, redis_server(Path(folder)) as address:
        yield address


def publish(url: str, contents: Sequence[tuple[str, int, bytes]]) -> None:
    async def add() -> None:
        redis = open_redis(url)
        for symbol, open_ms, content in contents:
            await redis.xadd(key_of("records", HOURLY, symbol), {"record": content}, id=f"{open_ms}-0")
        await redis.aclose()

    asyncio.run(add())


def collect(url: str, folder: Path) -> dict[str, object]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("ML_")} | {
        "ML_REDIS_URL": url,
        "ML_SYMBOLS": ",".join(SYMBOLS),
        "ML_SHADOW_DIR": str(folder),
    }
    command = [sys.executable, "-m", "plugin", "collect", "--once", "--json", "--env", "none"]
    ran = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=True)
    return json.loads(ran.stdout)


def test_every_record_is_collected_once_however_often_it_is_started(url, tmp_path):
    records = [bar(slot, symbol=symbol) for slot in range(300) for symbol in SYMBOLS]
    entries = [(one.symbol, one.open_time_ms, msgspec.json.encode(one)) for one in records]
    publish(url, entries[:401])
    assert collect(url, tmp_path)["collected"] == 401
    publish(url, entries[401:])
    assert collect(url, tmp_path)["collected"] == 199
    assert collect(url, tmp_path)["collected"] == 0
    written = [one for one in read_records(tmp_path) if isinstance(one, BarRecord)]
    assert len(written) == 600
    assert [one.seq for one in written] == list(range(1, 601)), "numbered anew, without a hole"
    assert {(one.symbol, one.open_time_ms) for one in written} == {
        (one.symbol, one.open_time_ms) for one in records
    }


def test_what_is_no_record_is_counted_and_left_out(url, tmp_path):
    good = bar(1, symbol="BTC/USDT")
    publish(
        url,
        [
            ("BTC/USDT", 1, b"[[[["),
            ("BTC/USDT", good.open_time_ms, msgspec.json.encode(good)),
        ],
    )
    answer = collect(url, tmp_path)
    assert (answer["collected"], answer["not_readable"]) == (1, 1)
