"""How do bars that a bot pushes become batches, in order and never more than there is room for?"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

from msgspec.structs import replace

from plugin.bar import BarClosed
from plugin.candles import Candles
from plugin.clock import Clock
from plugin.decision import Decision
from plugin.serving.desk import Desk, Question, Tell, TellAll, collect

ROOM_BARS = 4_096
"""So many bars may wait; what finds no room is answered `busy` at once."""
_open_time = attrgetter("open_time_ms")


class _Close(NamedTuple):
    """Bars of one request that closed together, each symbol once; who is told of those decided on."""

    bars: list[BarClosed]
    expires_ms: int
    desk: Desk
    tells: list[tuple[BarClosed, Tell]]


class _History(NamedTuple):
    """Older bars, and what to call when they were taken in."""

    candles: Candles
    taken: Callable[[], None]


class PushedSource:
    """A queue from the socket to the pipeline. One loop, one thread.

    Requests that wait at the same time for the same close become one batch: many bots with a symbol
    each cost one walk, and find each other's bars to be compared with. A request that has expired while
    it waited is still taken, so that its bars are recorded, but is told `timeout`.
    """

    def __init__(self, clock: Clock, room_bars: int = ROOM_BARS) -> None:
        self._clock = clock
        self._room_bars = room_bars
        self._queue: deque[_Close | _History] = deque()
        self._n_waiting = self._n_busy = self._n_expired = 0
        self._take_history: Callable[[Candles], None] | None = None
        self._arrived = asyncio.Event()
        self._stopped = False

    def attach(self, take_history: Callable[[Candles], None]) -> None:
        """Say where history goes, which is known only once there is a pipeline."""
        self._take_history = take_history

    def push(self, bars: Sequence[BarClosed], expires_ms: int, desk: Desk, tell: TellAll) -> None:
        """Hand bars in; `tell` gets the decisions on those of served symbols, in their order, once.

        Until `expires_ms` has passed: from then on `timeout`. `busy` at once where there is no room.
        """
        served = [bar for bar in bars if desk.serves(bar.symbol)]
        if self._n_waiting + len(bars) > self._room_bars:
            self._n_busy += len(bars)
            tell([desk.refuse(_question(bar), "busy") for bar in served])
            return
        tells = {id(bar): tell for bar, tell in zip(served, collect(len(served), tell), strict=True)}
        for close in _closes(bars):
            told = [(bar, tells[id(bar)]) for bar in close if id(bar) in tells]
            self._queue.append(_Close(close, expires_ms, desk, told))
        self._n_waiting += len(bars)
        self._arrived.set()

    def take_history(self, candles: Candles, taken: Callable[[], None]) -> bool:
        """Put older bars where the pipeline holds them, between two batches; False: no room."""
        if self._n_waiting + candles.n_bars > self._room_bars:
            return False
        self._queue.append(_History(candles, taken))
        self._n_waiting += candles.n_bars
        self._arrived.set()
        return True

    async def batches(self) -> AsyncIterator[list[BarClosed]]:
        while not self._stopped:
            batch = self._next_batch()
            if batch:
                yield batch
            else:
                self._arrived.clear()
                await self._arrived.wait()

    def stop(self) -> None:
        self._stopped = True
        self._arrived.set()

    def state(self) -> Mapping[str, object]:
        return {
            "bars_waiting": self._n_waiting,
            "bars_refused_busy": self._n_busy,
            "bars_expired": self._n_expired,
        }

    async def history(self, symbol: str, n_bars: int) -> Candles | None:
        """None: the bot gives it once it has connected."""
        return None

    def _next_batch(self) -> list[BarClosed]:
        """What waits for one close, each symbol once, with the history that came before it taken in."""
        batch: list[BarClosed] = []
        symbols: set[str] = set()
        while self._queue:
            head = self._queue[0]
            if isinstance(head, _Close):
                others = {bar.symbol for bar in head.bars}
                if batch and (head.bars[0].open_time_ms != batch[0].open_time_ms or others & symbols):
                    break
                symbols |= others
                batch += self._taken(head)
                self._n_waiting -= len(head.bars)
            elif batch:
                break
            else:
                self._hold(head)
            self._queue.popleft()
        return batch

    def _taken(self, close: _Close) -> list[BarClosed]:
        if self._clock.now_ms() > close.expires_ms:
            self._n_expired += len(close.bars)
            for bar, tell in close.tells:
                tell(close.desk.refuse(_question(bar), "timeout"))
            return [replace(bar, already_answered="timeout") for bar in close.bars]
        for bar, tell in close.tells:
            close.desk.expect(bar, partial(self._tell_in_time, close, tell))
        return close.bars

    def _tell_in_time(self, close: _Close, tell: Tell, decision: Decision) -> None:
        if self._clock.now_ms() > close.expires_ms:
            question = Question(decision.symbol, decision.timeframe, decision.open_time_ms)
            decision = close.desk.refuse(question, "timeout")
        tell(decision)

    def _hold(self, history: _History) -> None:
        self._n_waiting -= history.candles.n_bars
        if self._take_history is not None:
            self._take_history(history.candles)
        history.taken()


def _closes(bars: Sequence[BarClosed]) -> Iterator[list[BarClosed]]:
    """The bars by the time they closed; a symbol that stands there twice opens another list."""
    for _, together in groupby(sorted(bars, key=_open_time), key=_open_time):
        rounds: list[dict[str, BarClosed]] = []
        for bar in together:
            place = next((one for one in rounds if bar.symbol not in one), None)
            if place is None:
                rounds.append(place := {})
            place[bar.symbol] = bar
        yield from (list(one.values()) for one in rounds)


def _question(bar: BarClosed) -> Question:
    return Question(bar.symbol, bar.timeframe, bar.open_time_ms)
