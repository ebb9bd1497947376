"""How do the bars of an exchange become batches of closed bars, whatever the network does?

Three things go on side by side. The stream tells of bars as they close; the asking fills what it did
not tell, over REST; and `batches` looks which bars are ready or overdue. `bar_ledger` has the rules,
`exchange_client` and `exchange_stream` the two ways to the exchange. docs/feeds.md tells it for users.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from math import inf
from typing import Any, TypeVar

import numpy as np
import structlog
from msgspec.structs import replace

from plugin.bar import BarClosed, Timeframe
from plugin.candles import Candles, on_grid
from plugin.clock import Clock
from plugin.sources.bar_ledger import BarLedger, grace_ms
from plugin.sources.exchange_asking import LOOK_EVERY_S, ExchangeAsking
from plugin.sources.exchange_client import ExchangeClient, NoAnswer, NotListed
from plugin.sources.exchange_stream import ExchangeStream, Heard

_log = structlog.get_logger()
_Said = TypeVar("_Said")
_STEP_BACK_MS, _STEP_AHEAD_MS = 1_000, 5_000
"""Beyond what a pause can be off by: then somebody set our clock."""


class CcxtFeed:
    """The closed bars of `symbols` at one exchange.

    `overdue(symbol, open_time_ms)` hears of bars that did not come in time, so that nobody waits for
    them; they are delivered later with `already_answered`.
    """

    def __init__(
        self,
        exchange: str,
        url: str,
        symbols: Sequence[str],
        timeframe: Timeframe,
        clock: Clock,
        *,
        overdue: Callable[[str, int], None],
    ) -> None:
        """Asks the exchange what it trades. Raises WrongUse, with near names, for an unknown exchange,
        symbol or timeframe; an exchange that does not answer is asked again later."""
        self._symbols = tuple(symbols)
        self._timeframe = timeframe
        self._length_ms = timeframe.length_ms
        self._clock = clock
        self._tell_overdue = overdue
        self._ledger = BarLedger(symbols, timeframe.length_ms)
        self._client = ExchangeClient(exchange, url, symbols, timeframe, clock)
        self._stream: ExchangeStream | None = None
        scout = ExchangeClient(exchange, url, symbols, timeframe, clock)
        with ThreadPoolExecutor(1) as thread:  # a loop may be running in this one
            thread.submit(asyncio.run, _look_up(scout)).result()
        self._client.take_over(scout)
        if self._client.has_stream:
            self._stream = ExchangeStream(self._client, symbols, timeframe, clock, self._hear)
        self._asking = ExchangeAsking(
            self._client, self._ledger, timeframe, clock, taken=self._taken, drop=self._drop
        )
        self._first_ms = 0
        self._news = asyncio.Event()
        self._stopped = asyncio.Event()
        self._dropped: dict[str, str] = {}
        self._from_rest: dict[str, int] = {}

    async def batches(self) -> AsyncIterator[list[BarClosed]]:
        ways: list[asyncio.Task[None]] = []
        try:
            if not await self._begin():
                return
            self._ledger.begin(self._first_ms, self._client.now_ms())
            ways = [asyncio.create_task(self._asking.run())]
            if self._stream is not None:
                ways.append(asyncio.create_task(self._stream.run()))
            while not self._stopped.is_set():
                for way in ways:
                    if way.done():
                        way.result()  # a fault of ours: end, and be started again
                batch = self._look()
                if batch:
                    yield batch
                else:
                    await self._pause()
        finally:
            await self._close(ways)

    def stop(self) -> None:
        self._stopped.set()
        self._news.set()

    def state(self) -> Mapping[str, object]:
        client, stream = self._client, self._stream
        is_streaming = stream is not None and stream.is_connected
        held_until_ms = client.held_until_ms
        return {
            "connected": is_streaming or client.fault is None,
            "fault": client.fault,
            "transport": "websocket" if is_streaming else "rest",
            "reconnects": stream.n_reconnects if stream else 0,
            "exchange_offset_ms": client.offset_ms,
            "last_bar": self._ledger.last_bars(),
            "held_back": self._ledger.n_held_back(),
            "banned_until": held_until_ms if held_until_ms > client.now_ms() else None,
            "dropped": dict(self._dropped),
            "requests": client.n_requests,
        }

    async def history(self, symbol: str, n_bars: int) -> Candles | None:
        """The bars before the newest closed one, which is the first to be delivered.

        Waits until the exchange answers, however long that takes, or until the source is stopped.
        """
        if not await self._begin():
            return None
        start_ms = next_ms = self._first_ms - n_bars * self._length_ms
        bars: dict[int, BarClosed] = {}
        while next_ms < self._first_ms:
            page = await self._patiently(self._asking.page, symbol, next_ms)
            if page is None or not page.rows or page.rows[-1][0] < next_ms:
                break
            next_ms = int(page.rows[-1][0]) + self._length_ms
            self._asking.take_closed(symbol, page, self._first_ms)
            found = self._asking.sound(symbol, page.rows)
            bars |= {
                bar.open_time_ms: bar for bar in found if start_ms <= bar.open_time_ms < self._first_ms
            }
        if not bars:
            return None
        self._ledger.know(bars.values())
        values = np.array([bar.ohlcv for bar in bars.values()]).T
        return on_grid(symbol, self._timeframe, np.array(list(bars), dtype=np.int64), values)

    async def _begin(self) -> bool:
        """Know the exchange's markets and time, and which bar is the first; False if stopped."""
        if not self._client.markets:
            await self._patiently(self._client.load)
        if not self._first_ms:
            await self._patiently(self._client.measure)
            now_ms = self._client.now_ms()
            self._first_ms = self._timeframe.floor(now_ms) - self._length_ms
            self._ledger.begin(self._first_ms, now_ms)
        return not self._stopped.is_set()

    async def _patiently(
        self, ask: Callable[..., Coroutine[Any, Any, _Said]], *about: Any
    ) -> _Said | None:
        """Ask until there is an answer; None for what the exchange does not know, or if stopped."""
        while not self._stopped.is_set():
            asking = asyncio.ensure_future(ask(*about))
            stopped = asyncio.ensure_future(self._stopped.wait())
            try:
                await asyncio.wait((asking, stopped), return_when=asyncio.FIRST_COMPLETED)
                if not asking.done():
                    break
            finally:
                stopped.cancel()
                asking.cancel()
            try:
                return asking.result()
            except NoAnswer:
                continue  # the client keeps the distance to the next attempt
            except NotListed:
                break
        return None

    def _look(self) -> list[BarClosed]:
        """Tell what is overdue, see to the stream, and take the next batch that may go out."""
        client, ledger, local_ms = self._client, self._ledger, self._clock.now_ms()
        if client.is_unsure:
            return self._judged(ledger.next_batch(-inf, local_ms))
        now_ms = client.now_ms()
        for symbol, open_ms in ledger.overdue(now_ms, local_ms):
            _log.warning("bar_overdue", symbol=symbol, bar=open_ms)
            self._tell_overdue(symbol, open_ms)
        if self._stream is not None:
            self._watch_over(self._stream, now_ms)
        return self._judged(ledger.next_batch(now_ms, local_ms))

    def _judged(self, batch: list[BarClosed]) -> list[BarClosed]:
        if not self._client.is_skewed(self._length_ms // 10):
            return batch
        return [replace(bar, already_answered=bar.already_answered or "clock_skew") for bar in batch]

    async def _pause(self) -> None:
        """Wait for news, not for long; and notice when somebody sets our clock meanwhile."""
        before_ms = self._clock.now_ms()
        timer = asyncio.ensure_future(self._clock.sleep(LOOK_EVERY_S))
        news = asyncio.ensure_future(self._news.wait())
        try:
            await asyncio.wait((timer, news), return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()
            news.cancel()
        self._news.clear()
        went_by_ms = self._clock.now_ms() - before_ms
        if not -_STEP_BACK_MS < went_by_ms < LOOK_EVERY_S * 1000 + _STEP_AHEAD_MS:
            self._client.is_unsure = True

    def _hear(self, heard: Heard) -> None:
        """The stream tells of a bar, closed or not."""
        client, length_ms = self._client, self._length_ms
        sent_ms = client.now_ms() if heard.sent_ms is None else heard.sent_ms
        if sent_ms > client.now_ms() + client.uncertainty_ms + _STEP_AHEAD_MS:
            client.is_unsure = True
        if heard.is_closed is None:
            self._ledger.hurry(heard.symbol, heard.open_time_ms - length_ms)
        elif heard.is_closed and sent_ms >= heard.open_time_ms + length_ms - 1:
            for bar in self._asking.sound(heard.symbol, [[heard.open_time_ms, *heard.ohlcv]]):
                if self._ledger.take(bar):
                    self._news.set()

    def _watch_over(self, stream: ExchangeStream, now_ms: int) -> None:
        """Begin the stream anew where it is silent for a bar and a while, or misses what REST has."""
        if now_ms - stream.heard_ms > self._length_ms + grace_ms(self._length_ms):
            stream.begin_anew()
        for symbol, open_ms in list(self._from_rest.items()):
            if now_ms < self._ledger.deadline_ms(open_ms):
                continue
            del self._from_rest[symbol]
            could_show = stream.since_ms < open_ms + self._length_ms
            if could_show and not stream.has_shown(symbol, open_ms):
                _log.warning("stream_misses_bars", symbol=symbol, bar=open_ms)
                stream.begin_anew()

    def _drop(self, symbol: str, reason: str) -> None:
        _log.error("symbol_dropped", symbol=symbol, reason=reason)
        self._dropped[symbol] = reason
        self._ledger.drop(symbol)
        if self._stream is not None:
            self._stream.forget(symbol)

    def _taken(self, bar: BarClosed) -> None:
        """REST had a bar that is news."""
        self._from_rest[bar.symbol] = bar.open_time_ms
        self._news.set()

    async def _close(self, ways: Sequence[asyncio.Task[None]]) -> None:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        if self._stream is not None:
            await self._stream.close()
        await self._client.close()


async def _look_up(client: ExchangeClient) -> ExchangeClient:
    """Read the markets once, in a loop that ends with it."""
    try:
        await client.load()
    except NoAnswer:
        """It will be asked again when the feed runs."""
    finally:
        await client.close()
    return client
