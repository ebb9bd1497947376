"""How do answers reach the disk while the next bar, and every bot that asks, waits for none of it?

One thread of its own writes the batches in the order in which they came, all that wait at once, and
then syncs once. Live, a disk that hangs costs records and never an answer: what finds no room is
counted, and shows in the log as a hole in `seq`.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import structlog

from plugin.answer import Answer
from plugin.clock import Clock
from plugin.shadow_log import ShadowLog
from shadow.writer import ShadowWriter

_log = structlog.get_logger()
ROOM = 4_096
"""So many answers may wait for the disk: about 20 MB."""
REPLAY_ROOM = 64
"""Where nothing may be lost: a replay that is stopped has not run far ahead of its records."""
_LOOK_AGAIN_S = 0.001
_FLUSH_S = 10.0
_NO_ROOM = "the disk did not keep up"


class _Batch(NamedTuple):
    """Answers that came at `now_ms`, with `n_lost` records before them for which there was no room."""

    answers: Sequence[Answer]
    now_ms: int
    n_lost: int = 0


class Recorder:
    """Takes answers from the event loop; `writer` belongs to its thread until it is closed."""

    def __init__(
        self,
        folder: Path,
        exchange: str,
        clock: Clock,
        *,
        may_lose: bool,
        room: int | None = None,
    ) -> None:
        """Open the log in `folder`; raises as ShadowWriter does.

        With `may_lose`, `take` drops what finds no room; without, await `has_room` before each batch.
        """
        self._now_ms = clock.now_ms()
        self.writer = ShadowWriter(folder, lambda: self._now_ms)
        self.n_written = 0
        self._clock = clock
        self.log = ShadowLog(self.writer, exchange)
        self._may_lose = may_lose
        self._room = room or (ROOM if may_lose else REPLAY_ROOM)
        self._queue: queue.SimpleQueue[_Batch | None] = queue.SimpleQueue()
        self._n_taken = self._n_done = 0  # each is written by one thread only
        self._n_dropped = self._n_untold = 0  # for want of room: in all, and not yet told to the writer
        self._n_told = self._n_known = 0
        self._is_losing = False
        self._thread: threading.Thread | None = None

    @property
    def n_waiting(self) -> int:
        """Answers that are not on disk yet."""
        return self._n_taken - self._n_done

    @property
    def n_lost(self) -> int:
        """Records that could not be written or synced, or found no room."""
        return self.writer.errors - self._n_told + self._n_dropped

    async def has_room(self) -> None:
        """Where nothing may be lost, wait until there is room for a batch; else return at once."""
        while not self._may_lose and self.n_waiting >= self._room:
            await asyncio.sleep(_LOOK_AGAIN_S)

    def take(self, answers: Sequence[Answer]) -> None:
        """Record what is to be recorded of `answers`, soon. Never waits, never raises."""
        kept = [answer for answer in answers if answer.is_new or answer.replaced is not None]
        if not kept:
            return
        if self._may_lose and self.n_waiting >= self._room:
            if not self._n_untold:
                _log.error("records_lost", reason=_NO_ROOM, n_waiting=self.n_waiting)
            self._n_untold += len(kept)
            self._n_dropped += len(kept)
            return
        self._n_taken += len(kept)
        self._queue.put(_Batch(kept, self._clock.now_ms(), self._n_untold))
        self._n_untold = 0
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="recorder", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Bring what waits to the disk and let another writer in; a second time does nothing.

        Live, a disk that hangs is waited for no longer than some seconds.
        """
        thread, self._thread = self._thread, None
        if thread is not None:
            self._queue.put(None)
            thread.join(_FLUSH_S if self._may_lose else None)
            if thread.is_alive():
                _log.error("records_not_on_disk", n_records=self.n_waiting)
                return
        self.writer.close()

    def _work(self) -> None:
        going_on = True
        while going_on:
            batches = [self._queue.get()]
            while not self._queue.empty():
                batches.append(self._queue.get())
            going_on = None not in batches
            try:
                self._write([batch for batch in batches if batch is not None])
            except Exception:  # later records must not be lost with this slip of ours
                _log.exception("recorder_failed")

    def _write(self, batches: Sequence[_Batch]) -> None:
        for batch in batches:
            self._now_ms = batch.now_ms  # the writer's clock: under replay it must not run ahead
            if batch.n_lost:
                self.writer.lose(batch.n_lost, _NO_ROOM)
                self._n_told += batch.n_lost
            for answer in batch.answers:
                self._write_one(answer)
        self.writer.sync()
        self._n_done += sum(len(batch.answers) for batch in batches)
        self._tell_of_losses()

    def _write_one(self, answer: Answer) -> None:
        try:
            self.n_written += self.log.write(answer)
        except Exception as error:  # our own slip must cost this record and not all later ones
            self.writer.lose(1, f"{type(error).__name__}: {error}")

    def _tell_of_losses(self) -> None:
        """Once when they begin, and once when records are kept again."""
        n_errors, was_losing = self.writer.errors, self._is_losing
        self._is_losing, self._n_known = n_errors > self._n_known, n_errors
        if self._is_losing and not was_losing:
            _log.error("records_lost", reason=self.writer.last_error, n_lost=self.n_lost)
        elif was_losing and not self._is_losing:
            _log.info("records_kept_again", n_lost=self.n_lost)
