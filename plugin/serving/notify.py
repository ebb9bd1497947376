"""How does systemd know that the service is ready, what it does, and that it is not stuck?

One datagram a message, to the socket that NOTIFY_SOCKET names. Where nobody listens nothing is said,
and nothing that goes wrong here reaches the service: a full queue costs the message, not the time.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable, MutableMapping
from types import TracebackType

import structlog

_log = structlog.get_logger()
_VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
_LONGEST_STATUS = 200


class Notifier:
    """Says what systemd's sd_notify(3) lays down. `watchdog_s` is None where no watchdog waits."""

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        """Takes the variables out of `environ`: a child must not speak for this process."""
        path, limit_us, pid = (environ.pop(name, "") for name in _VARIABLES)
        self._address = f"\0{path[1:]}" if path.startswith("@") else path
        self._socket: socket.socket | None = None
        self._status = ""
        self._complained = False
        if path:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)
        is_meant = pid in ("", str(os.getpid()))
        limit = int(limit_us) if limit_us.isascii() and limit_us.isdigit() else 0
        self.watchdog_s = limit / 1e6 if limit and path and is_meant else None

    def ready(self) -> None:
        """Started, or done with a reload."""
        self._send("READY=1")

    def starting(self, more_s: float) -> None:
        """Not ready yet, and not stuck either: it may take `more_s` from now."""
        self._send(f"EXTEND_TIMEOUT_USEC={int(more_s * 1e6)}")

    def reloading(self) -> None:
        """`ready` must follow."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def alive(self) -> None:
        """Call it from the loop that serves, and only while that gets on."""
        self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """A line for people, as `systemctl status` shows it; said again only when it has changed."""
        line = " ".join(text.split())[:_LONGEST_STATUS]
        if line != self._status:
            self._status = line
            self._send(f"STATUS={line}")

    def close(self) -> None:
        """Say nothing any more."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, message: str) -> None:
        if self._socket is None:
            return
        try:
            self._socket.sendto(message.encode(), self._address)
        except OSError as error:
            if not self._complained:
                _log.warning("systemd_not_told", reason=error.strerror or str(error))
            self._complained = True


class Watchdog:
    """Within its `async with` block, systemd hears from this loop as long as it gets on."""

    def __init__(self, notifier: Notifier, gets_on: Callable[[float], bool]) -> None:
        """`gets_on` is asked with the watchdog's own limit in seconds."""
        self._notifier = notifier
        self._gets_on = gets_on
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> None:
        limit_s = self._notifier.watchdog_s
        if limit_s is not None:
            self._task = asyncio.create_task(self._watch(limit_s))

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _watch(self, limit_s: float) -> None:
        while True:
            if self._gets_on(limit_s):
                self._notifier.alive()
            await asyncio.sleep(limit_s / 3)
