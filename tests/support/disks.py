"""A disk of its own, whose power can be cut: ext4 in a file, by way of a loop device.

EXT4_IOC_SHUTDOWN without a flush stops the file system where it stands: what was not on disk never gets
there. Mounting it again replays the journal, as after a power cut.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

_BYTES = 48 * 2**20
_SHUTDOWN = 0x8004587D  # _IOR('X', 125, __u32)
_NO_LOG_FLUSH = 2


class Disk:
    """A file system mounted at `place`, which lies in `folder` beside the file that holds it."""

    def __init__(self, folder: Path) -> None:
        self.place = folder / "disk"
        self._image, self._kept = folder / "disk.img", folder / "kept.img"

    def format(self) -> None:
        """Make it anew and mount it. Skips the test where that is not possible."""
        self.place.mkdir()
        with self._image.open("wb") as file:
            file.truncate(_BYTES)
        try:
            _run("mkfs.ext4", "-q", "-F", str(self._image))
            self.mount()
        except (OSError, subprocess.CalledProcessError) as error:
            said = getattr(error, "stderr", None) or error
            pytest.skip(f"no file system of its own to be had, it takes root and a loop device: {said}")

    def mount(self) -> None:
        _run("mount", "-o", "loop", str(self._image), str(self.place))

    def unmount(self) -> None:
        _run("umount", str(self.place))

    def keep(self) -> None:
        """Remember the unmounted disk as it is now."""
        _run("cp", "--sparse=always", str(self._image), str(self._kept))

    def restore(self) -> None:
        """Make the unmounted disk what was kept."""
        _run("cp", "--sparse=always", str(self._kept), str(self._image))

    def cut_power(self) -> None:
        """From now on nothing reaches the disk, and every call says so."""
        descriptor = os.open(self.place, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, _SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Unmount it if it is mounted."""
        if os.path.ismount(self.place):
            self.unmount()


def _run(*command: str) -> None:
    if shutil.which(command[0]) is None:
        raise FileNotFoundError(command[0])
    subprocess.run(command, check=True, capture_output=True, text=True)
