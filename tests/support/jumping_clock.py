"""How does an hour pass in a moment, and how is a host's clock set, in a test?"""

import asyncio
import time

_LOOK_EVERY_S = 0.002


class JumpingClock:
    """Goes by `speed` times as fast as real time, from `start_ms`. Durations stay real.

    `jump_to` lets time go by at once: whoever sleeps until then wakes. `step` sets the time of day, as
    a host's administrator does, and no sleep becomes longer or shorter by it. Any thread may read it.
    """

    def __init__(self, start_ms: int, speed: float) -> None:
        self._gone_ms = float(start_ms)
        self._speed = speed
        self._made_ns = time.monotonic_ns()
        self._set_by_ms = 0

    def now_ms(self) -> int:
        return self.true_ms() + self._set_by_ms

    def true_ms(self) -> int:
        """What the time would be if nobody had set it."""
        return int(self._gone_ms + (time.monotonic_ns() - self._made_ns) * self._speed / 1e6)

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    async def sleep(self, seconds: float) -> None:
        until_ms = self.true_ms() + seconds * 1000
        await asyncio.sleep(0)
        while self.true_ms() < until_ms:
            await asyncio.sleep(_LOOK_EVERY_S)

    def jump_to(self, time_ms: int) -> None:
        """Let time go by until then, if it has not come yet."""
        self._gone_ms += max(0, time_ms - self.true_ms())

    def step(self, by_ms: int) -> None:
        """Set the time of day forward, or back by a negative number."""
        self._set_by_ms += by_ms


class TrueClock:
    """The time that a stepped clock would have shown: the one of the exchange."""

    def __init__(self, clock: JumpingClock) -> None:
        self._clock = clock

    def now_ms(self) -> int:
        return self._clock.true_ms()

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    async def sleep(self, seconds: float) -> None:
        await self._clock.sleep(seconds)
