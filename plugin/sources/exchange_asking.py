"""What of the bars has to be asked over REST, and what do the answers say?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import structlog

from plugin.bar import BarClosed, Timeframe, check_bar
from plugin.clock import Clock
from plugin.errors import BarRejected
from plugin.sources.bar_ledger import HOLD_BARS, BarLedger
from plugin.sources.exchange_client import ExchangeClient, NoAnswer, NotListed, Page

_log = structlog.get_logger()
LOOK_EVERY_S = 0.5
_MEASURE_EVERY_S = 900.0
_SETTLE_MS = 2_000
"""So long after a close the stream may tell of the bar before REST is asked."""
_FINAL_MS = 1_000
"""A REST answer written so long after a close has the values that the bar closed with."""
_PAGE_BARS = 1_000  # exchanges that give fewer at a time do so
_SURELY_UNKNOWN = 2
_DOUBTED_AFTER_BARS = 3


class ExchangeAsking:
    """Puts into `ledger` what the stream did not tell.

    `taken` hears of every bar that is news, `drop` of symbols that the exchange does not trade any
    more, with the reason.
    """

    def __init__(
        self,
        client: ExchangeClient,
        ledger: BarLedger,
        timeframe: Timeframe,
        clock: Clock,
        *,
        taken: Callable[[BarClosed], None],
        drop: Callable[[str, str], None],
    ) -> None:
        self._client = client
        self._ledger = ledger
        self._timeframe = timeframe
        self._length_ms = timeframe.length_ms
        self._clock = clock
        self._taken = taken
        self._drop = drop
        self._n_unknown: dict[str, int] = {}
        self._doubted_until_ms: dict[str, int] = {}

    async def run(self) -> None:
        """Ask REST for what the stream does not tell, and what time it is."""
        since_measured_s = 0.0
        while True:
            try:
                if self._client.is_unsure or since_measured_s >= _MEASURE_EVERY_S:
                    await self._client.measure()
                    since_measured_s = 0.0
                for symbol, since_ms in self._ledger.to_ask(self._client.now_ms(), _SETTLE_MS):
                    await self._ask(symbol, since_ms)
            except NoAnswer:
                """The client keeps the distance to the next attempt."""
            await self._clock.sleep(LOOK_EVERY_S)
            since_measured_s += LOOK_EVERY_S

    async def _ask(self, symbol: str, since_ms: int) -> None:
        """Ask about one symbol from a known bar on, and take in what has closed since."""
        is_answered = False
        try:
            page = await self.page(symbol, since_ms)
            is_answered = True
            self._n_unknown[symbol] = 0
            self.take_closed(symbol, page, since_ms)
            self._ledger.lacks(symbol, [int(row[0]) for row in page.rows])
        except NotListed:
            is_answered = True
            self._n_unknown[symbol] = self._n_unknown.get(symbol, 0) + 1
            if self._n_unknown[symbol] >= _SURELY_UNKNOWN:
                self._drop(symbol, "unknown to the exchange")
        finally:
            self._ledger.asked(symbol, self._client.now_ms(), is_answered=is_answered)
        if self._n_unknown[symbol] == 0:
            await self._doubt(symbol)

    def take_closed(self, symbol: str, page: Page, since_ms: int) -> None:
        """Take in the bars of a page that have closed; the newest only once it has its last values."""
        newest_ms = page.rows[-1][0] if page.rows else 0
        closed = [
            row
            for row in page.rows
            if row[0] >= since_ms
            if row[0] + self._length_ms + (_FINAL_MS if row[0] == newest_ms else 0) <= page.at_ms
        ]
        for bar in self.sound(symbol, closed):
            if self._ledger.take(bar):
                self._taken(bar)

    async def _doubt(self, symbol: str) -> None:
        """After some bars without one, see whether the exchange trades the symbol at all."""
        now_ms = self._client.now_ms()
        silent_ms = now_ms - self._ledger.next_ms(symbol)
        if silent_ms < _DOUBTED_AFTER_BARS * self._length_ms:
            return
        if now_ms < self._doubted_until_ms.get(symbol, 0):
            return
        self._doubted_until_ms[symbol] = now_ms + HOLD_BARS * self._length_ms
        if not await self._client.lists(symbol):
            self._drop(symbol, "not traded any more")

    async def page(self, symbol: str, since_ms: int) -> Page:
        n_until_now = (self._client.now_ms() - since_ms) // self._length_ms + 1
        return await self._client.bars(symbol, since_ms, min(_PAGE_BARS, n_until_now))

    def sound(self, symbol: str, rows: Sequence[Sequence[Any]]) -> list[BarClosed]:
        """The bars that break no invariant; another is as good as none, and the right one may come."""
        received_ms, bars = self._clock.now_ms(), []
        for open_ms, opening, high, low, close, volume in (row[:6] for row in rows):
            bar = BarClosed(
                symbol,
                self._timeframe.name,
                open_ms,
                opening,
                high,
                low,
                close,
                volume,
                source="ccxt",
                received_ms=received_ms,
            )
            try:
                check_bar(bar, self._timeframe, open_ms + self._length_ms)
            except BarRejected as error:
                _log.warning("bar_rejected", symbol=symbol, bar=open_ms, reason=error.reason)
                continue
            bars.append(bar)
        return bars
