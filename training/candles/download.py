"""Which bars does the store lack, and how do they get there?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from plugin.bar import Timeframe
from plugin.candle_store import RawBars
from plugin.clock import utc_minute
from plugin.errors import WrongUse
from training.candles.coverage import Stretch, missing
from training.candles.exchange import PatientExchange
from training.candles.store import CandleWriter

PAGE_BARS = 1000
REVISABLE_BARS = 3  # an exchange may still correct its newest bars
# A file is rewritten whole, so it grows by at least this share: the total written stays linear.
_SAVE_SHARE = 0.05
_VENUES = {("binanceusdm", "swap"): "binance_usdm", ("binancecoinm", "swap"): "binance_coinm"}


class FetchProgress(Protocol):
    """Hears how a download goes on."""

    def started(self, symbol: str, n_slots: int) -> None:
        """A symbol begins; `n_slots` bars can exist in the time to ask for."""

    def advanced(self, symbol: str, n_slots: int, n_bars: int) -> None:
        """`n_slots` of them have been asked for, and `n_bars` came."""


@dataclass(frozen=True)
class Fetched:
    """What one download of a symbol brought."""

    venue: str
    symbol: str
    n_new: int
    n_revised: int
    n_bars: int
    path: str


def venue_of(exchange_name: str, market_type: str) -> str:
    """The folder name of a market, such as `binance_spot`."""
    return _VENUES.get((exchange_name, market_type), f"{exchange_name}_{market_type}")


def fetch(
    exchange: PatientExchange,
    symbol: str,
    timeframe: str,
    since_ms: int,
    until_ms: int | None,
    store: CandleWriter,
    progress: FetchProgress,
    page_bars: int = PAGE_BARS,
) -> Fetched:
    """Download the bars in `[since_ms, until_ms)` that the store lacks, and ask for the newest again.

    Only bars that have closed by the exchange's own clock are taken. Whatever ends the download, the
    pages that came are saved. Raises WrongUse, ExchangeUnavailable.
    """
    grid = Timeframe.parse(timeframe)
    exchange.check_timeframe(timeframe)
    market = exchange.market(symbol)
    if market["type"] not in {"spot", "swap"}:
        raise WrongUse("a spot pair or a perpetual", f"{symbol}, a {market['type']}", "choose another")
    download = _Download(
        store, venue_of(exchange.name, market["type"]), timeframe, f"{market['base']}/{market['quote']}"
    )
    closed_ms = grid.floor(exchange.time_ms())
    until_ms = closed_ms if until_ms is None else min(until_ms, closed_ms)
    if since_ms >= until_ms:
        was = f"{utc_minute(since_ms)} to {utc_minute(until_ms)}"
        raise WrongUse(
            "a start before the end and before the newest closed bar", was, "correct the dates"
        )
    stretches = _stretches_to_ask(download.covered(), since_ms, until_ms, grid)
    n_slots = sum(-(-(end - start) // grid.length_ms) for start, end in stretches)
    progress.started(symbol, n_slots)
    try:
        for stretch in stretches:
            for page, asked in _pages(exchange, symbol, grid, stretch, page_bars):
                download.add(page, asked)
                progress.advanced(symbol, -(-(asked[1] - asked[0]) // grid.length_ms), page.n_bars)
    finally:
        download.save()
    return download.result()


def _stretches_to_ask(
    covered: tuple[Stretch, ...], since_ms: int, until_ms: int, grid: Timeframe
) -> tuple[Stretch, ...]:
    if covered:
        start_ms, end_ms = covered[-1]
        covered = (*covered[:-1], (start_ms, end_ms - REVISABLE_BARS * grid.length_ms))
    first_ms = -(-since_ms // grid.length_ms) * grid.length_ms
    return missing(covered, first_ms, until_ms)


def _pages(
    exchange: PatientExchange, symbol: str, grid: Timeframe, stretch: Stretch, page_bars: int
) -> Iterator[tuple[RawBars, Stretch]]:
    """The bars of a stretch page by page, each with the time that it settles.

    An empty page is believed only when it comes twice, and settles nothing until a later bar has come:
    an exchange under maintenance answers so as well.
    """
    settled_ms = cursor_ms = stretch[0]
    while cursor_ms < stretch[1]:
        page = exchange.bars(symbol, grid.name, cursor_ms, page_bars)
        if not page.n_bars:
            exchange.pause(0, f"{symbol}: no bars from {utc_minute(cursor_ms)}; asking once more")
            page = exchange.bars(symbol, grid.name, cursor_ms, page_bars)
        time_ms = page.open_time_ms
        came = time_ms[time_ms >= cursor_ms]
        if not came.size:
            cursor_ms += page_bars * grid.length_ms
            continue
        cursor_ms = min(int(came[-1]) + grid.length_ms, stretch[1])
        wanted = (time_ms >= settled_ms) & (time_ms < stretch[1])
        yield page[wanted], (settled_ms, cursor_ms)
        settled_ms = cursor_ms


@dataclass
class _Download:
    """Pages that came, on their way into one file of the store."""

    store: CandleWriter
    venue: str
    timeframe: str
    symbol: str
    _pages: list[RawBars] = field(default_factory=list)
    _asked: list[Stretch] = field(default_factory=list)
    _n_new: int = 0
    _n_revised: int = 0
    _n_bars: int = 0

    def covered(self) -> tuple[Stretch, ...]:
        return self.store.covered(self.venue, self.timeframe, self.symbol)

    def add(self, page: RawBars, asked: Stretch) -> None:
        self._pages.append(page)
        self._asked.append(asked)
        if sum(page.n_bars for page in self._pages) >= self._n_bars * _SAVE_SHARE:
            self.save()

    def save(self) -> None:
        if not self._asked:
            return
        bars = RawBars(
            np.concatenate([page.open_time_ms for page in self._pages]),
            np.concatenate([page.ohlcv for page in self._pages], axis=1),
        )
        merged = self.store.merge(self.venue, self.timeframe, self.symbol, bars, self._asked)
        self._pages, self._asked = [], []
        self._n_new += merged.n_new
        self._n_revised += merged.n_revised
        self._n_bars = merged.n_bars

    def result(self) -> Fetched:
        path = self.store.path(self.venue, self.timeframe, self.symbol)
        return Fetched(self.venue, self.symbol, self._n_new, self._n_revised, self._n_bars, str(path))
