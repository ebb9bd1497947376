"""What time is it: by the wall, or by the bar that is being replayed?"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

from plugin.errors import WrongUse

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock(Protocol):
    """Where every part that needs the time gets it from."""

    def now_ms(self) -> int:
        """The time of day: milliseconds since the epoch, UTC. It may step when a host corrects it."""
        ...

    def monotonic_ns(self) -> int:
        """Nanoseconds from an unknown start, never backwards: for durations and deadlines only."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Let so much of this clock's time go by, whatever a host does to the time of day meanwhile."""
        ...


class SystemClock:
    """The time of the host."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class ReplayClock:
    """The time of the last replayed event. Durations stay real: they measure this machine."""

    def __init__(self, start_ms: int) -> None:
        self._now_ms = start_ms

    def now_ms(self) -> int:
        return self._now_ms

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    async def sleep(self, seconds: float) -> None:
        """No time goes by while a replay waits: events alone move this clock."""
        await asyncio.sleep(0)

    def advance_to(self, now_ms: int) -> None:
        """Move to the time of an event. Raises WrongUse for an event that lies in the past."""
        if now_ms < self._now_ms:
            raise WrongUse(f"an event at {self._now_ms} ms or later", now_ms, "replay in time order")
        self._now_ms = now_ms


def utc_minute(time_ms: int) -> str:
    """A time for people.

    >>> utc_minute(1_735_689_600_007)
    '2025-01-01 00:00'
    """
    return f"{_EPOCH + timedelta(milliseconds=time_ms):%Y-%m-%d %H:%M}"


def utc_text(time_ms: int) -> str:
    """A time as records and logs spell it.

    >>> utc_text(1_735_689_600_007)
    '2025-01-01T00:00:00.007Z'
    """
    moment = _EPOCH + timedelta(milliseconds=time_ms)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{time_ms % 1000:03d}Z"
