"""How often may something be looked up that costs time, beside a process that must not be slowed?"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")
_REST = 9
"""Rest for so many times as long as the last look took: at most a tenth of the time is spent on it."""


class Paced(Generic[T]):
    """Keeps what was found last, and looks again when its key has changed and it has rested."""

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._found: tuple[object, T] | None = None
        self._rested_s = 0.0

    def get(self, key: object, look: Callable[[], T]) -> T:
        """What `look` finds, or found last. What it raises is raised, and nothing is kept of it."""
        if self._found is not None:
            kept_key, kept = self._found
            if key == kept_key or self._clock_s() < self._rested_s:
                return kept
        began_s = self._clock_s()
        found = look()
        ended_s = self._clock_s()
        self._found = key, found
        self._rested_s = ended_s + _REST * (ended_s - began_s)
        return found
