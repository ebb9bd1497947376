"""Who waits for which answer?

Whoever asks for the decision on a bar is told as soon as there is one: at once where the bar was
answered before, else when it is, or when it is certain that it will not be in time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, TypeAlias

from plugin.answer import Answer
from plugin.bar import EARLIEST_MS, LATEST_MS, BarClosed, Timeframe
from plugin.clock import Clock
from plugin.decision import Decision, Serving, refusal
from plugin.settings import Settings

Tell: TypeAlias = Callable[[Decision], None]
TellAll: TypeAlias = Callable[[Sequence[Decision]], None]
Withdraw: TypeAlias = Callable[[], object]
"""Called when whoever asked has gone away; may be called more than once, and too late."""
N_REMEMBERED = 4
"""Of each symbol, the newest bars."""


class Question(NamedTuple):
    """Which bar is asked about."""

    symbol: str
    timeframe: str
    open_time_ms: int


class _Waiter:
    """One who waits for one bar; told once."""

    def __init__(self, tell: Tell, expires_ms: int) -> None:
        self.tell = tell
        self.expires_ms = expires_ms
        self.alarm: asyncio.Task[None] | None = None


class Desk:
    """Remembers the newest answers of each served symbol and tells those who wait. One thread.

    `flags` and `serving` give what is in force, for the mode that a refusal names.
    """

    def __init__(
        self,
        timeframe: Timeframe,
        served: Sequence[str],
        flags: Callable[[], Settings],
        serving: Callable[[], Serving | None],
        clock: Clock,
    ) -> None:
        self._timeframe = timeframe
        self._flags = flags
        self._serving = serving
        self._clock = clock
        self._remembered: dict[str, dict[int, Decision]] = {symbol: {} for symbol in served}
        self._waiting: dict[tuple[str, int], list[_Waiter]] = {}
        self._handed_in: dict[int, tuple[BarClosed, Tell]] = {}

    def serves(self, symbol: str) -> bool:
        """Whether there are decisions on this symbol."""
        return symbol in self._remembered

    @property
    def n_waiting(self) -> int:
        """How many wait for a bar to come."""
        return sum(map(len, self._waiting.values()))

    def refuse(self, question: Question, reason: str) -> Decision:
        """The `abstain` for a bar that is not decided on."""
        return refusal(
            *question,
            timeframe=self._timeframe,
            flags=self._flags(),
            serving=self._serving(),
            reason=reason,
        )

    def deliver(self, answers: Sequence[Answer]) -> None:
        """Tell who waits, and remember. Whoever handed a bar in is told before all others."""
        for answer in answers:
            _, tell = self._handed_in.pop(id(answer.bar), (None, None))
            if tell is not None:
                tell(answer.decision)
        for answer in answers:
            bar, decision = answer.bar, answer.decision
            if answer.is_new:
                self._remember(decision)
            if bar.timeframe == self._timeframe.name:
                self._tell_waiting(bar.symbol, bar.open_time_ms, decision)

    def overdue(self, symbol: str, open_time_ms: int) -> None:
        """The bar did not come in time: whoever asks for it is told `gap`, now and later."""
        known = self._remembered.get(symbol)
        if known is None or open_time_ms in known:
            return
        gap = self.refuse(Question(symbol, self._timeframe.name, open_time_ms), "gap")
        self._remember(gap)
        self._tell_waiting(symbol, open_time_ms, gap)

    def expect(self, bar: BarClosed, tell: Tell) -> None:
        """Tell what is answered to this very object, which is about to go through the pipeline."""
        self._handed_in[id(bar)] = bar, tell

    def when_decided(self, question: Question, expires_ms: int, tell: Tell) -> Withdraw:
        """Tell the decision once: at once where it is known, at `expires_ms` at the latest.

        Call it within the loop; `tell` may be called before it returns.
        """
        reason = self._hopeless(question, expires_ms)
        if reason is not None:
            tell(self.refuse(question, reason))
            return _nothing
        known = self._remembered[question.symbol].get(question.open_time_ms)
        if known is not None:
            tell(known)
            return _nothing
        return self._wait(question, expires_ms, tell)

    async def ask(self, symbol: str, timeframe: str, open_time_ms: int, expires_ms: int) -> Decision:
        """As `when_decided`, for those who can wait."""
        told: asyncio.Future[Decision] = asyncio.get_running_loop().create_future()
        question = Question(symbol, timeframe, open_time_ms)
        withdraw = self.when_decided(question, expires_ms, told.set_result)
        try:
            return await told
        finally:
            withdraw()

    def _hopeless(self, question: Question, expires_ms: int) -> str | None:
        """Why no decision on that bar can be told in time; None where one may."""
        symbol, timeframe, open_time_ms = question
        length_ms, now_ms = self._timeframe.length_ms, self._clock.now_ms()
        if timeframe != self._timeframe.name:
            return "other_timeframe"
        if symbol not in self._remembered:
            return "symbol_not_served"
        if not EARLIEST_MS <= open_time_ms < LATEST_MS:
            return "timestamp_unit"
        if open_time_ms % length_ms:
            return "off_grid"
        if now_ms > expires_ms:
            return "timeout"
        known = self._remembered[symbol]
        is_over = open_time_ms + 2 * length_ms <= now_ms or open_time_ms < max(known, default=0)
        return "late" if is_over and open_time_ms not in known else None

    def _remember(self, decision: Decision) -> None:
        known = self._remembered.get(decision.symbol)
        if known is not None:
            known[decision.open_time_ms] = decision
            if len(known) > N_REMEMBERED:
                del known[min(known)]

    def _wait(self, question: Question, expires_ms: int, tell: Tell) -> Withdraw:
        place = question.symbol, question.open_time_ms
        waiter = _Waiter(tell, expires_ms)
        self._waiting.setdefault(place, []).append(waiter)
        left_s = (expires_ms - self._clock.now_ms()) / 1000
        waiter.alarm = asyncio.create_task(self._give_up(question, waiter, left_s))
        return partial(self._leave, place, waiter)

    async def _give_up(self, question: Question, waiter: _Waiter, left_s: float) -> None:
        await self._clock.sleep(left_s)
        if self._leave((question.symbol, question.open_time_ms), waiter):
            waiter.tell(self.refuse(question, "not_yet"))

    def _leave(self, place: tuple[str, int], waiter: _Waiter) -> bool:
        """Whether the waiter was still there."""
        waiters = self._waiting.get(place, [])
        if waiter not in waiters:
            return False
        waiters.remove(waiter)
        if not waiters:
            del self._waiting[place]
        if waiter.alarm is not None and waiter.alarm is not asyncio.current_task():
            waiter.alarm.cancel()
        return True

    def _tell_waiting(self, symbol: str, open_time_ms: int, decision: Decision) -> None:
        question = Question(symbol, self._timeframe.name, open_time_ms)
        for waiter in tuple(self._waiting.get((symbol, open_time_ms), ())):
            self._leave((symbol, open_time_ms), waiter)
            # The host may have slept: its timers know nothing of it, the time of day does.
            is_stale = self._clock.now_ms() > waiter.expires_ms
            waiter.tell(self.refuse(question, "timeout") if is_stale else decision)


def collect(n: int, tell: TellAll) -> list[Tell]:
    """One place for each of `n` decisions; when the last is told, `tell` gets all, in their order."""
    decisions: list[Decision | None] = [None] * n
    n_missing = n

    def put(place: int, decision: Decision) -> None:
        nonlocal n_missing
        decisions[place] = decision
        n_missing -= 1
        if n_missing == 0:
            tell([one for one in decisions if one is not None])

    if n == 0:
        tell(())
    return [partial(put, place) for place in range(n)]


def _nothing() -> None:
    """There is nothing to withdraw."""
