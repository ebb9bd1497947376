"""Does a websocket that is lost a thousand times leave anything behind?"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator

import pytest

from plugin.sources.exchange_client import ExchangeClient
from plugin.sources.exchange_stream import ExchangeStream
from tests.support.exchange import maintenance
from tests.support.fast_clock import FastClock
from tests.support.followed_feed import HOURLY, NOW_SLOT, SYMBOLS, candles, open_ms
from tests.support.live_exchange import LiveExchange
from tests.support.scripted_source import until

_SPEED = 2_000  # the growing pauses between two attempts pass in milliseconds
_SETTLED_AFTER, _N_RECONNECTS = 200, 1_000
_MAX_GROWTH_MB = 30.0  # in a process that has run other tests; one client that stays is a tenth of a MB


@pytest.fixture
def clock() -> FastClock:
    return FastClock(open_ms(NOW_SLOT), _SPEED)


@pytest.fixture
def exchange(clock: FastClock) -> Iterator[LiveExchange]:
    bars = {symbol: candles(symbol, seed) for seed, symbol in enumerate(SYMBOLS)}
    with LiveExchange(bars, clock, HOURLY) as made:
        yield made


def megabytes() -> float:
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 1e6


@pytest.mark.slow
@pytest.mark.parametrize("is_refused", [False, True])
def test_a_thousand_reconnects_leave_no_memory_no_task_and_no_socket(
    exchange: LiveExchange, clock: FastClock, is_refused: bool
) -> None:
    async def play() -> None:
        client = ExchangeClient("binance", exchange.url, SYMBOLS, HOURLY, clock)
        await client.load()
        await client.measure()
        stream = ExchangeStream(client, SYMBOLS, HOURLY, clock, lambda _: None)
        if is_refused:
            exchange.standing_fault = maintenance()
        running = asyncio.create_task(stream.run())
        settled_mb = 0.0
        while stream.n_reconnects < _N_RECONNECTS:
            if not is_refused:
                exchange.disconnect_all()
            await asyncio.sleep(0.002)
            if not settled_mb and stream.n_reconnects >= _SETTLED_AFTER:
                settled_mb = megabytes()
        assert megabytes() - settled_mb < _MAX_GROWTH_MB
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await stream.close()
        await client.close()
        await until(lambda: exchange.stream.n_connections == 0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(play())
