"""How does a day of trading pass in minutes, for every part that asks the clock?"""

import asyncio
import time


class FastClock:
    """Time that starts at `start_ms` when it is made and goes `speed` times as fast as real time.

    Durations stay real: they measure this machine. May be read from any thread.
    """

    def __init__(self, start_ms: int, speed: float) -> None:
        self._start_ms = start_ms
        self._speed = speed
        self._made_ns = time.monotonic_ns()

    def now_ms(self) -> int:
        return self._start_ms + int((time.monotonic_ns() - self._made_ns) * self._speed) // 1_000_000

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    async def sleep(self, seconds: float) -> None:
        """Let so many seconds of this clock go by."""
        await asyncio.sleep(seconds / self._speed)
