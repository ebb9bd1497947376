"""How is a duration measured, and what is said of many of them?"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Sequence
from typing import ParamSpec, TypeVar

import msgspec
import numpy as np

_Parameters = ParamSpec("_Parameters")
_Answer = TypeVar("_Answer")


class Spread(msgspec.Struct, frozen=True):
    """`n` durations of the same work, in microseconds."""

    n: int
    median_us: float
    p99_us: float

    @classmethod
    def of(cls, durations_ns: Sequence[int]) -> Spread:
        median, p99 = np.percentile(durations_ns, (50, 99)) / 1000
        return cls(len(durations_ns), float(median), float(p99))


class Stopwatch:
    """The time that was spent inside the functions it watches."""

    def __init__(self) -> None:
        self._total_ns = 0

    def watched(self, function: Callable[_Parameters, _Answer]) -> Callable[_Parameters, _Answer]:
        """`function`, with every call timed."""

        def timed(*args: _Parameters.args, **kwargs: _Parameters.kwargs) -> _Answer:
            started = time.perf_counter_ns()
            try:
                return function(*args, **kwargs)
            finally:
                self._total_ns += time.perf_counter_ns() - started

        return timed

    def take_ns(self) -> int:
        """The time since the last call of this."""
        total, self._total_ns = self._total_ns, 0
        return total


def duration_ns(work: Callable[[], object]) -> int:
    """How long one call takes."""
    started = time.perf_counter_ns()
    work()
    return time.perf_counter_ns() - started


class Machine(msgspec.Struct, frozen=True):
    """What the figures were measured on. `load` is the mean number of busy processes in a minute."""

    python: str
    processor: str
    n_cores: int
    load: float

    @classmethod
    def here(cls) -> Machine:
        return cls(
            python=platform.python_version(),
            processor=platform.machine(),
            n_cores=os.cpu_count() or 1,
            load=os.getloadavg()[0],
        )
