"""What does a person see while bars are being downloaded?"""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)


class FetchBars:
    """One line a symbol: share done, bars a second, time left; and a line for every pause."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[bars]:,} bars"),
            TextColumn("{task.fields[rate]:,.0f} bars/s"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._tasks: dict[str, TaskID] = {}
        self._started_s: dict[str, float] = {}

    def __enter__(self) -> FetchBars:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def started(self, symbol: str, n_slots: int) -> None:
        """Add the line of a symbol."""
        self._started_s[symbol] = time.monotonic()
        self._tasks[symbol] = self._progress.add_task(symbol, total=n_slots, bars=0, rate=0.0)

    def advanced(self, symbol: str, n_slots: int, n_bars: int) -> None:
        """Move the line of a symbol on."""
        task = self._tasks[symbol]
        bars = self._progress.tasks[task].fields["bars"] + n_bars
        rate = bars / max(1e-3, time.monotonic() - self._started_s[symbol])
        self._progress.update(task, advance=n_slots, bars=bars, rate=rate)

    def waiting(self, seconds: float, reason: str) -> None:
        """Say why nothing moves for a while."""
        text = f"waiting {seconds:.0f} s: {reason}"
        self._progress.console.print(text, style="yellow", markup=False, soft_wrap=True)
