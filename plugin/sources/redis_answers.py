"""How do decisions and records come back out through Redis, each of them once, whoever dies meanwhile?

A decision goes out when it is made. When the challenger has been heard too, its record goes out and the
bar is acknowledged, in one step: before that, the bar comes again. What comes again is decided again,
and Redis refuses the second decision and the second record by their ids.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import msgspec
import structlog
from redis.exceptions import RedisError

from plugin.answer import Answer
from plugin.bar import BarClosed
from plugin.sources.redis_bus import KEPT, is_repeat, key_of
from plugin.sources.redis_streams import GROUP, RedisStreams
from shadow.record import BarRecord

_log = structlog.get_logger()
_LEAVING_S = 10.0


class RedisAnswers:
    """Publishes what a worker answers. An async context manager: at its end, all that was begun is out.

    `deliver` and `done` are the App's; neither waits for Redis, neither raises.
    """

    def __init__(self, source: RedisStreams, record_of: Callable[[Answer], BarRecord]) -> None:
        self.published = 0
        self.repeated = 0
        self._source = source
        self._record_of = record_of
        self._timeframe = source.timeframe
        # One after the other: an entry that overtakes an older one would shut it out for good.
        self._work: asyncio.Queue[Coroutine[Any, Any, None] | None] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> None:
        self._task = asyncio.create_task(self._publish_in_order())

    async def __aexit__(self, *_: object) -> None:
        self._work.put_nowait(None)
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=_LEAVING_S)
            self._task.cancel()

    def deliver(self, answers: Sequence[Answer]) -> None:
        """Publish the decisions on bars that were taken in."""
        self._work.put_nowait(self._publish([answer for answer in answers if _counts(answer)]))

    def done(self, answers: Sequence[Answer]) -> None:
        """Publish the records, and let go of the bars."""
        self._work.put_nowait(self._finish(answers))

    async def _publish_in_order(self) -> None:
        while (work := await self._work.get()) is not None:
            try:
                await work
            except Exception:  # a slip of ours must not keep all later answers back
                _log.exception("publishing_failed")

    async def _publish(self, answers: Sequence[Answer]) -> None:
        try:
            async with self._source.redis.pipeline(transaction=False) as pipe:
                for answer in answers:
                    self._append(pipe, "decisions", answer.bar, msgspec.json.encode(answer.decision))
                self._count(await pipe.execute(raise_on_error=False))
        except (RedisError, OSError) as error:
            _log.warning("decisions_not_published", n=len(answers), reason=str(error)[:200])

    async def _finish(self, answers: Sequence[Answer]) -> None:
        for answer in answers:
            entries = self._source.entries_of(answer.bar)
            if not entries:
                continue
            key = key_of("bars", self._timeframe, answer.bar.symbol)
            try:
                async with self._source.redis.pipeline() as pipe:
                    if _counts(answer):
                        record = self._record_of(answer)
                        self._append(pipe, "records", answer.bar, msgspec.json.encode(record))
                    pipe.xack(key, GROUP, *entries)
                    self._count((await pipe.execute(raise_on_error=False))[:-1])
            except (RedisError, OSError) as error:
                # Still pending in Redis: it comes again, here or elsewhere.
                _log.warning("record_not_published", symbol=answer.bar.symbol, reason=str(error)[:200])

    def _append(self, pipe: Any, kind: Any, bar: BarClosed, content: bytes) -> None:
        pipe.xadd(
            key_of(kind, self._timeframe, bar.symbol),
            {kind[:-1]: content},
            id=f"{bar.open_time_ms}-0",
            maxlen=KEPT,
            approximate=True,
        )

    def _count(self, results: Sequence[Any]) -> None:
        for result in results:
            if not isinstance(result, Exception):
                self.published += 1
            elif is_repeat(result):
                self.repeated += 1
            else:
                raise result


def _counts(answer: Answer) -> bool:
    """Whether the bar was taken in: the answer to a bad one must not take the right one's place."""
    return answer.is_new or answer.came_again
