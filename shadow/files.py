"""Which files make up a shadow log, and how are they cut into lines?

One file per UTC day, `YYYY-MM-DD.jsonl`, so that the order of the names is the order of the lines. A
day that is over may be compressed, `YYYY-MM-DD.jsonl.zst` (`shadow.retention`).
A line ends with b"\\n" and with nothing else: texts may hold U+2028 and its kin.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

MAX_LINE_BYTES = 65_536
"""Longer lines are neither written nor read: no line makes a reader hold a file in memory."""
ARCHIVE_SUFFIX = ".zst"
_DAY_FILE = re.compile(r"\d{4}-\d{2}-\d{2}\.jsonl(\.zst)?")
_DAY_LETTERS = len("2025-06-30")
_BLOCK_BYTES = 1 << 15


class DamagedArchive(Exception):
    """A compressed file of the log can not be read to its end."""


def utc_text(time_ms: int) -> str:
    """`2025-06-30T12:00:00.123Z`; its first ten characters name the day's file."""
    seconds, milliseconds = divmod(time_ms, 1000)
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{milliseconds:03d}Z"


def day_of(path: Path) -> str:
    """The UTC day of a file of the log, `2025-06-30`."""
    return path.name[:_DAY_LETTERS]


def is_archive(path: Path) -> bool:
    """Whether a file of the log is compressed."""
    return path.suffix == ARCHIVE_SUFFIX


def archive_of(path: Path) -> Path:
    """Where the compressed form of a day lies."""
    return path if is_archive(path) else path.with_name(path.name + ARCHIVE_SUFFIX)


def day_files(folder: Path) -> list[Path]:
    """The files of the log, oldest first, one a day; none where there is no folder. Raises OSError.

    Of a day that is being compressed the plain file counts, until it is gone.
    """
    if not folder.exists():
        return []
    found = sorted(path for path in folder.iterdir() if _DAY_FILE.fullmatch(path.name))
    # The plain name sorts before that of its archive.
    return list({day_of(path): path for path in reversed(found)}.values())[::-1]


def cut_lines(path: Path) -> Iterator[bytes]:
    """The whole lines of a file, one by one; see `cut_blocks`."""
    for lines in cut_blocks(path):
        yield from lines


def cut_blocks(path: Path) -> Iterator[list[bytes]]:
    """The whole lines of a file, without their newline, as they come, in bounded memory.

    A tail without newline is not yielded: it is being written, or torn. Of a line that goes on past
    MAX_LINE_BYTES a first part that is itself too long is yielded once, and the rest is skipped.
    Raises OSError, DamagedArchive where an archive ends early or is not what was written.
    """
    held, skipping = b"", False
    for block in _blocks(path):
        lines = BytesIO(held + block).readlines()  # by memchr; `split` looks at every byte
        held = b"" if lines[-1].endswith(b"\n") else lines.pop()
        if skipping and lines:
            del lines[0]
            skipping = False
        yield [line[:-1] for line in lines]
        if skipping:
            held = b""
        elif len(held) > MAX_LINE_BYTES:
            yield [held]
            held, skipping = b"", True


def _blocks(path: Path) -> Iterator[bytes]:
    if not is_archive(path):
        try:
            file = path.open("rb", buffering=0)
        except FileNotFoundError:
            if not archive_of(path).exists():
                raise
        else:
            with file:
                while block := file.read(_BLOCK_BYTES):
                    yield block
            return
    # Compressed, perhaps since its name was read.
    import pyarrow as pa  # 40 MB that a log without archives does not need

    with archive_of(path).open("rb") as packed:
        try:
            with pa.CompressedInputStream(pa.PythonFile(packed), "zstd") as stream:
                while block := stream.read(_BLOCK_BYTES):
                    yield block
        except (pa.ArrowException, OSError) as error:
            raise DamagedArchive(f"{path.name}: {error}") from error


def torn_bytes(path: Path) -> int:
    """How many bytes stand after the last newline of a file; an archive is made of whole lines."""
    if is_archive(path) or (not path.exists() and archive_of(path).exists()):
        return 0
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
