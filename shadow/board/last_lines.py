"""What stands at the end of a file that goes on growing, without reading the rest of it?"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections import deque
from pathlib import Path

from shadow.files import DamagedArchive, cut_lines, day_files, is_archive
from shadow.record import BarRecord, RecordDamaged, decode_line

_FIRST_BYTES = 1 << 19
_MOST_BYTES = 1 << 25
_MOST_FILES = 60
_MOST_ARCHIVED_LINES = 1000


def read_end(path: Path, n_bytes: int) -> tuple[bytes, bool]:
    """The last `n_bytes` of a file, and whether that is all of it.

    Raises OSError, also where it is no regular file: a pipe would be waited for.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        start = max(0, status.st_size - n_bytes)
        return os.pread(descriptor, n_bytes, start), start == 0
    finally:
        os.close(descriptor)


def newest_records(folder: Path, n: int, symbols: frozenset[str] = frozenset()) -> list[BarRecord]:
    """The last `n` bars of a log, newest first; an empty `symbols` means all.

    Damaged lines are left out. It gives up after some tens of megabytes or of files, and may return
    fewer. Raises OSError.
    """
    found: list[BarRecord] = []
    for path in reversed(day_files(folder)[-_MOST_FILES:]):
        found += _newest_of_file(path, n - len(found), symbols)
        if len(found) >= n:
            break
    return found


def _newest_of_file(path: Path, n: int, symbols: frozenset[str]) -> list[BarRecord]:
    if is_archive(path):
        return _bars(_archived_lines(path), n, symbols)
    n_bytes = _FIRST_BYTES
    while True:
        content, is_whole = read_end(path, n_bytes)
        # The first line may be cut, and what stands after the last newline is on its way.
        lines = content.split(b"\n")[0 if is_whole else 1 : -1]
        found = _bars(lines, n, symbols)
        if is_whole or len(found) >= n or n_bytes >= _MOST_BYTES:
            return found
        n_bytes *= 8


def _archived_lines(path: Path) -> list[bytes]:
    last: deque[bytes] = deque(maxlen=_MOST_ARCHIVED_LINES)
    with contextlib.suppress(DamagedArchive):  # the lines before the damage are whole
        last.extend(cut_lines(path))
    return list(last)


def _bars(lines: list[bytes], n: int, symbols: frozenset[str]) -> list[BarRecord]:
    found: list[BarRecord] = []
    for line in reversed(lines):
        if len(found) == n:
            break
        try:
            record = decode_line(line)
        except RecordDamaged:
            continue
        if isinstance(record, BarRecord) and (not symbols or record.symbol in symbols):
            found.append(record)
    return found
