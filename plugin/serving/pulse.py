"""What does the live process do once a second, whether bars come in or not?"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from types import TracebackType

import structlog

from plugin.bar import Timeframe
from plugin.clock import Clock

_log = structlog.get_logger()
_PERIOD_S = 1.0
_BEFORE_CLOSE_MS = 2_000
"""Twice the period: between one and two seconds before a close, never in its way."""


class Pulse:
    """Within its `async with` block, each of `beats` is called about once a second, in their order.

    `rehearse` is called once before each close of `timeframe`. What raises is logged, and called again.
    """

    def __init__(
        self,
        clock: Clock,
        timeframe: Timeframe,
        rehearse: Callable[[], None],
        beats: Sequence[Callable[[], object]],
    ) -> None:
        self._clock = clock
        self._length_ms = timeframe.length_ms
        self._rehearse = rehearse
        self._beats = (*beats, self._rehearse_in_time)
        self._rehearsed_ms = 0
        self._complaint = ""
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> None:
        self._task = asyncio.create_task(self._beat())

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _beat(self) -> None:
        while True:
            for beat in self._beats:
                self._call(beat)
            await self._clock.sleep(_PERIOD_S)

    def _call(self, beat: Callable[[], object]) -> None:
        try:
            beat()
        except Exception as error:  # the next one must come all the same
            if repr(error) != self._complaint:
                _log.exception("pulse_failed")
            self._complaint = repr(error)

    def _rehearse_in_time(self) -> None:
        now_ms = self._clock.now_ms()
        close_ms = now_ms - now_ms % self._length_ms + self._length_ms
        if close_ms - now_ms <= _BEFORE_CLOSE_MS and close_ms != self._rehearsed_ms:
            self._rehearsed_ms = close_ms
            self._rehearse()
