"""How does a file appear whole or not at all, even if the power goes, and from one writer at a time?"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from plugin.errors import WrongUse


def replace_file(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Put `content` at `path`: readers see the old file or the new one, never a part of either.

    The file is on disk before it takes the name, and the name is on disk before this returns: without
    the first, a power cut can leave the new name on an empty file. Where there may be two writers at
    once, they hold `locked`; what a killed one has left behind is written over by the next.
    """
    draft = path.with_name(f".{path.name}.tmp")
    write_file(draft, content, mode)
    draft.replace(path)
    sync_folder(path.parent)


def write_file(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Write a file and wait until its bytes are on disk; its name is durable after `sync_folder`."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    with open(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def append_line(path: Path, line: bytes, mode: int = 0o600) -> None:
    """Add a line, without its newline, to a file and wait until both are on disk."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, mode)
    with open(descriptor, "wb") as file:
        file.write(line + b"\n")
        file.flush()
        os.fsync(descriptor)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Wait until the names in `folder` are on disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Wait for other writers of `folder`, which is made if need be, and keep them out of the block.

    The kernel lets go when the process dies. Raises WrongUse where the folder can not be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        remedy = "correct the path or its permissions"
        raise WrongUse(f"to write into {folder}", error.strerror or str(error), remedy) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
