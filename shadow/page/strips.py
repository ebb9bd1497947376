"""How do figures of the rows of a table compare, at a glance?

Each row has a strip, a small SVG on a scale that all rows share. The same figures stand beside it, so
that it is hidden from those who read the page aloud.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from shadow.page.parts import Strip

_HEIGHT = 16


class Scale:
    """From `low` to `high`, or by their logarithms; `marks` stand in every row, clipped at the ends."""

    def __init__(
        self, low: float, high: float, marks: Sequence[float] = (), *, is_log: bool = False
    ) -> None:
        self._is_log = is_log
        self._low, self._high = self._in_units(low), self._in_units(high)
        self._marks = "".join(self._tick(mark, 0, _HEIGHT, "mark") for mark in marks)

    def strip(self, *parts: str) -> Strip:
        """One row."""
        return Strip(f'<svg class="strip" aria-hidden="true">{"".join(parts)}{self._marks}</svg>')

    def interval(self, low: float, high: float, style: str) -> str:
        """A line between two values."""
        if math.isnan(low + high):
            return ""
        middle = _HEIGHT // 2
        ends = f'x1="{self._place(low)}" x2="{self._place(high)}" y1="{middle}" y2="{middle}"'
        return f'<line class="line {style}" {ends}/>'

    def dot(self, value: float, style: str) -> str:
        """A point."""
        if math.isnan(value):
            return ""
        return f'<circle class="{style}" cx="{self._place(value)}" cy="{_HEIGHT // 2}" r="4"/>'

    def tick(self, value: float, style: str) -> str:
        """A short stroke."""
        return "" if math.isnan(value) else self._tick(value, 2, _HEIGHT - 2, f"line {style}")

    def bar(self, start: float, end: float, style: str, top: int = 2, height: int = 12) -> str:
        """A bar from one value to another, `top` pixels below the upper end."""
        if math.isnan(start + end):
            return ""
        left, right = sorted((self._share(start), self._share(end)))
        place = f'x="{left:.2f}%" width="{right - left:.2f}%" y="{top}" height="{height}"'
        return f'<rect class="{style}" {place}/>'

    def _tick(self, value: float, top: int, bottom: int, style: str) -> str:
        at = self._place(value)
        return f'<line class="{style}" x1="{at}" x2="{at}" y1="{top}" y2="{bottom}"/>'

    def _place(self, value: float) -> str:
        return f"{self._share(value):.2f}%"

    def _share(self, value: float) -> float:
        """0 to 100; what lies outside is drawn at the end."""
        share = (self._in_units(value) - self._low) / (self._high - self._low)
        return 100.0 * min(max(share, 0.0), 1.0)

    def _in_units(self, value: float) -> float:
        if not self._is_log:
            return value
        return math.log10(value) if value > 0.0 else -math.inf
