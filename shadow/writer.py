"""How does a record get into the log, once and for good?

One `os.write` a line. What went wrong is taken back, counted, and shows in the log as a hole in `seq`;
nothing but a refused opening raises. The day comes from the clock that is passed in: under replay it
is the bars' own time.
"""

from __future__ import annotations

import fcntl
import os
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Self

from msgspec.structs import replace

from shadow.day_file import DayFile
from shadow.errors import LogInUse, LogUnusable
from shadow.files import MAX_LINE_BYTES, day_files, day_of, set_tail_aside, torn_bytes, utc_text
from shadow.reader import BarKey, LogReader
from shadow.record import AnyRecord, BarRecord, RecoveredRecord, RevisionRecord, encode_line


class ShadowWriter:
    """The one writer of a folder, for one thread at a time.

    Records come with `seq=0` and `written_at=""`; the writer fills in both. `errors` counts what could
    not be written or synced and `last_error` says the latest; once a full disk has room again, it works
    again. A clock that steps back does not lead back to an earlier file.

    Opening reads the whole log for the numbers and bars in it, and sets a torn tail aside. It raises
    LogInUse where another writer holds the folder, LogUnusable where that can not be made or read.
    """

    def __init__(
        self, folder: Path, clock_ms: Callable[[], int], max_line_bytes: int = MAX_LINE_BYTES
    ) -> None:
        self.errors = 0
        self.last_error: str | None = None
        self._folder = folder
        self._clock_ms = clock_ms
        self._max_line_bytes = min(max_line_bytes, MAX_LINE_BYTES)
        self._file: DayFile | None = None
        self._repaired_bytes: int | None = None
        self._lock = _take_lock(folder)
        try:
            files = day_files(folder)
            reader = LogReader(folder, BarKey)
            deque(reader, maxlen=0)
            is_torn = any(torn_bytes(path) for path in files)
        except OSError as error:
            os.close(self._lock)
            raise LogUnusable(f"a readable log in {folder}", error, "see to its permissions") from error
        self._day = day_of(files[-1]) if files else ""
        self._seq = max(0, reader.next_seq - 1)
        self._newest_open_ms = reader.newest_open_ms
        if is_torn:
            self._repair()

    def last_recorded(self, symbol: str, timeframe: str) -> int | None:
        """Open time of the newest recorded bar of a series, None where there is none."""
        return self._newest_open_ms.get((symbol, timeframe))

    def write_bar(self, record: BarRecord) -> bool:
        """Append a bar; True when its line stands in the file.

        False when this bar or a later one of its series is recorded already: after a crash the same bar
        comes again. False too when the write failed, and then `errors` has risen.
        """
        series = (record.symbol, record.timeframe)
        newest_open_ms = self._newest_open_ms.get(series)
        if newest_open_ms is not None and record.open_time_ms <= newest_open_ms:
            return False
        if not self._append(record):
            return False
        self._newest_open_ms[series] = record.open_time_ms
        return True

    def write_revision(self, record: RevisionRecord) -> bool:
        """Append a revision; True when its line stands in the file."""
        return self._append(record)

    def lose(self, n_records: int, reason: str) -> None:
        """Count records that will never be written; the next line shows them as a hole in `seq`."""
        self.errors += n_records
        self.last_error = reason
        self._seq += n_records

    def sync(self) -> bool:
        """Bring every line since the last call to the disk; True when they all lie there.

        It takes milliseconds: call it after the answers are out. After a failure the file is reopened,
        as the kernel may have dropped the lines and a second sync would say that all is well.
        """
        if self._file is None:
            return True
        try:
            self._file.sync()
        except OSError as error:
            self._count(error)
            self._give_up_file()
            return False
        return True

    def close(self) -> None:
        """Sync and let another writer in. A second time does nothing."""
        self.sync()
        if self._file is not None:
            self._file.close()
            self._file = None
        lock, self._lock = self._lock, -1
        if lock >= 0:
            os.close(lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _append(self, record: AnyRecord) -> bool:
        seq_before = self._seq
        try:
            self._write(record, self._made_ready())
        except Exception as error:  # whatever it is, the answer to the bot must not feel it
            self._count(error)
            if self._seq == seq_before:
                self._seq += 1  # so that the loss shows
            return False
        return True

    def _made_ready(self) -> str:
        """Open the file of the day, tell of a repair if there was one; the time to write."""
        if self._lock < 0:
            raise ValueError("the writer is closed")
        written_at = utc_text(self._clock_ms())
        self._turn_to_day(max(written_at[:10], self._day))
        if self._repaired_bytes is not None:
            repair = RecoveredRecord(seq=0, written_at="", dropped_bytes=self._repaired_bytes)
            self._write(repair, written_at)
            self._repaired_bytes = None
        return written_at

    def _turn_to_day(self, day: str) -> None:
        if self._file is not None and self._file.is_open:
            if day == self._day:
                return
            self.sync()
            if self._file is not None:
                self._file.close()
        else:
            n_torn = sum(set_tail_aside(path) for path in day_files(self._folder))
            if n_torn:
                self._repaired_bytes = n_torn
        self._file = DayFile(self._folder / f"{day}.jsonl")
        self._day = day

    def _write(self, record: AnyRecord, written_at: str) -> None:
        self._seq += 1
        line = encode_line(replace(record, seq=self._seq, written_at=written_at))
        if len(line) > self._max_line_bytes:
            raise ValueError(
                f"expected a line of at most {self._max_line_bytes} bytes, was {len(line)}"
            )
        assert self._file is not None  # noqa: S101  (our own slip: _turn_to_day goes first)
        self._file.append(line)

    def _repair(self) -> None:
        try:
            self._made_ready()
        except OSError as error:
            self._count(error)

    def _give_up_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        self._repaired_bytes = self._repaired_bytes or 0

    def _count(self, error: Exception) -> None:
        self.errors += 1
        self.last_error = f"{type(error).__name__}: {error}"


def _take_lock(folder: Path) -> int:
    """A descriptor that holds the folder for this writer until it is closed, or the process ends."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(
            folder / "writer.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
        )
    except OSError as error:
        raise LogUnusable(f"a folder for records at {folder}", error, "choose another one") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise LogInUse(
            f"to be the only writer of {folder}", "another process that holds it", "stop that one first"
        ) from error
    return lock
