"""How does a bar get into its buffer, and is it one to decide on?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import structlog

from plugin.bar import BarClosed, Timeframe, check_bar
from plugin.buffer import ArrivalKind, BarBuffer, Ohlcv
from plugin.clock import Clock
from plugin.errors import BarRejected

_log = structlog.get_logger()


class Taken(NamedTuple):
    """A bar after the buffer took it in. `refusal` is why it is not decided on, None where it is; of a
    bar that came again, `replaced` is what was held."""

    bar: BarClosed
    is_new: bool
    refusal: str | None
    replaced: Ohlcv | None = None


class Intake:
    """The one way by which closed bars get into `buffers`; histories have their own."""

    def __init__(self, buffers: Mapping[str, BarBuffer], timeframe: Timeframe, clock: Clock) -> None:
        self._buffers, self._timeframe, self._clock = buffers, timeframe, clock
        self._newest_taken_ms = dict.fromkeys(buffers, 0)

    def take(self, bar: BarClosed) -> Taken:
        """Check the bar of a known symbol and put it into its buffer."""
        try:
            check_bar(bar, self._timeframe, self._clock.now_ms())
            arrival = self._buffers[bar.symbol].push(bar)
        except BarRejected as error:
            _log.warning("bar_rejected", symbol=bar.symbol, bar=bar.open_time_ms, reason=error.reason)
            return Taken(bar, False, error.reason)
        if arrival.kind is ArrivalKind.AFTER_GAP:
            _log.warning(
                "bars_missing", symbol=bar.symbol, before=bar.open_time_ms, n_bars=arrival.n_missing
            )
        if arrival.kind in (ArrivalKind.NEW, ArrivalKind.AFTER_GAP):
            self._newest_taken_ms[bar.symbol] = bar.open_time_ms
            return Taken(bar, True, bar.already_answered)
        if (
            arrival.kind is not ArrivalKind.LATE
            and bar.open_time_ms > self._newest_taken_ms[bar.symbol]
        ):
            # Held only because a history had it: it comes by itself for the first time.
            self._newest_taken_ms[bar.symbol] = bar.open_time_ms
            is_newest = bar.open_time_ms == self._buffers[bar.symbol].newest_open_ms
            return Taken(bar, True, bar.already_answered or (None if is_newest else "late"))
        _log.info("bar_not_new", symbol=bar.symbol, bar=bar.open_time_ms, kind=arrival.kind.value)
        return Taken(bar, False, arrival.kind.value, arrival.seen)
