"""Which files make up a shadow log, and how are they cut into lines?

One file per UTC day, `YYYY-MM-DD.jsonl`, so that the order of the names is the order of the lines.
A line ends with b"\\n" and with nothing else: texts may hold U+2028 and its kin.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

MAX_LINE_BYTES = 65_536
"""Longer lines are neither written nor read: no line makes a reader hold a file in memory."""
_DAY_FILE = re.compile(r"\d{4}-\d{2}-\d{2}\.jsonl")
_BLOCK_BYTES = 1 << 18


def utc_text(time_ms: int) -> str:
    """`2025-06-30T12:00:00.123Z`; its first ten characters name the day's file."""
    seconds, milliseconds = divmod(time_ms, 1000)
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{milliseconds:03d}Z"


def day_files(folder: Path) -> list[Path]:
    """The files of the log, oldest first; none where there is no folder. Raises OSError."""
    if not folder.exists():
        return []
    return sorted(path for path in folder.iterdir() if _DAY_FILE.fullmatch(path.name))


def cut_lines(path: Path) -> Iterator[bytes]:
    """The whole lines of a file, without their newline, in bounded memory.

    A tail without newline is not yielded: it is being written, or torn. Of a line that goes on past
    MAX_LINE_BYTES a first part that is itself too long is yielded once, and the rest is skipped.
    """
    with path.open("rb", buffering=0) as file:
        held, skipping = b"", False
        while block := file.read(_BLOCK_BYTES):
            lines = (held + block).split(b"\n")
            held = lines.pop()
            if skipping and lines:
                del lines[0]
                skipping = False
            yield from lines
            if skipping:
                held = b""
            elif len(held) > MAX_LINE_BYTES:
                yield held
                held, skipping = b"", True


def torn_bytes(path: Path) -> int:
    """How many bytes stand after the last newline of a file."""
    with path.open("rb", buffering=0) as file:
        size = end = file.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - _BLOCK_BYTES)
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            if newline >= 0:
                return size - (start + newline + 1)
            end = start
        return size


def set_tail_aside(path: Path) -> int:
    """Move the bytes after the last newline into `<file>.torn-<ns>` beside it; how many there were.

    The copy is on the disk before the tail is cut, so that no power cut loses both. Raises OSError.
    """
    n_torn = torn_bytes(path)
    if not n_torn:
        return 0
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        end = os.fstat(descriptor).st_size - n_torn
        _copy_tail(descriptor, end, path.with_name(f"{path.name}.torn-{time.time_ns()}"))
        os.ftruncate(descriptor, end)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    sync_folder(path.parent)
    return n_torn


def _copy_tail(source: int, start: int, target: Path) -> None:
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as copy:  # a descriptor: its mode from the start
        while block := os.pread(source, _BLOCK_BYTES, start):
            copy.write(block)
            start += len(block)
        copy.flush()
        os.fsync(descriptor)


def sync_folder(folder: Path) -> None:
    """Bring the names of a folder to the disk. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
