"""Which bar of which symbol is due, missing, overdue or ready to go out?

Pure bookkeeping in exchange time: nothing waits here and nothing is asked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

import structlog
from msgspec.structs import replace

from plugin.bar import BarClosed
from plugin.buffer import Ohlcv

_log = structlog.get_logger()
LONGEST_GRACE_MS = 30_000
"""So long after a close a batch waits for its last symbol: a bot that acts on bars acts by then."""
HOLD_BARS = 24
"""After so many bars the features take windows again although one bar is absent before them."""
_REMEMBERED = 32
_SURE_AFTER_ANSWERS = 2
_SURE_AFTER_BARS = 4
"""An exchange that shows so many later bars lacks it for good; until then it may still come."""
_FIRST_RETRY_MS = 1_000


def grace_ms(length_ms: int) -> int:
    """How long after a close a batch waits for its last symbol; short bars can not wait for long."""
    return min(length_ms // 10, LONGEST_GRACE_MS)


@dataclass
class _Line:
    """One symbol. `next_ms` is the open time of the bar to be delivered next, `told_ms` that of the
    last bar of which somebody was told that it is overdue; `held` are bars from `next_ms` on."""

    next_ms: int = 0
    told_ms: int = 0
    held: dict[int, BarClosed] = field(default_factory=dict)
    known: dict[int, Ohlcv] = field(default_factory=dict)
    lacking_answers: int = 0
    n_asked: int = 0
    ask_at_ms: int = 0
    is_hurried: bool = False
    is_dropped: bool = False

    def is_ready(self) -> bool:
        return self.next_ms in self.held

    def unbroken_until_ms(self, length_ms: int) -> int:
        """The first open time that is not held."""
        open_ms = self.next_ms
        while open_ms in self.held:
            open_ms += length_ms
        return open_ms

    def go_on_at(self, open_ms: int) -> None:
        self.next_ms = open_ms
        self.lacking_answers = self.n_asked = self.ask_at_ms = 0
        self.is_hurried = False

    def remember(self, bar: BarClosed) -> None:
        self.known[bar.open_time_ms] = bar.ohlcv
        if len(self.known) > _REMEMBERED:
            del self.known[min(self.known)]


class BarLedger:
    """Closed bars go in as they come, from wherever; batches come out in time order per symbol."""

    def __init__(self, symbols: Sequence[str], length_ms: int) -> None:
        self._lines = {symbol: _Line() for symbol in symbols}
        self._length_ms = length_ms
        self._grace_ms = grace_ms(length_ms)
        self._began_ms = 0
        self._outside: list[BarClosed] = []  # bars before `next_ms`: revised, or late
        self._overdue: list[tuple[str, int]] = []

    def begin(self, first_ms: int, now_ms: int) -> None:
        """The first bar to deliver opened at `first_ms`; what closed before now is not late yet."""
        self._began_ms = now_ms
        for line in self._lines.values():
            line.go_on_at(first_ms)
            line.told_ms = first_ms - self._length_ms

    def know(self, bars: Iterable[BarClosed]) -> None:
        """These were delivered already, as history."""
        for bar in bars:
            self._lines[bar.symbol].remember(bar)

    def take(self, bar: BarClosed) -> bool:
        """A sound closed bar has come; True where it is news."""
        line = self._lines[bar.symbol]
        if bar.open_time_ms >= line.next_ms:
            is_news = bar.open_time_ms not in line.held
            if is_news and bar.open_time_ms > line.next_ms:
                line.n_asked = line.ask_at_ms = 0  # a hole shows: what is before it must be there now
            line.held[bar.open_time_ms] = bar
            return is_news
        if line.known.get(bar.open_time_ms) == bar.ohlcv:
            return False
        if bar.open_time_ms < min(line.known, default=line.next_ms):
            return False  # long forgotten: nobody can say whether it is new
        was_known = bar.open_time_ms in line.known
        line.remember(bar)
        self._outside.append(bar if was_known else replace(bar, already_answered="gap"))
        return True

    def lacks(self, symbol: str, seen_ms: Collection[int]) -> None:
        """The exchange has shown bars with these open times. What is missing between them it has not;
        one answer may be wrong, so it takes two."""
        line = self._lines[symbol]
        if not seen_ms or not min(seen_ms) < line.next_ms < max(seen_ms) or line.next_ms in seen_ms:
            return
        line.lacking_answers += 1
        n_later = (max(seen_ms) - line.next_ms) // self._length_ms
        if line.lacking_answers < _SURE_AFTER_ANSWERS or n_later < _SURE_AFTER_BARS:
            return
        first_seen_ms = min(time_ms for time_ms in seen_ms if time_ms > line.next_ms)
        self._skip(symbol, min(first_seen_ms, min(line.held, default=first_seen_ms)), "not_at_exchange")

    def drop(self, symbol: str) -> None:
        """The exchange does not follow it any more: nothing waits for it, and its bars are overdue."""
        self._lines[symbol].is_dropped = True

    def overdue(self, now_ms: int, local_ms: int) -> list[tuple[str, int]]:
        """Symbols and open times whose time is up at `now_ms`, each told once.

        A bar that is held is not overdue, unless it is still open by our own clock, `local_ms`.
        """
        told, self._overdue = self._overdue, []
        for symbol, line in self._lines.items():
            unbroken_ms = line.unbroken_until_ms(self._length_ms)
            open_ms = max(line.next_ms, line.told_ms + self._length_ms)
            while self.deadline_ms(open_ms) <= now_ms:
                if open_ms >= unbroken_ms or open_ms + self._length_ms > local_ms:
                    told.append((symbol, open_ms))
                    line.told_ms = open_ms
                open_ms += self._length_ms
        return told

    def next_batch(self, now_ms: float, local_ms: int) -> list[BarClosed]:
        """The bars to go out now: of one open time, the oldest first; none where nothing is ready.

        With `now_ms` of minus infinity, the exchange's time being unknown, only what is whole.
        """
        if self._outside:
            open_ms = min(bar.open_time_ms for bar in self._outside)
            batch = {bar.symbol: bar for bar in self._outside if bar.open_time_ms == open_ms}
            self._outside = [bar for bar in self._outside if bar.open_time_ms != open_ms]
            return list(batch.values())
        self._let_go_of_holes()
        ready = [line.next_ms for line in self._lines.values() if line.is_ready()]
        open_ms = min(ready, default=0)
        if not ready or open_ms + self._length_ms > local_ms:
            return []
        if self._is_awaited(open_ms) and now_ms < self.deadline_ms(open_ms):
            return []
        return [
            self._deliver(line)
            for line in self._lines.values()
            if line.is_ready() and line.next_ms == open_ms
        ]

    def to_ask(self, now_ms: int, settle_ms: int) -> list[tuple[str, int]]:
        """Which symbols to ask REST about, and from which open time on: one that is known, if any."""
        length_ms = self._length_ms
        return [
            (symbol, max(line.known, default=line.next_ms - 2 * length_ms))
            for symbol, line in self._lines.items()
            if not line.is_dropped and not line.is_ready() and line.ask_at_ms <= now_ms
            if line.next_ms + length_ms + (0 if line.is_hurried else settle_ms) <= now_ms
        ]

    def asked(self, symbol: str, now_ms: int, *, is_answered: bool) -> None:
        """It was asked about. Where an answer lacks its next bar, ask again later, and ever later."""
        line = self._lines[symbol]
        line.is_hurried = False
        if line.is_ready():
            return
        pause_ms = _FIRST_RETRY_MS * 2 ** min(line.n_asked, 20) if is_answered else _FIRST_RETRY_MS
        line.ask_at_ms = now_ms + min(self._length_ms, pause_ms)
        line.n_asked += is_answered

    def hurry(self, symbol: str, open_ms: int) -> None:
        """The bar that opened then has closed, as far as one can see: ask without waiting for it to
        settle."""
        line = self._lines[symbol]
        if line.next_ms == open_ms and line.n_asked == 0:
            line.is_hurried = True

    def deadline_ms(self, open_ms: int) -> int:
        """Until when the bar that opened then is waited for, in exchange time."""
        return max(open_ms + self._length_ms, self._began_ms) + self._grace_ms

    def next_ms(self, symbol: str) -> int:
        """The open time of the bar that is delivered next."""
        return self._lines[symbol].next_ms

    def last_bars(self) -> dict[str, int | None]:
        """The open time of the newest bar that was delivered, of each symbol."""
        return {symbol: max(line.known, default=None) for symbol, line in self._lines.items()}

    def n_held_back(self) -> int:
        """Bars that wait for others before them."""
        return sum(len(line.held) for line in self._lines.values() if not line.is_ready())

    def _is_awaited(self, open_ms: int) -> bool:
        """Whether a symbol may still bring its bar in time; one that is behind for longer may not."""
        return any(
            line.next_ms <= open_ms and line.told_ms < line.next_ms
            for line in self._lines.values()
            if not line.is_dropped and not line.is_ready()
        )

    def _deliver(self, line: _Line) -> BarClosed:
        bar = line.held.pop(line.next_ms)
        line.remember(bar)
        line.go_on_at(bar.open_time_ms + self._length_ms)
        return replace(bar, already_answered="gap") if bar.open_time_ms <= line.told_ms else bar

    def _let_go_of_holes(self) -> None:
        for symbol, line in self._lines.items():
            if line.held and not line.is_ready():
                oldest_ms, newest_ms = min(line.held), max(line.held)
                if newest_ms - line.next_ms >= HOLD_BARS * self._length_ms:
                    self._skip(symbol, oldest_ms, "given_up")

    def _skip(self, symbol: str, until_ms: int, reason: str) -> None:
        """Go on at `until_ms`; who waits for a bar before it is told at once."""
        line, length_ms = self._lines[symbol], self._length_ms
        _log.warning(
            "bars_skipped",
            symbol=symbol,
            bar=line.next_ms,
            n_bars=(until_ms - line.next_ms) // length_ms,
            reason=reason,
        )
        for open_ms in range(max(line.next_ms, line.told_ms + length_ms), until_ms, length_ms):
            self._overdue.append((symbol, open_ms))
            line.told_ms = open_ms
        line.go_on_at(until_ms)
