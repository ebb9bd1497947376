"""When do networks look at the bars that are there, so that little is left to do at the next close?

When bars have stopped coming for a moment, some symbols at a time: a bar that comes meanwhile is
answered first, and what was not done by then is done at its close.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from plugin.pipeline import Pipeline

_QUIET_S = 0.5
AT_ONCE = 8  # symbols, some milliseconds of the loop


class Preparing:
    """Prepares the next close in the background of the loop."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """The bars of a close have been answered and recorded."""
        self.stop()
        self._task = asyncio.create_task(self._prepare(list(self._pipeline.buffers)))

    def stop(self) -> None:
        """Others need the loop now."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _prepare(self, symbols: Sequence[str]) -> None:
        await asyncio.sleep(_QUIET_S)
        for first in range(0, len(symbols), AT_ONCE):
            self._pipeline.prepare(symbols[first : first + AT_ONCE])
            await asyncio.sleep(0)
