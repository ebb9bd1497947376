"""A local HTTP server that speaks enough of Binance's spot REST for real ccxt, with faults to order.

with LocalExchange({"BTC/USDT": bars}, now_ms) as exchange:
    exchange.faults["klines"] = [None, rate_limited(retry_after=2)]     # second request fails
    open_exchange("binance", exchange.url)
"""

from __future__ import annotations

import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit

import numpy as np

from plugin.candle_store import RawBars

_HOUR_MS = 3_600_000


@dataclass(frozen=True)
class Request:
    """What was asked, and when by the monotonic clock."""

    endpoint: str
    query: dict[str, str]
    at_s: float


class LocalExchange:
    """Serves hourly bars up to its own clock; the bar that `now_ms` lies in goes out unfinished.

    `faults[endpoint]` is a list whose first entry answers the next request and is removed; None means
    no fault. `now_ms` and `bars` may be changed while it runs.
    """

    def __init__(self, bars: Mapping[str, RawBars], now_ms: int) -> None:
        self.bars = dict(bars)
        self.now_ms = now_ms
        self.faults: dict[str, list[Fault | None]] = defaultdict(list)
        self.requests: list[Request] = []
        handler = type("Handler", (_Handler,), {"exchange": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> LocalExchange:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def asked(self, endpoint: str) -> list[Request]:
        """The requests for one endpoint, oldest first."""
        return [request for request in self.requests if request.endpoint == endpoint]

    def answer(self, endpoint: str, query: dict[str, str]) -> object:
        """The JSON of a request without a fault."""
        match endpoint:
            case "time":
                return {"serverTime": self.now_ms}
            case "exchangeInfo":
                return {"symbols": [market(symbol) for symbol in self.bars]}
            case "klines":
                return self._klines(query)
        return {}

    def _klines(self, query: dict[str, str]) -> list[list[object]]:
        symbol = next(name for name in self.bars if name.replace("/", "") == query["symbol"])
        bars = self.bars[symbol]
        since_ms = int(query.get("startTime", 0))
        wanted = (bars.open_time_ms >= since_ms) & (bars.open_time_ms <= self.now_ms)
        rows = np.flatnonzero(wanted)[: int(query["limit"])]
        times, values = bars.open_time_ms[rows].tolist(), bars.ohlcv[:, rows].T.tolist()
        return [self._kline(*bar) for bar in zip(times, values, strict=True)]

    def _kline(self, time_ms: int, ohlcv: list[float]) -> list[object]:
        open_, high, low, close, volume = ohlcv
        if time_ms + _HOUR_MS > self.now_ms:
            high = low = close = open_
            volume /= 2
        values = [None if np.isnan(x) else repr(x) for x in (open_, high, low, close, volume)]
        return [time_ms, *values, time_ms + _HOUR_MS - 1, "0", 1, "0", "0", "0"]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    exchange: LocalExchange

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        endpoint, query = address.path.rsplit("/", 1)[1], dict(parse_qsl(address.query))
        self.exchange.requests.append(Request(endpoint, query, time.monotonic()))
        faults = self.exchange.faults[endpoint]
        fault = faults.pop(0) if faults else None
        body = json.dumps(self.exchange.answer(endpoint, query)).encode()
        if fault is None:
            self.reply(200, body)
        else:
            fault(self, body)

    def reply(
        self, status: int, body: bytes, kind: str = "application/json", **headers: str | int
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(body)

    def cut(self, body: bytes) -> None:
        """The length of all of `body`, half of it, and the end of the connection."""
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2])
        self.close_connection = True

    def date_time_string(self, timestamp: float | None = None) -> str:
        """The header `Date`, by the exchange's clock."""
        return formatdate(self.exchange.now_ms / 1000, usegmt=True)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # named by the base class
        """Silence: the requests are recorded instead."""


class Answering(Protocol):
    """The connection that a request came on, as far as faults use it."""

    def reply(
        self, status: int, body: bytes, kind: str = "application/json", **headers: str | int
    ) -> None: ...

    def cut(self, body: bytes) -> None: ...


Fault = Callable[[Answering, bytes], None]
"""What happens to a request whose right answer has this body."""


def rate_limited(retry_after: int | str) -> Fault:
    """Status 429 with Retry-After: seconds, or a date as HTTP writes it."""
    body = b'{"code":-1003,"msg":"Too many requests."}'
    return lambda handler, _: handler.reply(429, body, Retry_After=retry_after)


def banned(until_ms: int) -> Fault:
    """Status 418; only the text says until when."""
    message = f"Way too much request weight used; IP banned until {until_ms}."
    body = json.dumps({"code": -1003, "msg": message}).encode()
    return lambda handler, _: handler.reply(418, body)


def maintenance(status: int = 503) -> Fault:
    """A page for people, with status 503 or, worse, 200."""
    page = b"<html><body>1 2 3 maintenance</body></html>"
    return lambda handler, _: handler.reply(status, page, "text/html")


def truncated(handler: Answering, body: bytes) -> None:
    """Half of the JSON with a length that fits it."""
    handler.reply(200, body[: len(body) // 2])


def cut(handler: Answering, body: bytes) -> None:
    """The connection ends in the middle of the body."""
    handler.cut(body)


def body_of(answer: object) -> Fault:
    """Status 200 with any JSON, such as an empty page."""
    return lambda handler, _: handler.reply(200, json.dumps(answer).encode())


def held_until(event: threading.Event) -> Fault:
    """The right answer, but only after `event`."""

    def hold(handler: Answering, body: bytes) -> None:
        event.wait(30)
        handler.reply(200, body)

    return hold


def market(symbol: str) -> dict[str, object]:
    """A spot market as `exchangeInfo` describes it."""
    base, quote = symbol.split("/")
    return {
        "symbol": base + quote,
        "status": "TRADING",
        "baseAsset": base,
        "quoteAsset": quote,
        "isSpotTradingAllowed": True,
        "permissions": ["SPOT"],
        "filters": [
            {"filterType": "PRICE_FILTER", "tickSize": "0.01"},
            {"filterType": "LOT_SIZE", "stepSize": "0.0001"},
        ],
    }
