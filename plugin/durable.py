"""How does a file appear whole or not at all, even if the power goes?"""

from __future__ import annotations

import os
from pathlib import Path


def replace_file(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Put `content` at `path`: readers see the old file or the new one, never a part of either.

    The file is on disk before it takes the name, and the name is on disk before this returns: without
    the first, a power cut can leave the new name on an empty file.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
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


def sync_folder(folder: Path) -> None:
    """Wait until the names in `folder` are on disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
