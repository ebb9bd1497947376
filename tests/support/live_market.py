"""What does the local exchange know of a symbol at a moment: closed bars, and the one still forming?"""

from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple

from plugin.buffer import Ohlcv
from plugin.candles import ABSENT, Candles


class Kline(NamedTuple):
    """A bar as it stands at a moment; values of an open one are those so far."""

    open_time_ms: int
    ohlcv: Ohlcv
    is_closed: bool


@dataclass
class LiveMarket:
    """The bars of one symbol, and what the exchange does to them.

    `omitted` says until when (exchange time) a bar is not known; `revised` has other values of a bar,
    and from when on it has them. Both are keyed by the open time.
    """

    candles: Candles
    omitted: dict[int, float] = field(default_factory=dict)
    revised: dict[int, tuple[int, Ohlcv]] = field(default_factory=dict)

    def at(self, open_time_ms: int, now_ms: int) -> Kline | None:
        """The bar that opened then, as of `now_ms`; None where there is none, or not yet."""
        length_ms = self.candles.timeframe.length_ms
        column = (open_time_ms - self.candles.first_open_ms) // length_ms
        known = 0 <= column < self.candles.n_bars and open_time_ms <= now_ms
        if not known or self.candles.bars[ABSENT, column] or now_ms < self.omitted.get(open_time_ms, 0):
            return None
        o, h, low, c, v = self.candles.bars[:ABSENT, column].tolist()
        share = (now_ms - open_time_ms) / length_ms
        if share < 1.0:
            return Kline(open_time_ms, _so_far((o, h, low, c, v), share), False)
        since_ms, revised = self.revised.get(open_time_ms, (inf, (o, h, low, c, v)))
        return Kline(open_time_ms, revised if now_ms >= since_ms else (o, h, low, c, v), True)

    def newest(self, now_ms: int) -> Kline | None:
        """The newest bar that exists at `now_ms`, closed or not."""
        length_ms, first_ms = self.candles.timeframe.length_ms, self.candles.first_open_ms
        last_ms = first_ms + (self.candles.n_bars - 1) * length_ms
        opened_ms = min(self.candles.timeframe.floor(now_ms), last_ms)
        while opened_ms >= first_ms:
            if kline := self.at(opened_ms, now_ms):
                return kline
            opened_ms -= length_ms
        return None

    def page(self, since_ms: int | None, until_ms: int, limit: int, now_ms: int) -> list[Kline]:
        """At most `limit` bars that open in `[since_ms, until_ms]`: the first ones, or the last
        ones where `since_ms` is None."""
        end_ms = min(until_ms, now_ms) + 1
        since = self.candles.first_open_ms if since_ms is None else since_ms
        times = self.candles.between(since, end_ms).open_time_ms.tolist()
        known = [kline for time_ms in times if (kline := self.at(time_ms, now_ms))]
        return known[:limit] if since_ms is not None else known[-limit:]


def _so_far(ohlcv: Ohlcv, share: float) -> Ohlcv:
    """The values after a `share` of the bar's time: never those that it closes with."""
    opening, high, low, close, volume = ohlcv
    now = opening + (close - opening) * share
    return (
        opening,
        max(opening, now) + (high - max(opening, close)) * share,
        min(opening, now) - (min(opening, close) - low) * share,
        now,
        volume * share,
    )
