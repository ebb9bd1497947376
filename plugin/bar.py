"""What is a bar, and when is it a valid one?

A bar is the summary of the trades in `[open_time, close_time)`, UTC. Times are integers: milliseconds
since the epoch. A bar is known by its open time.
"""

from __future__ import annotations

import math
import re

import msgspec

from plugin.errors import BarRejected, WrongUse

_UNIT_MS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000}
# Seconds read as milliseconds end in 1970, microseconds lie thousands of years ahead.
EARLIEST_MS = 1_230_768_000_000  # 2009-01-01, before the first bitcoin trade
LATEST_MS = 4_102_444_800_000  # 2100-01-01


class Timeframe(msgspec.Struct, frozen=True, order=True):
    """The length of a bar, such as `1h`."""

    length_ms: int
    name: str

    @classmethod
    def parse(cls, name: str) -> Timeframe:
        """Read `15m`, `1h`, `4h`, `1d`. Raises WrongUse on anything else."""
        match = re.fullmatch(r"([1-9][0-9]{0,2})([mhd])", name)
        if match is None:
            raise WrongUse("a timeframe such as 15m, 1h or 1d", repr(name), "correct its spelling")
        length_ms = int(match[1]) * _UNIT_MS[match[2]]
        if _UNIT_MS["d"] % length_ms and length_ms % _UNIT_MS["d"]:
            raise WrongUse("a timeframe that divides a day", repr(name), "use one such as 1h")
        return cls(length_ms, name)

    def floor(self, time_ms: int) -> int:
        """The open time of the bar that `time_ms` lies in."""
        return time_ms - time_ms % self.length_ms


class BarClosed(msgspec.Struct, frozen=True):
    """The event that a bar is final: the only trigger of a decision.

    `host_signal` is what the bot means to do by itself, where it says so. `already_answered` is the
    reason with which whoever waited for this bar was answered before it came, such as `gap`: it is
    recorded with that reason, and not decided on.
    """

    symbol: str
    timeframe: str
    open_time_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    source: str
    received_ms: int
    host_signal: str | None = None
    already_answered: str | None = None

    @property
    def ohlcv(self) -> tuple[float, float, float, float, float]:
        """Open, high, low, close, volume: the part of a bar that a revision can change."""
        return self.open, self.high, self.low, self.close, self.volume


def check_bar(bar: BarClosed, timeframe: Timeframe, now_ms: int) -> None:
    """Raise BarRejected unless every invariant of a closed bar holds at `now_ms`."""
    if bar.timeframe != timeframe.name:
        raise BarRejected("other_timeframe", f"a bar of {timeframe.name}", bar.timeframe)
    if not EARLIEST_MS <= bar.open_time_ms < LATEST_MS:
        raise BarRejected("timestamp_unit", "an open time in milliseconds UTC", bar.open_time_ms)
    if bar.open_time_ms % timeframe.length_ms:
        raise BarRejected("off_grid", f"an open time on the {timeframe.name} grid", bar.open_time_ms)
    if bar.open_time_ms + timeframe.length_ms > now_ms:
        raise BarRejected("not_closed", f"a bar closed by {now_ms} ms", bar.open_time_ms)
    if None in bar.ohlcv or not all(map(math.isfinite, bar.ohlcv)):  # exchanges do send null
        raise BarRejected("not_finite", "finite prices and volume", bar.ohlcv)
    if min(bar.open, bar.high, bar.low, bar.close) <= 0 or bar.volume < 0:
        raise BarRejected("not_positive", "prices above 0 and volume of at least 0", bar.ohlcv)
    if bar.low > min(bar.open, bar.close) or bar.high < max(bar.open, bar.close):
        raise BarRejected("ohlc_inconsistent", "low <= open, close <= high", bar.ohlcv)
