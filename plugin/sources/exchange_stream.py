"""What does an exchange's websocket say of bars, and is it still alive?

ccxt follows the stream. What it drops is taken from the raw message: Binance says whether a bar has
closed, and when it sent the message. Of other exchanges ccxt keeps only the values, so their stream
tells that a bar has begun, and REST what the one before it closed with.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import structlog

from plugin.bar import Timeframe
from plugin.clock import Clock
from plugin.sources.exchange_answers import growing_pause_s, one_line
from plugin.sources.exchange_class import close_exchange
from plugin.sources.exchange_client import ExchangeClient

_log = structlog.get_logger()
_SLOWEST_RETRY = 6  # the pause stops growing here, at about a minute


class Heard(NamedTuple):
    """A bar as the stream told it: `ohlcv` may hold None. `is_closed` and `sent_ms`, the exchange's
    time, are None where it does not say."""

    symbol: str
    open_time_ms: int
    ohlcv: tuple[Any, ...]
    is_closed: bool | None
    sent_ms: int | None


def listening(kind: Any, hear: Callable[[Heard], None], timeframe: str) -> Any:
    """The class of an exchange that hands on what it hears, and whose connection ends where a message
    can not be understood.

    ccxt reads messages in a callback: an exception there is logged by the loop, and the stream stays
    open and silent for ever.
    """

    class Listening(kind):  # type: ignore[misc]  # ccxt has no types
        def client(self, url: str) -> Any:
            client = super().client(url)
            if "handle_message" not in vars(client):
                client.handle_message = _guarded(client)
            return client

    if not any(base.__name__ == "binance" for base in kind.__mro__):
        return Listening

    class ListeningToBinance(Listening):
        def handle_ohlcv(self, client: Any, message: dict[str, Any]) -> None:
            super().handle_ohlcv(client, message)
            heard = heard_of_binance(self, client, message)
            if self.find_timeframe(message["k"]["i"]) == timeframe and heard is not None:
                hear(heard)

    return ListeningToBinance


def heard_of_binance(exchange: Any, client: Any, message: dict[str, Any]) -> Heard | None:
    """A message of kind `kline` with the two facts that ccxt leaves out; None where it has no time."""
    kline = message["k"]
    market_type = "spot" if exchange.is_spot_url(client) else "contract"
    market = exchange.safe_market(kline.get("s"), None, None, market_type)
    # REST counts the volume of inverse contracts in the base currency, which stands under q.
    volume = "q" if market.get("inverse") else "v"
    open_time_ms = exchange.safe_integer(kline, "t")
    if open_time_ms is None:
        return None
    ohlcv = tuple(exchange.safe_float(kline, name) for name in ("o", "h", "l", "c", volume))
    sent_ms = exchange.safe_integer(message, "E")
    return Heard(market["symbol"], open_time_ms, ohlcv, kline.get("x") is True, sent_ms)


def _guarded(client: Any) -> Callable[[Any], None]:
    read = client.handle_message

    def read_or_end(message: Any) -> None:
        try:
            read(message)
        except Exception as error:  # a frame that is cut, no JSON, or of another shape
            client.on_error(_ConnectionUseless(one_line(error)))

    return read_or_end


class _ConnectionUseless(Exception):
    """A message could not be understood; what follows it is not trusted either."""


class ExchangeStream:
    """Follows the bars of all symbols, and starts anew after every fault, later and later while that
    does not help.

    `newest_ms` has the open time of the newest bar heard of each symbol, `newest_closed_ms` of the
    newest that was said to have closed. Times are the exchange's.
    """

    def __init__(
        self,
        client: ExchangeClient,
        symbols: Sequence[str],
        timeframe: Timeframe,
        clock: Clock,
        hear: Callable[[Heard], None],
    ) -> None:
        self._client = client
        # One class for life: a class of its own for every connection would be left to the collector.
        self._kind = listening(client.kind, self._heard, timeframe.name)
        self._symbols = list(symbols)
        self._timeframe = timeframe
        self._clock = clock
        self._hear = hear
        self._begin_anew = asyncio.Event()
        self._closing: set[asyncio.Task[None]] = set()
        self._last: dict[str, Heard] = {}
        self._n_failures = 0
        self.newest_ms: dict[str, int] = {}
        self.newest_closed_ms: dict[str, int] = {}
        self.is_connected = False
        self.since_ms = 0
        self.heard_ms = 0
        self.n_reconnects = 0

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            await self._client.let_in()
            exchange = self._client.another(self._kind)
            self._begin_anew.clear()
            self.since_ms = self.heard_ms = self._client.now_ms()
            try:
                await self._follow(exchange)
                reason = "stalled"
            except Exception as error:
                reason = one_line(error)
                cause = error.args[0] if error.args else None  # a refused handshake has an answer in it
                self._client.obey(error, getattr(cause, "headers", None))
            finally:
                self.is_connected = False
                closing = asyncio.create_task(close_exchange(exchange))
                self._closing.add(closing)
                closing.add_done_callback(self._closing.discard)
            self.n_reconnects += 1
            pause_s = growing_pause_s(min(self._n_failures, _SLOWEST_RETRY), random.random())
            self._n_failures += 1
            _log.warning("stream_lost", reason=reason, pause_s=round(pause_s, 1))
            await self._clock.sleep(pause_s)

    def begin_anew(self) -> None:
        """What comes is not what should: tear the connection down and build another."""
        self._begin_anew.set()

    def forget(self, symbol: str) -> None:
        """Follow it no more."""
        if symbol in self._symbols:
            self._symbols.remove(symbol)
            self._begin_anew.set()

    def has_shown(self, symbol: str, open_time_ms: int) -> bool:
        """Whether the stream has told what it can of the end of a bar."""
        if self.newest_closed_ms.get(symbol, 0) >= open_time_ms:
            return True
        return symbol not in self.newest_closed_ms and self.newest_ms.get(symbol, 0) >= open_time_ms

    async def close(self) -> None:
        """Wait until the connections are closed; after `run` was cancelled."""
        await asyncio.gather(*self._closing)

    async def _follow(self, exchange: Any) -> None:
        parts = [self._symbols]
        if not exchange.has.get("watchOHLCVForSymbols"):
            parts = [[symbol] for symbol in self._symbols]
        watching = [asyncio.create_task(self._watch(exchange, part)) for part in parts]
        stalled = asyncio.create_task(self._begin_anew.wait())
        try:
            done, _ = await asyncio.wait((*watching, stalled), return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in (*watching, stalled):
                task.cancel()
            await asyncio.gather(*watching, stalled, return_exceptions=True)

    async def _watch(self, exchange: Any, symbols: Sequence[str]) -> None:
        timeframe = self._timeframe.name
        tells_end = any(kind.__name__ == "ListeningToBinance" for kind in type(exchange).__mro__)
        while True:
            if exchange.has.get("watchOHLCVForSymbols"):
                pairs = [[symbol, timeframe] for symbol in symbols]
                said = await exchange.watch_ohlcv_for_symbols(pairs)
                rows = [(name, row) for name, by_frame in said.items() for row in by_frame[timeframe]]
            else:
                rows = [(symbols[0], row) for row in await exchange.watch_ohlcv(symbols[0], timeframe)]
            for symbol, row in () if tells_end else rows:
                self._heard(Heard(symbol, int(row[0]), tuple(row[1:6]), None, None))

    def _heard(self, heard: Heard) -> None:
        symbol, open_ms = heard.symbol, heard.open_time_ms
        if symbol not in self._symbols:
            return
        self.is_connected = True
        if heard != self._last.get(symbol):  # the same value again and again is no sign of life
            self._last[symbol] = heard
            self.heard_ms = self._client.now_ms()
        if open_ms > self.newest_ms.get(symbol, 0):
            self.newest_ms[symbol] = open_ms
            self._n_failures = 0
        if heard.is_closed and open_ms > self.newest_closed_ms.get(symbol, 0):
            self.newest_closed_ms[symbol] = open_ms
        self._hear(heard)
