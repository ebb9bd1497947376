"""A local exchange whose time goes on: Binance's spot REST and websocket for real ccxt, with faults.

with LiveExchange({"BTC/USDT": candles}, FastClock(start_ms, speed=60), candles.timeframe) as exchange:
    exchange.faults["klines"] = [rate_limited(retry_after=2)]       # the next such request
    exchange.standing_fault = maintenance()                         # all requests, until it is None
    exchange.stream.silent = True                                   # open, but no frame comes
    exchange.disconnect_all()
"""

from __future__ import annotations

import asyncio
import heapq
import json
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from email.utils import formatdate
from math import inf
from types import TracebackType

from aiohttp import web

from plugin.bar import Timeframe
from plugin.buffer import Ohlcv
from plugin.candles import Candles
from plugin.clock import Clock
from tests.support import live_answers
from tests.support.exchange import Fault, Request
from tests.support.live_market import Kline, LiveMarket
from tests.support.live_stream import LiveStream

_LOOK_EVERY_S = 0.005


class LiveExchange:
    """Serves `bars` as `clock` goes on; everything may be changed while it runs, from any thread.

    `bars` are of one `timeframe`, the only one it has. `clock_offset_ms` is how far the exchange is
    ahead of `clock`; times below are exchange time. `faults[endpoint]` is a list whose first entry
    answers the next request and is removed, None in it means no fault; the endpoint of a websocket is
    `ws`. While `standing_fault` is set it answers every other request, handshakes too.
    """

    def __init__(self, bars: Mapping[str, Candles], clock: Clock, timeframe: Timeframe) -> None:
        self.markets = {symbol: LiveMarket(candles) for symbol, candles in bars.items()}
        self.timeframe = timeframe
        self.clock_offset_ms = 0
        self.update_every_ms = timeframe.length_ms // 20
        self.delisted: set[str] = set()
        self.faults: dict[str, list[Fault | None]] = defaultdict(list)
        self.standing_fault: Fault | None = None
        self.requests: list[Request] = []
        self.stream = LiveStream(timeframe.name, self.requests)
        self.url = ""
        self._clock = clock
        self._announced: list[tuple[int, str, int]] = []  # a heap: at_ms, symbol, open time
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def __enter__(self) -> LiveExchange:
        self._thread.start()
        self._started.wait(30)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(30)

    @property
    def ws_url(self) -> str:
        return self.url.replace("http", "ws", 1) + "/ws"

    def now_ms(self) -> int:
        """The exchange's own time."""
        return self._clock.now_ms() + self.clock_offset_ms

    def asked(self, endpoint: str) -> list[Request]:
        """The requests for one endpoint, oldest first: of REST, `ws`, `SUBSCRIBE` or `UNSUBSCRIBE`."""
        return [request for request in self.requests if request.endpoint == endpoint]

    def disconnect_all(self) -> None:
        """Break every open websocket off, without a word."""
        self._loop.call_soon_threadsafe(self.stream.abort_all)

    def omit(self, symbol: str, open_time_ms: int, until_ms: float = inf) -> None:
        """Know nothing of a bar until `until_ms`; then its frame is sent too."""
        self.markets[symbol].omitted[open_time_ms] = until_ms
        self._announce(symbol, open_time_ms, until_ms)

    def revise(self, symbol: str, open_time_ms: int, ohlcv: Ohlcv, at_ms: int) -> None:
        """Give a closed bar other values from `at_ms` on, when a second closed frame is sent."""
        self.markets[symbol].revised[open_time_ms] = at_ms, ohlcv
        self._announce(symbol, open_time_ms, at_ms)

    def _announce(self, symbol: str, open_time_ms: int, at_ms: float) -> None:
        if at_ms < inf:
            entry = int(at_ms), symbol, open_time_ms
            self._loop.call_soon_threadsafe(heapq.heappush, self._announced, entry)

    async def _serve(self) -> None:
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        app = web.Application()
        for path in ("/ws", "/ws/{name}", "/stream", "/stream/ws", "/stream/ws/{name}"):
            app.router.add_get(path, self._open_stream)
        app.router.add_get("/{path:.*}", self._answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        publishing = asyncio.create_task(self._publish())
        self._started.set()
        await self._stopped.wait()
        publishing.cancel()
        self.stream.abort_all()
        await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        endpoint, query = request.path.rsplit("/", 1)[1], dict(request.query)
        if refused := await self._faulty(endpoint, request):
            return refused
        status, answer = live_answers.answer(self, request.path, query)
        return self._reply(status, json.dumps(answer).encode())

    async def _open_stream(self, request: web.Request) -> web.StreamResponse:
        if refused := await self._faulty("ws", request):
            return refused
        return await self.stream.serve(request)

    async def _faulty(self, endpoint: str, request: web.Request) -> web.StreamResponse | None:
        """The answer to a request that goes wrong, None to one that does not."""
        query = dict(request.query)
        self.requests.append(Request(endpoint, query, time.monotonic()))
        faults = self.faults[endpoint]
        fault = faults.pop(0) if faults else self.standing_fault
        if fault is None:
            return None
        right = live_answers.answer(self, request.path, query)[1] if endpoint != "ws" else {}
        answering, body = _Answering(), json.dumps(right).encode()
        await asyncio.to_thread(fault, answering, body)  # it may wait for an event
        if answering.is_cut:
            return await self._cut(request, answering.body)
        return self._reply(answering.status, answering.body, answering.kind, answering.headers)

    def _reply(
        self,
        status: int,
        body: bytes,
        kind: str = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> web.Response:
        date = formatdate(self.now_ms() / 1000, usegmt=True)
        stamped = {"Content-Type": kind, "Date": date, "X-MBX-USED-WEIGHT-1M": "1", **(headers or {})}
        return web.Response(status=status, body=body, headers=stamped)

    async def _cut(self, request: web.Request, body: bytes) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(len(body))})
        await response.prepare(request)
        await response.write(body[: len(body) // 2])
        if request.transport:
            request.transport.close()
        return response

    async def _publish(self) -> None:
        """Send what happens as the clock goes on; by looking, so that any clock will do."""
        told_ms = dict.fromkeys(
            self.markets, self.timeframe.floor(self.now_ms()) - self.timeframe.length_ms
        )
        updated_ms = self.now_ms()
        while True:
            now_ms = self.now_ms()
            for symbol in self.markets:
                told_ms[symbol] = self._tell_closed(symbol, told_ms[symbol], now_ms)
            while self._announced and self._announced[0][0] <= now_ms:
                _, symbol, open_time_ms = heapq.heappop(self._announced)
                self._send(symbol, self.markets[symbol].at(open_time_ms, now_ms), now_ms)
            if now_ms >= updated_ms + self.update_every_ms:
                updated_ms = now_ms
                for symbol, market in self.markets.items():
                    self._send(symbol, market.at(self.timeframe.floor(now_ms), now_ms), now_ms)
            await asyncio.sleep(_LOOK_EVERY_S)

    def _tell_closed(self, symbol: str, told_ms: int, now_ms: int) -> int:
        """Send the frame of every bar that has closed since; returns the newest one's open time."""
        length_ms = self.timeframe.length_ms
        while told_ms + 2 * length_ms + self.stream.close_delay_ms <= now_ms:
            told_ms += length_ms
            self._send(symbol, self.markets[symbol].at(told_ms, now_ms), now_ms)
        return told_ms

    def _send(self, symbol: str, kline: Kline | None, now_ms: int) -> None:
        if kline is not None and symbol not in self.delisted:
            self.stream.send(symbol, live_answers.frame(symbol, self.timeframe, kline, now_ms))


class _Answering:
    """What a fault does to a request, written down."""

    def __init__(self) -> None:
        self.status, self.body, self.kind = 200, b"", "application/json"
        self.headers: dict[str, str] = {}
        self.is_cut = False

    def reply(
        self, status: int, body: bytes, kind: str = "application/json", **headers: str | int
    ) -> None:
        self.status, self.body, self.kind = status, body, kind
        self.headers = {name.replace("_", "-"): str(value) for name, value in headers.items()}

    def cut(self, body: bytes) -> None:
        self.body, self.is_cut = body, True
