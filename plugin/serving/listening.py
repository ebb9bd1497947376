"""On which socket does a bot find the service, and who else may be there?

Either systemd holds the listening socket and hands it over, so that a bot that connects during a
restart only waits; or it is made here, beside a folder that only our user may enter.
"""

from __future__ import annotations

import fcntl
import os
import socket
import stat
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from plugin.errors import WrongUse

_BACKLOG = 128
_FIRST_HANDED_OVER = 3  # SD_LISTEN_FDS_START


class Listening:
    """A listening Unix stream socket; `close` removes its file if it was made here."""

    def __init__(self, opened: socket.socket, made_at: Path | None) -> None:
        self.socket = opened
        self._made_at = made_at
        self._identity = _identity(made_at) if made_at else None

    @property
    def address(self) -> str:
        return str(self.socket.getsockname())

    @property
    def is_handed_over(self) -> bool:
        """Whether systemd holds it too, and keeps it when we are gone."""
        return self._made_at is None

    def close(self) -> None:
        """Stop listening. A file that another process has put there meanwhile stays."""
        self.socket.close()
        if self._made_at is not None and _identity(self._made_at) == self._identity:
            self._made_at.unlink(missing_ok=True)


def listen(address: Path, environ: Mapping[str, str]) -> Listening:
    """Take over what systemd hands over, else listen at `address`.

    Raises WrongUse where another process listens there, or where no socket can be made.
    """
    if environ.get("LISTEN_PID") == str(os.getpid()):
        return Listening(_handed_over(environ.get("LISTEN_FDS", "")), None)
    try:
        address.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _alone(address.parent):  # of two that start at once, the second one meets the first
            _clear(address)
            return Listening(_bound(address), address)
    except OSError as error:
        raise WrongUse(
            f"a place for a socket at {address}", error.strerror, "set ML_SOCKET to another path"
        ) from None


def _bound(address: Path) -> socket.socket:
    opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        opened.bind(str(address))
        address.chmod(0o600)  # before it listens: nobody can have connected
        opened.listen(_BACKLOG)
    except OSError:
        opened.close()
        raise
    return opened


def _handed_over(count: str) -> socket.socket:
    remedy = "give the service one ListenStream= with a path, or start it without its .socket unit"
    if count != "1":
        raise WrongUse("one socket from systemd", f"LISTEN_FDS={count}", remedy)
    try:
        taken = socket.socket(fileno=_FIRST_HANDED_OVER)
    except OSError as error:
        raise WrongUse("a socket from systemd", error.strerror, remedy) from None
    is_listening = taken.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    if (taken.family, taken.type, is_listening) != (socket.AF_UNIX, socket.SOCK_STREAM, 1):
        raise WrongUse("a listening Unix stream socket from systemd", str(taken), remedy)
    taken.setblocking(False)
    taken.set_inheritable(False)
    return taken


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _clear(address: Path) -> None:
    """Remove the socket of a process that has died; raises WrongUse for anything else."""
    try:
        found = address.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise WrongUse(
            f"a socket or nothing at {address}",
            "a file of another kind",
            "set ML_SOCKET to another path",
        )
    listener = _listener(address)
    if listener is not None:
        raise WrongUse(
            f"nobody listening at {address}",
            listener,
            "stop that process, or set ML_SOCKET to another path",
        )
    address.unlink()


def _listener(address: Path) -> str | None:
    """Who listens at a socket; None where nobody does any more."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        try:
            probe.connect(str(address))
        except ConnectionRefusedError:
            return None
        except BlockingIOError:
            return "a process that is too busy to say who it is"
        identity = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        return f"process {struct.unpack('3i', identity)[0]}"


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
