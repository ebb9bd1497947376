"""What must a source of bars promise?"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Protocol

from plugin.bar import BarClosed
from plugin.candles import Candles


class BarSource(Protocol):
    """Closed bars of one timeframe, as they become final.

    A source delivers what it got: it repairs nothing, fills no gap and drops no repeat, for
    `plugin.bar.check_bar` and `plugin.buffer` judge every bar alike, wherever it came from.
    """

    def batches(self) -> AsyncIterator[list[BarClosed]]:
        """Bars that closed at the same instant come as one list, in time order, never an empty one.

        The iterator ends when the source has no more bars to come, and never on a fault that passes.
        """
        ...

    def stop(self) -> None:
        """Let the iterator end: the batch that is out is the last one. From the loop's own thread."""
        ...

    def state(self) -> Mapping[str, object]:
        """What an operator wants to know of it now, as plain values; nothing where there is nothing."""
        ...

    async def history(self, symbol: str, n_bars: int) -> Candles | None:
        """At most `n_bars` slots of the grid before the next batch: for warm-up, and to fill a gap.

        None where the source has no bar of that symbol.
        """
        ...
