"""What happens once a second, and once before each close."""

import asyncio
from collections.abc import Callable

from structlog.testing import capture_logs

from plugin.serving.pulse import Pulse
from tests.support.bars import HOURLY

START_MS = 1_735_689_600_000


class Beating:
    """A clock that moves by what is slept, and ends the test after so many seconds."""

    def __init__(self, start_ms: int, n_seconds: int) -> None:
        self._now_ms = start_ms
        self._end_ms = start_ms + n_seconds * 1000
        self.ended = asyncio.Event()

    def now_ms(self) -> int:
        return self._now_ms

    def monotonic_ns(self) -> int:
        return self._now_ms * 1_000_000

    async def sleep(self, seconds: float) -> None:
        self._now_ms += int(seconds * 1000)
        if self._now_ms >= self._end_ms:
            self.ended.set()
            await asyncio.Event().wait()
        await asyncio.sleep(0)


def beat(start_ms: int, n_seconds: int, *beats: Callable[[], object]) -> list[int]:
    """Let it beat so long; when it rehearsed."""
    rehearsed: list[int] = []

    async def run() -> None:
        clock = Beating(start_ms, n_seconds)
        pulse = Pulse(clock, HOURLY, lambda: rehearsed.append(clock.now_ms()), beats)
        async with pulse:
            await clock.ended.wait()

    asyncio.run(run())
    return rehearsed


def test_it_rehearses_once_shortly_before_each_close():
    rehearsed = beat(START_MS + 400, 3 * 3600)
    assert len(rehearsed) == 3
    for moment in rehearsed:
        before_ms = HOURLY.length_ms - moment % HOURLY.length_ms
        assert 1_000 <= before_ms <= 2_000, "so near that it helps, not so near that it is in the way"


def test_it_beats_every_second_and_one_that_fails_does_not_stop_the_others():
    counted = []

    def fail() -> None:
        raise RuntimeError("a slip")

    with capture_logs() as logged:
        beat(START_MS, 10, fail, lambda: counted.append(1))
    assert len(counted) == 10
    assert [line["event"] for line in logged] == ["pulse_failed"], "said once"
