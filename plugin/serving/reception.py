"""What does the service say to each request of a bot?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import TypeAlias

import numpy as np

from plugin.bar import BarClosed, Timeframe, check_bar
from plugin.buffer import BarBuffer
from plugin.candles import ABSENT, Candles, on_grid
from plugin.clock import Clock
from plugin.decision import Decision
from plugin.errors import BarRejected
from plugin.pipeline import Pipeline
from plugin.protocol import (
    MAX_BARS,
    AnyReply,
    AnyRequest,
    Ask,
    BarRow,
    Bars,
    Decisions,
    Held,
    HeldBars,
    Hello,
    History,
    PushedBar,
    RequestRefused,
    Status,
    StatusReport,
    Welcome,
    bar_closed,
)
from plugin.serving.desk import Desk, Question, Withdraw, collect
from plugin.sources.base import BarSource
from plugin.sources.pushed import PushedSource

Reply: TypeAlias = Callable[[AnyReply], None]


class Reception:
    """Takes the requests of all bots. With a PushedSource they bring the bars; else they only ask.

    `status` is what `python -m plugin status` shows.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        source: BarSource,
        desk: Desk,
        timeframe: Timeframe,
        status: Callable[[], dict[str, object]],
        clock: Clock,
    ) -> None:
        self._pipeline = pipeline
        self._desk = desk
        self._timeframe = timeframe
        self._status = status
        self._clock = clock
        self._pushed = source if isinstance(source, PushedSource) else None
        if self._pushed is not None:
            self._pushed.attach(pipeline.take_history)

    def take(self, request: AnyRequest, reply: Reply) -> Withdraw | None:
        """Answer with one call of `reply`, now or when the answer is there.

        The returned function is for the case that the bot goes away before. Raises RequestRefused for
        what can not be carried out.
        """
        match request:
            case Bars():
                return self._bars(request, reply)
            case Ask():
                question = Question(request.symbol, request.timeframe, request.open_time_ms)

                def told(decision: Decision) -> None:
                    reply(Decisions(id=request.id, decisions=(decision,)))

                return self._desk.when_decided(question, request.expires_ms, told)
            case History():
                self._history(request, reply)
            case Hello():
                reply(self._welcome(request.id))
            case Status():
                reply(StatusReport(id=request.id, status=self._status()))
        return None

    def _bars(self, request: Bars, reply: Reply) -> Withdraw | None:
        def told(decisions: Sequence[Decision]) -> None:
            reply(Decisions(id=request.id, decisions=tuple(decisions)))

        if self._pushed is not None:
            now_ms = self._clock.now_ms()
            bars = [bar_closed(bar, "socket", now_ms) for bar in request.bars]
            self._pushed.push(bars, request.expires_ms, self._desk, told)
            return None
        desk = self._desk
        served = [bar for bar in request.bars if desk.serves(bar.symbol)]
        withdrawals = [
            desk.when_decided(
                Question(bar.symbol, bar.timeframe, bar.open_time_ms), request.expires_ms, tell
            )
            for bar, tell in zip(served, collect(len(served), told), strict=True)
        ]
        return lambda: [withdraw() for withdraw in withdrawals]

    def _history(self, request: History, reply: Reply) -> None:
        if self._pushed is None:
            raise RequestRefused("own_feed", "the service gets its bars itself and takes none")
        buffer = self._pipeline.buffers.get(request.symbol)
        if buffer is None:
            raise RequestRefused(
                "symbol_not_followed", f"{request.symbol} is neither served nor followed"
            )
        if request.timeframe != self._timeframe.name:
            raise RequestRefused(
                "other_timeframe", f"the service follows bars of {self._timeframe.name}"
            )

        def taken() -> None:
            reply(Held(id=request.id, held=_held(buffer)))

        candles = self._candles(request)
        if candles is None:
            taken()
        elif not self._pushed.take_history(candles, taken):
            raise RequestRefused("busy", "too many bars wait already")

    def _candles(self, request: History) -> Candles | None:
        """The valid rows on their grid; None where there is none. What no window can reach is left out:
        two bars decades apart would make a grid of millions of slots."""
        times = [row[0] for row in request.bars]
        if any(later <= earlier for earlier, later in pairwise(times)):
            raise RequestRefused("out_of_order", "bars must come oldest first, each once")
        bars = list(self._valid(request.symbol, request.bars))
        if not bars:
            return None
        reach_ms = bars[-1].open_time_ms - MAX_BARS * self._timeframe.length_ms
        bars = [bar for bar in bars if bar.open_time_ms > reach_ms]
        open_time_ms = np.array([bar.open_time_ms for bar in bars], dtype=np.int64)
        return on_grid(
            request.symbol, self._timeframe, open_time_ms, np.array([bar.ohlcv for bar in bars]).T
        )

    def _valid(self, symbol: str, rows: Sequence[BarRow]) -> Iterator[BarClosed]:
        now_ms = self._clock.now_ms()
        for opened_ms, opening, high, low, close, volume in rows:
            given = PushedBar(
                symbol=symbol,
                timeframe=self._timeframe.name,
                open_time_ms=opened_ms,
                open=opening,
                high=high,
                low=low,
                close=close,
                volume=volume,
            )
            bar = bar_closed(given, "socket", now_ms)
            try:
                check_bar(bar, self._timeframe, now_ms)
            except BarRejected:
                continue
            yield bar

    def _welcome(self, request_id: int) -> Welcome:
        buffers = self._pipeline.buffers
        return Welcome(
            id=request_id,
            takes_bars=self._pushed is not None,
            timeframe=self._timeframe.name,
            served=tuple(symbol for symbol in buffers if self._desk.serves(symbol)),
            followed=tuple(symbol for symbol in buffers if not self._desk.serves(symbol)),
            lookback=self._pipeline.lookback,
            held={symbol: _held(buffer) for symbol, buffer in buffers.items()},
        )


def _held(buffer: BarBuffer) -> HeldBars:
    if buffer.newest < 0:
        return HeldBars(newest_open_ms=None, n_bars=0, n_absent=0)
    held = buffer.bars[ABSENT, buffer.newest + 1 - buffer.n_bars : buffer.newest + 1]
    return HeldBars(
        newest_open_ms=buffer.newest_open_ms, n_bars=buffer.n_bars, n_absent=int(held.sum())
    )
