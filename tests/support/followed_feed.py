"""A real feed on a local exchange, one hour after the other, and all that it says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from plugin.bar import BarClosed, Timeframe
from plugin.candles import ABSENT, Candles, on_grid
from plugin.sources.ccxt_feed import CcxtFeed
from tests.support.jumping_clock import JumpingClock, TrueClock
from tests.support.live_exchange import LiveExchange
from tests.support.raw_bars import HOUR_MS, START_MS, raw_bars
from tests.support.scripted_source import until

HOURLY = Timeframe.parse("1h")
SYMBOLS = ("BTC/USDT", "ETH/USDT")
N_BARS = 900
NOW_SLOT = 600
"""The bar in this slot is open when the feed starts; the one before it is the newest closed one."""
_SPEED = 20.0


def open_ms(slot: int) -> int:
    return START_MS + slot * HOUR_MS


def slot_of(time_ms: int) -> int:
    return (time_ms - START_MS) // HOUR_MS


def candles(symbol: str, seed: int) -> Candles:
    bars = raw_bars(N_BARS, seed)
    return on_grid(symbol, HOURLY, bars.open_time_ms, bars.ohlcv)


class Followed:
    """The exchange, the feed, and what came of it: `batches` and `overdue` as (symbol, slot)."""

    def __init__(self, symbols: Sequence[str] = SYMBOLS) -> None:
        self.clock = JumpingClock(open_ms(NOW_SLOT) + 600_000, _SPEED)
        self.candles = {symbol: candles(symbol, seed) for seed, symbol in enumerate(symbols, 1)}
        self.exchange = LiveExchange(self.candles, TrueClock(self.clock), HOURLY)
        self.exchange.update_every_ms = 2_000  # of its clock: ten frames a second
        self.batches: list[list[BarClosed]] = []
        self.overdue: list[tuple[str, int]] = []

    def open_feed(self, symbols: Sequence[str] | None = None, url: str | None = None) -> CcxtFeed:
        self.feed = CcxtFeed(
            "binance",
            self.exchange.url if url is None else url,
            symbols or tuple(self.candles),
            HOURLY,
            self.clock,
            overdue=lambda symbol, time_ms: self.overdue.append((symbol, slot_of(time_ms))),
        )
        return self.feed

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Collect what the feed delivers, from its history to its end."""
        for symbol in self.candles:
            await self.feed.history(symbol, 30)
        task = asyncio.create_task(self._collect())
        try:
            await self.delivered(NOW_SLOT - 1)
            yield
        finally:
            self.feed.stop()
            async with asyncio.timeout(30):
                await task

    async def streaming(self) -> None:
        """Wait until the websocket tells of bars."""
        await until(lambda: self.feed.state()["transport"] == "websocket")

    def go_to(self, slot: int, seconds: float = -2.0) -> None:
        """Let time go by until so many seconds after the bar in `slot` has opened."""
        self.clock.jump_to(open_ms(slot) + int(seconds * 1000))

    async def delivered(self, slot: int, symbols: Sequence[str] | None = None) -> None:
        """Wait until the bars in `slot` of these symbols have come."""
        wanted = {(symbol, slot) for symbol in symbols or self.candles}
        await until(lambda: wanted <= set(self.slots()))

    def bars(self) -> list[BarClosed]:
        return [bar for batch in self.batches for bar in batch]

    def slots(self) -> list[tuple[str, int]]:
        return [(bar.symbol, slot_of(bar.open_time_ms)) for bar in self.bars()]

    def answered(self) -> dict[tuple[str, int], str | None]:
        return {(bar.symbol, slot_of(bar.open_time_ms)): bar.already_answered for bar in self.bars()}

    def has_true_values(self) -> bool:
        """Whether each bar that came is the one that the exchange closed with."""
        return all(
            list(bar.ohlcv)
            == self.candles[bar.symbol].bars[:ABSENT, slot_of(bar.open_time_ms)].tolist()
            for bar in self.bars()
        )

    async def _collect(self) -> None:
        async for batch in self.feed.batches():
            self.batches.append(batch)
