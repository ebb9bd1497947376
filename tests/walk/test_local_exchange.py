"""Does real ccxt take the local exchange for a real one, and meet its faults and those of the way?"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import ccxt
import ccxt.pro
import numpy as np
import pytest
from aiohttp import ClientError, ClientSession, ClientTimeout

from plugin.clock import ReplayClock
from tests.support.chaos_proxy import PASS, ChaosProxy, Kind, Mode
from tests.support.exchange import maintenance, rate_limited
from tests.support.fast_clock import FastClock
from tests.support.live_exchange import LiveExchange
from tests.support.minute_market import MINUTE, made_up_minutes
from tests.support.raw_bars import START_MS

SPEED = 120.0
N_HISTORY = 50
PATIENCE_S = 20.0
WATCHED = [["BTC/USDT", "1m"], ["ETH/USDT", "1m"]]


BTC = made_up_minutes("BTC/USDT", 2_000, seed=1)
BOTH = {"BTC/USDT": BTC, "ETH/USDT": made_up_minutes("ETH/USDT", 2_000, seed=2)}
LIVE_FROM_MS = START_MS + N_HISTORY * MINUTE.length_ms


@pytest.fixture
def exchange() -> Iterator[LiveExchange]:
    clock = FastClock(LIVE_FROM_MS, SPEED)
    with LiveExchange(BOTH, clock, MINUTE) as exchange:
        yield exchange


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Any]:
    """ccxt.pro's own class for Binance, at our address."""
    client = ccxt.pro.binance({"options": {"fetchMarkets": {"types": ["spot"]}}, "timeout": 2_000})
    client.urls["api"]["public"] = f"{url}/api/v3"
    client.urls["api"]["ws"]["spot"] = url.replace("http", "ws", 1) + "/ws"
    try:
        yield client
    finally:
        await client.close()


def with_ccxt(url: str, ask: Callable[[Any], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        async with connected(url) as client, asyncio.timeout(PATIENCE_S):
            return await ask(client)

    return asyncio.run(run())


async def frames(url: str, n: int, *streams: str) -> list[dict[str, Any]]:
    """The first frames as they come over the wire, without ccxt."""
    found: list[dict[str, Any]] = []
    async with ClientSession() as session, session.ws_connect(f"{url}/ws") as socket:
        await socket.send_json({"method": "SUBSCRIBE", "params": streams, "id": 1})
        assert await socket.receive_json() == {"result": None, "id": 1}
        while len(found) < n:
            found.append(await socket.receive_json(timeout=PATIENCE_S))
    return found


def closes(found: list[dict[str, Any]]) -> list[tuple[int, str]]:
    return [(one["k"]["t"], one["k"]["c"]) for one in found if one["k"]["x"]]


def test_rest_serves_what_has_happened_by_its_clock(exchange: LiveExchange) -> None:
    async def ask(client: Any) -> Any:
        newest = await client.fetch_ohlcv("BTC/USDT", "1m", limit=5)
        return (
            newest,
            await client.fetch_ohlcv("BTC/USDT", "1m", START_MS, 7),
            await client.fetch_time(),
        )

    newest, first, time_ms = with_ccxt(exchange.url, ask)
    assert LIVE_FROM_MS <= time_ms <= exchange.now_ms()
    assert len(newest) == 5
    assert newest[-1][0] <= time_ms < newest[-1][0] + 2 * MINUTE.length_ms
    assert [row[0] for row in first] == BTC.open_time_ms[:7].tolist()
    assert np.array_equal(np.array([row[1:] for row in first]).T, BTC.bars[:5, :7])


def test_the_stream_tells_of_the_forming_bar_and_of_every_close(exchange: LiveExchange) -> None:
    found = asyncio.run(frames(exchange.url, 150, "btcusdt@kline_1m"))
    told = closes(found)
    columns = [(time_ms - START_MS) // MINUTE.length_ms for time_ms, _ in told]
    assert columns == list(range(columns[0], columns[0] + len(columns)))
    assert [float(close) for _, close in told] == BTC.bars[3, columns].tolist()
    assert len(told) < len(found) / 2
    assert all(one["E"] >= one["k"]["t"] + MINUTE.length_ms for one in found if one["k"]["x"])
    assert all(one["E"] < one["k"]["t"] + MINUTE.length_ms for one in found if not one["k"]["x"])


def test_ccxt_follows_both_symbols_and_takes_a_new_connection_after_a_break(
    exchange: LiveExchange,
) -> None:
    async def ask(client: Any) -> Any:
        while len(client.ohlcvs) < 2:
            await client.watch_ohlcv_for_symbols(WATCHED)
        exchange.disconnect_all()
        with pytest.raises(ccxt.NetworkError):
            while True:
                await client.watch_ohlcv_for_symbols(WATCHED)
        await client.watch_ohlcv_for_symbols(WATCHED)

    with_ccxt(exchange.url, ask)
    assert len(exchange.asked("ws")) == len(exchange.asked("SUBSCRIBE")) == 2


def test_its_clock_can_be_ahead_of_ours() -> None:
    clock = ReplayClock(LIVE_FROM_MS)
    with LiveExchange(BOTH, clock, MINUTE) as exchange:
        exchange.clock_offset_ms = 90_000
        assert with_ccxt(exchange.url, lambda client: client.fetch_time()) == LIVE_FROM_MS + 90_000
        newest = with_ccxt(exchange.url, lambda client: client.fetch_ohlcv("BTC/USDT", "1m", limit=1))
    assert newest[0][0] == LIVE_FROM_MS + MINUTE.length_ms


def test_what_is_subscribed_by_the_address_comes_wrapped(exchange: LiveExchange) -> None:
    async def ask() -> Any:
        address = f"{exchange.url}/stream?streams=btcusdt@kline_1m"
        async with ClientSession() as session, session.ws_connect(address) as socket:
            return await socket.receive_json(timeout=PATIENCE_S)

    found = asyncio.run(ask())
    assert found["stream"] == "btcusdt@kline_1m"
    assert found["data"]["s"] == "BTCUSDT"


def test_errors_of_rest_are_those_of_binance(exchange: LiveExchange) -> None:
    exchange.faults["time"] = [rate_limited(3), None]
    exchange.delisted.add("ETH/USDT")

    async def ask(client: Any) -> Any:
        with pytest.raises(ccxt.DDoSProtection):
            await client.fetch_time()
        assert client.last_response_headers["Retry-After"] == "3"
        await client.fetch_time()
        with pytest.raises(ccxt.BadSymbol):
            await client.fetch_ohlcv("ETH/USDT", "1m")
        exchange.standing_fault = maintenance()
        with pytest.raises(ccxt.ExchangeNotAvailable):
            await client.fetch_time()
        with pytest.raises(ccxt.NetworkError):
            await client.watch_ohlcv_for_symbols(WATCHED)

    with_ccxt(exchange.url, ask)


def test_what_a_bot_asks_for_besides(exchange: LiveExchange) -> None:
    async def ask(client: Any) -> Any:
        return (
            await client.fetch_ticker("BTC/USDT"),
            await client.fetch_tickers(["BTC/USDT", "ETH/USDT"]),
            await client.fetch_bids_asks(["BTC/USDT"]),
            await client.fetch_order_book("BTC/USDT"),
            await client.fetch_trades("BTC/USDT"),
        )

    ticker, tickers, best, book, trades = with_ccxt(exchange.url, ask)
    assert ticker["bid"] < ticker["last"] < ticker["ask"]
    assert set(tickers) == {"BTC/USDT", "ETH/USDT"}
    assert best["BTC/USDT"]["bid"] > 0
    assert book["bids"][0][0] < book["asks"][0][0]
    assert trades == []


async def frames_of(exchange: LiveExchange, clock: ReplayClock, n_bars: int) -> list[dict[str, Any]]:
    """BTC's frames while the clock goes on bar by bar; ETH's come after them and end each bar."""
    found: list[dict[str, Any]] = []
    streams = ["btcusdt@kline_1m", "ethusdt@kline_1m"]
    async with ClientSession() as session, session.ws_connect(f"{exchange.url}/ws") as socket:
        await socket.send_json({"method": "SUBSCRIBE", "params": streams, "id": 1})
        await socket.receive_json(timeout=PATIENCE_S)
        for _ in range(n_bars):
            clock.advance_to(clock.now_ms() + MINUTE.length_ms)
            while True:
                frame = await socket.receive_json(timeout=PATIENCE_S)
                if frame["s"] == "BTCUSDT":
                    found.append(frame)
                elif frame["E"] == clock.now_ms() and not frame["k"]["x"]:
                    break
    return found


def test_a_bar_comes_late_and_one_is_revised_on_both_ways() -> None:
    minute_ms, clock = MINUTE.length_ms, ReplayClock(LIVE_FROM_MS + 30_000)
    with LiveExchange(BOTH, clock, MINUTE) as exchange:
        exchange.omit("BTC/USDT", LIVE_FROM_MS + minute_ms, until_ms=LIVE_FROM_MS + 4 * minute_ms)
        revised = (1.0, 2.0, 0.5, 1.5, 9.0)
        exchange.revise("BTC/USDT", LIVE_FROM_MS, revised, at_ms=LIVE_FROM_MS + 3 * minute_ms)
        early = with_ccxt(exchange.url, lambda client: client.fetch_ohlcv("BTC/USDT", "1m", limit=2))
        told = closes(asyncio.run(frames_of(exchange, clock, 5)))
        late = with_ccxt(
            exchange.url, lambda client: client.fetch_ohlcv("BTC/USDT", "1m", LIVE_FROM_MS, 9)
        )
    assert [(time_ms - LIVE_FROM_MS) // minute_ms for time_ms, _ in told] == [0, 2, 0, 3, 1, 4]
    assert told[2][1] == "1.5" != told[0][1]
    assert early[-1][0] == LIVE_FROM_MS
    assert late[0] == [LIVE_FROM_MS, *revised]
    assert [(row[0] - LIVE_FROM_MS) // minute_ms for row in late] == [0, 1, 2, 3, 4, 5]


def test_the_faults_of_the_stream(exchange: LiveExchange) -> None:
    exchange.stream.duplicates = 1
    pairs = asyncio.run(frames(exchange.url, 10, "btcusdt@kline_1m"))
    assert all(one == other for one, other in zip(pairs[::2], pairs[1::2], strict=True))
    exchange.stream.duplicates = 0

    exchange.stream.frozen = True
    same = asyncio.run(frames(exchange.url, 6, "btcusdt@kline_1m"))
    assert all(one == same[0] for one in same)
    exchange.stream.frozen = False

    exchange.stream.reordered = True
    events = [one["E"] for one in asyncio.run(frames(exchange.url, 20, "btcusdt@kline_1m"))]
    assert sum(np.diff(events) < 0) > len(events) / 3
    exchange.stream.reordered = False

    exchange.stream.close_delay_ms = 20_000
    late = asyncio.run(frames(exchange.url, 100, "btcusdt@kline_1m"))
    assert all(one["E"] >= one["k"]["t"] + 80_000 for one in late if one["k"]["x"])


@pytest.mark.parametrize("fault", ["silent", "deaf"])
def test_an_open_stream_that_says_nothing(exchange: LiveExchange, fault: str) -> None:
    setattr(exchange.stream, fault, True)
    with pytest.raises(TimeoutError):
        asyncio.run(asyncio.wait_for(frames(exchange.url, 1, "btcusdt@kline_1m"), 1.0))


def test_a_corrupt_frame_is_no_json(exchange: LiveExchange) -> None:
    exchange.stream.corrupt = 1
    with pytest.raises(ValueError, match=r"delimiter|Unterminated|Expecting"):
        asyncio.run(frames(exchange.url, 1, "btcusdt@kline_1m"))


async def time_of(url: str, wait_s: float = PATIENCE_S) -> Any:
    async with (
        ClientSession(timeout=ClientTimeout(wait_s)) as session,
        session.get(f"{url}/api/v3/time") as answer,
    ):
        return await answer.json()


@pytest.mark.parametrize("mode", [PASS, Mode("latency", 0.1), Mode("rate", 5_000), Mode("slice")])
def test_a_slow_network_changes_nothing(exchange: LiveExchange, mode: Mode) -> None:
    with ChaosProxy(exchange.url, seed=1) as proxy:
        proxy.mode = mode
        assert asyncio.run(time_of(proxy.url))["serverTime"] > START_MS
        found = asyncio.run(frames(proxy.url, 5, "btcusdt@kline_1m"))
        assert {one["s"] for one in found} == {"BTCUSDT"}


@pytest.mark.parametrize("kind", ["corrupt", "cut", "drop", "stall", "refuse", "blackhole"])
def test_a_bad_network_gives_no_answer_and_then_one_again(exchange: LiveExchange, kind: Kind) -> None:
    with ChaosProxy(exchange.url, seed=1) as proxy:
        proxy.mode = Mode(kind)
        with pytest.raises((ClientError, TimeoutError, ValueError)):
            asyncio.run(time_of(proxy.url, wait_s=1.0))
        proxy.mode = PASS
        assert "serverTime" in asyncio.run(time_of(proxy.url))


def test_a_stall_ends_with_all_that_waited(exchange: LiveExchange) -> None:
    async def ask(proxy: ChaosProxy) -> list[int]:
        events: list[int] = []
        async with ClientSession() as session, session.ws_connect(f"{proxy.url}/ws/x") as socket:
            request = {"method": "SUBSCRIBE", "params": ["btcusdt@kline_1m"], "id": 1}
            await socket.send_json(request)
            await socket.receive_json()
            proxy.mode = Mode("stall")
            await asyncio.sleep(0.5)
            proxy.mode = PASS
            while len(events) < 30:
                events.append((await socket.receive_json(timeout=PATIENCE_S))["E"])
        return events

    with ChaosProxy(exchange.url, seed=1) as proxy:
        gaps = np.diff(asyncio.run(ask(proxy)))
    assert gaps.max() < 4 * exchange.update_every_ms


def test_bytes_twice_are_messages_twice(exchange: LiveExchange) -> None:
    async def ask(proxy: ChaosProxy) -> list[Any]:
        async with ClientSession() as session, session.ws_connect(f"{proxy.url}/ws") as socket:
            proxy.mode = Mode("duplicate")
            await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "params": [], "id": 1})
            return [await socket.receive_json(timeout=PATIENCE_S) for _ in range(2)]

    with ChaosProxy(exchange.url, seed=1) as proxy:
        assert asyncio.run(ask(proxy)) == [{"result": [], "id": 1}] * 2


def test_which_byte_is_corrupted_depends_on_the_seed_alone() -> None:
    async def run(seed: int) -> list[bytes]:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while piece := await reader.read(100):
                writer.write(piece)

        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        with ChaosProxy(f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}", seed) as proxy:
            proxy.mode = Mode("corrupt")
            port = int(proxy.url.rsplit(":", 1)[1])
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            found = []
            for _ in range(4):
                writer.write(bytes(20))
                found.append(await asyncio.wait_for(reader.readexactly(20), PATIENCE_S))
            writer.close()
        server.close()
        return found

    assert asyncio.run(run(1)) == asyncio.run(run(1)) != asyncio.run(run(2))
