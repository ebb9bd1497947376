"""How does one line get onto the end of a file, or not at all?"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from shadow.files import sync_folder

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW


class DayFile:
    """An open file of the log that takes whole lines. Opening creates it, for its owner alone."""

    def __init__(self, path: Path) -> None:
        self._folder = path.parent
        self._is_named = path.exists()
        self._is_dirty = False
        self._descriptor = os.open(path, _FLAGS, 0o600)

    def append(self, line: bytes) -> None:
        """Write `line` with one call. Raises OSError, and then nothing of it stands in the file.

        Where even that can not be had the file is closed: its torn tail must be set aside first.
        """
        n_written = os.write(self._descriptor, line)
        self._is_dirty = True
        if n_written == len(line):
            return
        # A full disk takes a part of a line and says so only by the count; the next would be glued on.
        try:
            os.ftruncate(self._descriptor, os.fstat(self._descriptor).st_size - n_written)
        except OSError:
            self.close()
            raise
        raise OSError(errno.ENOSPC, f"only {n_written} of {len(line)} bytes were taken")

    def sync(self) -> None:
        """Bring the lines to the disk, and the name of a new file. Raises OSError: close it then."""
        if self._is_dirty:
            os.fdatasync(self._descriptor)
            self._is_dirty = False
        if not self._is_named:
            sync_folder(self._folder)
            self._is_named = True

    @property
    def is_open(self) -> bool:
        return self._descriptor >= 0

    def close(self) -> None:
        """Give the descriptor back; a second time does nothing. Does not sync."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
