"""How are bars of one close asked about in one go, with the history that the service may lack?"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from nautilus_trader.model.data import Bar

from plugin.hosts.client import Client, Decision, abstention
from plugin.hosts.nautilus_bars import PlainBar

Answers: TypeAlias = "list[tuple[Bar, Decision]]"
HISTORY_BARS = 600
"""So many bars of each symbol are kept: a little more than fill a window of the service."""
_LEAST_WAIT_S = 0.001


class Question(NamedTuple):
    """A bar, and what the bot means to do by itself."""

    bar: Bar
    plain: PlainBar
    host_signal: str | None


class Close(NamedTuple):
    """Bars that closed together: those to be decided on, and those beside them.

    `histories` are rows of earlier bars, by symbol.
    """

    served: Sequence[Question]
    beside: Sequence[Question]
    histories: dict[str, list[tuple[float, ...]]]


class Asking:
    """One service, one timeframe. `close_of` belongs to the engine's thread, `answers` to any."""

    def __init__(self, socket: str, deadline_s: float, timeframe: str) -> None:
        self._client = Client(socket, deadline_s=deadline_s)
        self._deadline_s = deadline_s
        self._timeframe = timeframe
        self.forget()

    def forget(self) -> None:
        """Begin anew, as at an earlier time."""
        self._seen: dict[str, dict[int, PlainBar]] = {}
        self._untold: set[str] = set()
        self._client.close()

    def take_history(self, plain: PlainBar) -> None:
        """An earlier bar, to be told with the next question about its symbol."""
        self._seen.setdefault(plain.symbol, {}).setdefault(plain.open_time_ms, plain)
        self._untold.add(plain.symbol)

    def close_of(self, served: Sequence[Question], beside: Sequence[Question]) -> Close:
        """The question about these bars. They are remembered, for a service that is started later."""
        histories: dict[str, list[tuple[float, ...]]] = {}
        for _, plain, _ in (*served, *beside):
            seen = self._seen.setdefault(plain.symbol, {})
            if plain.symbol in self._untold or self._client.history_wanted(plain.symbol):
                self._untold.discard(plain.symbol)
                earlier = sorted(one for one in seen if one < plain.open_time_ms)
                histories[plain.symbol] = [(one, *seen[one].ohlcv) for one in earlier]
            seen[plain.open_time_ms] = plain
            while len(seen) > HISTORY_BARS:
                del seen[min(seen)]
        return Close(served, beside, histories)

    def answers(self, close: Close) -> Answers:
        """One for each served bar. All of it takes no longer than the deadline.

        One request brings all the bars; on the others that are served the service is asked after it.
        """
        until_s = time.monotonic() + self._deadline_s
        for symbol, rows in close.histories.items():
            if not self._client.sync_history(symbol, self._timeframe, rows, _left_s(until_s)):
                break  # the client goes on wanting to tell them: with the next question
        first, *others = (*close.served, *close.beside)
        decision = self._client.bar_closed(
            first.plain.symbol,
            self._timeframe,
            first.plain.open_time_ms,
            *first.plain.ohlcv,
            host_signal=first.host_signal,
            companions=[(one.plain.symbol, *one.plain.ohlcv, one.host_signal) for one in others],
            wait_s=_left_s(until_s),
        )
        answers = [(first.bar, decision)] if close.served else []
        for bar, plain, _ in close.served[1:]:
            decision = self._client.decision(
                plain.symbol, self._timeframe, plain.open_time_ms, _left_s(until_s)
            )
            answers.append((bar, decision))
        return answers

    def abstentions(self, questions: Sequence[Question], reason: str) -> Answers:
        """What is answered where no answer has come."""
        return [
            (bar, self.abstention(plain.symbol, plain.open_time_ms, reason))
            for bar, plain, _ in questions
        ]

    def abstention(self, symbol: str, open_time_ms: int, reason: str) -> Decision:
        """The decision on a bar that nobody has decided on."""
        return abstention(symbol, self._timeframe, open_time_ms, reason)


def _left_s(until_s: float) -> float:
    return max(until_s - time.monotonic(), _LEAST_WAIT_S)
