"""How does a nautilus_trader strategy ask shadowgate, in a backtest and live?

A backtest must give the same trades twice: there the question is asked on the spot, while the engine's
time stands still. A live node calls `on_bar` on the event loop that also carries its market data and
orders: there it is asked from a thread of nautilus's own executor, and the answer comes back to the
loop. In both the answer is handed over by a call of its own, `answered`.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Literal

from nautilus_trader.common.actor import Actor
from nautilus_trader.common.component import LiveClock, TimeEvent
from nautilus_trader.common.config import ActorConfig, NautilusConfig
from nautilus_trader.core.data import Data
from nautilus_trader.model.data import Bar, BarType, DataType

from plugin.hosts.client import Decision
from plugin.hosts.nautilus_asking import HISTORY_BARS, Answers, Asking, Close, Question
from plugin.hosts.nautilus_bars import Grid, PlainBar, Stamped, Unfit, check_time, symbol_of

_GRACE_S = 0.1
"""What a live answer may take beyond the deadline before it is given up for lost."""
_HISTORY_PAUSE_MS = 3_600_000
_WANTS_HISTORY = ("warming_up", "gap", "companion_warming_up", "companion_gap")
_numbers = itertools.count()


class ShadowgateConfig(NautilusConfig, frozen=True):  # type: ignore[misc,call-arg]
    """What is asked, and how long it may take.

    Bars of `bar_types` are decided on. Those of `companions`, which the bundle compares with, go along:
    `companions_s`, by the engine's clock, is how long the others wait for the last bar of a close.
    `deadline_s` is how long an answer may take, in real time. `stamped` says which end of a bar its
    `ts_event` is: the close, as nautilus itself has it, or the open, as some loaders have it. `symbols`
    names instruments, by id, that have another symbol at shadowgate than that of their currencies.
    """

    bar_types: tuple[BarType, ...]
    companions: tuple[BarType, ...] = ()
    socket: str = "run/plugin.sock"
    deadline_s: float = 0.25
    companions_s: float = 5.0
    stamped: Stamped = "close"
    symbols: dict[str, str] = {}  # noqa: RUF012 - the base class copies it for each object


class Shadowgate:
    """What a strategy or an actor asks with. `answered` is called once for each bar of `bar_types`.

    Call `start` in `on_start`, `take` in `on_bar` with every bar, `take_history` in
    `on_historical_data` and `stop` in `on_stop`. Nothing raises here but what `answered` raises.
    """

    def __init__(
        self, owner: Actor, config: ShadowgateConfig, answered: Callable[[Bar, Decision], None]
    ) -> None:
        """Raises ValueError unless all bar types are time bars of last prices, of one length."""
        self._owner = owner
        self._config = config
        self._answered = answered
        self._served = frozenset(one.standard() for one in config.bar_types)
        self._wanted = self._served | {one.standard() for one in config.companions}
        self._grid = Grid.of(self._wanted, config.stamped)
        self._asking = Asking(config.socket, config.deadline_s, self._grid.timeframe)
        self._name = f"shadowgate-{next(_numbers)}"
        self._begin()

    def _begin(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: dict[int, list[Question]] = {}
        self._asked_ms = self._requested_ms = 0
        self._newest_ms: dict[BarType, int] = {}
        self._latest: dict[BarType, tuple[int, Decision]] = {}
        self._unanswered: set[int] = set()
        self._complaints: set[str] = set()
        self._asking.forget()

    def start(self) -> None:
        """Subscribe to all bars; live, also request the history that fills the service's windows."""
        self._begin()  # an engine that was reset starts its strategies again, at an earlier time
        if isinstance(self._owner.clock, LiveClock):
            with suppress(RuntimeError):  # started outside of the loop: then it is asked on the spot
                self._loop = asyncio.get_running_loop()
            self._request_history()
        for bar_type in (*self._config.bar_types, *self._config.companions):
            self._owner.subscribe_bars(bar_type)

    def stop(self) -> None:
        """Forget what waits. An answer that is still to come is dropped."""
        self._waiting.clear()
        self._unanswered.clear()

    def take(self, bar: Bar, host_signal: str | None = None) -> None:
        """A bar has closed. `host_signal`: what the strategy means to do by itself, for the record."""
        bar_type = bar.bar_type.standard()
        if bar_type not in self._wanted:
            return
        answers: Answers = []
        try:
            plain = self._plain(bar)
            check_time(plain, self._owner.clock.timestamp_ms())
            answers = self._place(Question(bar, plain, host_signal))
        except Exception as error:
            if bar.is_revision:  # with some venues those of a bar that is still open
                return
            reason = self._complain(error, bar)
            if bar_type in self._served:
                answers = [(bar, self._abstain(bar, reason))]
        self._tell(answers)

    def take_history(self, bar: object) -> None:
        """A bar of the past, as `on_historical_data` has it; anything else is left alone."""
        if not isinstance(bar, Bar) or bar.bar_type.standard() not in self._wanted:
            return
        try:
            plain = self._plain(bar)
            if plain.close_time_ms <= self._owner.clock.timestamp_ms():
                self._asking.take_history(plain)
        except Exception as error:
            self._complain(error, bar)

    def decision_for(self, bar: Bar) -> Decision:
        """What was decided on that bar; it abstains with `no_answer` while there is none."""
        ts_event, decision = self._latest.get(bar.bar_type.standard(), (0, None))
        if decision is None or ts_event != bar.ts_event:
            return self._abstain(bar, "no_answer")
        return decision

    def follows(self, decision: Decision) -> bool:
        """Whether to act on it now, by the engine's clock; where not, do what you would do anyway."""
        return decision.follow_at(self._owner.clock.timestamp_ms())

    def size_factor(self, bar: Bar, side: Literal["long", "short"]) -> float:
        """By what to multiply an entry that follows from `bar`: 1.0 unless its decision is followed.

        A followed decision for another side is a veto: 0.0.
        """
        decision = self.decision_for(bar)
        if not self.follows(decision):
            return 1.0
        return decision.size_multiplier if decision.action == side else 0.0

    # Which bars are asked about together, and when.

    def _place(self, question: Question) -> Answers:
        bar_type, opened_ms = question.bar.bar_type.standard(), question.plain.open_time_ms
        if opened_ms <= self._newest_ms.get(bar_type, 0):
            self._ask([question], is_new=False)  # for the record: what was decided stands
            return []
        self._newest_ms[bar_type] = opened_ms
        answers: Answers = []
        for earlier_ms in sorted(one for one in self._waiting if one < opened_ms):
            answers += self._ask_close(earlier_ms)
        if opened_ms <= self._asked_ms:  # the others have waited for it long enough
            return answers + self._ask([question])
        if opened_ms not in self._waiting:
            alert_ns = self._owner.clock.timestamp_ns() + int(self._config.companions_s * 1e9)
            alert = partial(self._alert, opened_ms)
            self._owner.clock.set_time_alert_ns(f"{self._name}-{opened_ms}", alert_ns, alert)
            self._waiting[opened_ms] = []
        self._waiting[opened_ms].append(question)
        if len(self._waiting[opened_ms]) == len(self._wanted):
            answers += self._ask_close(opened_ms)
        return answers

    def _alert(self, opened_ms: int, _: TimeEvent) -> None:
        if self._loop is None:
            self._overdue(opened_ms)
            return
        with suppress(RuntimeError):  # a live clock calls from a thread of its own, maybe after the end
            self._loop.call_soon_threadsafe(self._overdue, opened_ms)

    def _overdue(self, opened_ms: int) -> None:
        if opened_ms in self._waiting:
            self._tell(self._ask_close(opened_ms))

    def _ask_close(self, opened_ms: int) -> Answers:
        self._asked_ms = max(self._asked_ms, opened_ms)
        return self._ask(self._waiting.pop(opened_ms))

    # The question: in a backtest on the spot, live from another thread.

    def _ask(self, questions: Sequence[Question], *, is_new: bool = True) -> Answers:
        """The answers, where they are there at once."""
        served = [one for one in questions if one.bar.bar_type.standard() in self._served]
        beside = [one for one in questions if one not in served]
        close = self._asking.close_of(served, beside)
        if self._loop is None:
            answers = self._answers(close)
            return answers if is_new else []
        number = next(_numbers)
        if is_new:
            self._unanswered.add(number)
        lost = self._asking.abstentions(served, "timeout")
        self._loop.call_later(self._config.deadline_s + _GRACE_S, self._arrive, number, lost)
        try:
            self._owner.run_in_executor(self._answer_beside, (self._loop, number, close))
        except Exception as error:  # it is answered all the same, by what was set to come later
            self._complain(error, questions[0].bar)
        return []

    def _answers(self, close: Close) -> Answers:
        try:
            return self._asking.answers(close)
        except Exception as error:
            reason = self._complain(error, (*close.served, *close.beside)[0].bar)
            return self._asking.abstentions(close.served, reason)

    def _answer_beside(self, loop: asyncio.AbstractEventLoop, number: int, close: Close) -> None:
        answers = self._answers(close)
        with suppress(RuntimeError):  # the node has ended meanwhile
            loop.call_soon_threadsafe(self._arrive, number, answers)

    def _arrive(self, number: int, answers: Answers) -> None:
        if self._loop is None or number not in self._unanswered:
            return
        self._unanswered.remove(number)
        if any(decision.reason in _WANTS_HISTORY for _, decision in answers):
            self._request_history()
        for answer in answers:  # each by itself: what the bot raises over one must not cost it the next
            self._loop.call_soon(self._tell, [answer])

    def _tell(self, answers: Answers) -> None:
        for bar, decision in answers:
            bar_type = bar.bar_type.standard()
            if self._latest.get(bar_type, (0, decision))[0] != bar.ts_event:
                self._latest[bar_type] = bar.ts_event, decision
                self._answered(bar, decision)

    # History.

    def _request_history(self) -> None:
        now_ms = self._owner.clock.timestamp_ms()
        if now_ms < self._requested_ms + max(_HISTORY_PAUSE_MS, self._grid.length_ms):
            return
        self._requested_ms = now_ms
        span = timedelta(milliseconds=HISTORY_BARS * self._grid.length_ms)
        try:
            for bar_type in (*self._config.bar_types, *self._config.companions):
                if bar_type.is_externally_aggregated():
                    self._owner.request_bars(bar_type, start=self._owner.clock.utc_now() - span)
        except Exception as error:
            self._owner.log.warning(f"no history for shadowgate: {error!r}")

    # Bars and words.

    def _plain(self, bar: Bar) -> PlainBar:
        instrument_id = bar.bar_type.instrument_id
        named = self._config.symbols.get(instrument_id.value)
        return self._grid.plain(bar, named or symbol_of(self._owner.cache.instrument(instrument_id)))

    def _abstain(self, bar: Bar, reason: str) -> Decision:
        return self._asking.abstention(bar.bar_type.instrument_id.value, 0, reason)

    def _complain(self, error: Exception, bar: Bar) -> str:
        reason = error.reason if isinstance(error, Unfit) else "host_error"
        if reason not in self._complaints:
            self._complaints.add(reason)
            self._owner.log.warning(f"shadowgate is not asked: {reason}: {error}: {bar!r}")
        return reason


class ShadowgateDecision(Data):  # type: ignore[misc]
    """A decision on the message bus: `strategy.subscribe_data(DECISIONS)` brings it to `on_data`.

    `ts_event` is that of the bar, `ts_init` when the answer came.
    """

    def __init__(self, bar: Bar, decision: Decision, ts_init: int) -> None:
        self.bar = bar
        self.decision = decision
        self._ts_init = ts_init

    @property
    def ts_event(self) -> int:
        return int(self.bar.ts_event)

    @property
    def ts_init(self) -> int:
        return self._ts_init


DECISIONS = DataType(ShadowgateDecision)


class ShadowgateActorConfig(ActorConfig, frozen=True):  # type: ignore[misc,call-arg]
    """`shadowgate` is what the actor asks."""

    shadowgate: ShadowgateConfig


class ShadowgateActor(Actor):  # type: ignore[misc]
    """Asks about every bar and publishes the decisions, for any number of strategies."""

    def __init__(self, config: ShadowgateActorConfig) -> None:
        super().__init__(config)
        self.shadowgate = Shadowgate(self, config.shadowgate, self._publish)

    def on_start(self) -> None:
        self.shadowgate.start()

    def on_stop(self) -> None:
        self.shadowgate.stop()

    def on_bar(self, bar: Bar) -> None:
        self.shadowgate.take(bar)

    def on_historical_data(self, data: object) -> None:
        self.shadowgate.take_history(data)

    def _publish(self, bar: Bar, decision: Decision) -> None:
        self.publish_data(DECISIONS, ShadowgateDecision(bar, decision, self.clock.timestamp_ns()))
