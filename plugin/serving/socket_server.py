"""How do many bots ask on one Unix socket, none of them at the cost of another?"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from types import TracebackType

import structlog

from plugin.serving.connection import Connection, Limits, Take
from plugin.serving.listening import Listening, listen

_log = structlog.get_logger()
_LIMITS = Limits()
_TELL_EVERY_S = 10.0
_LOOK_AGAIN_S = 0.005


class SocketServer:
    """Within its `async with` block bots are served at `address`, or at the socket systemd hands over.

    `take` carries out requests: `Reception.take`.
    """

    def __init__(self, address: Path, take: Take, limits: Limits = _LIMITS) -> None:
        self.take = take
        self.limits = limits
        self._address = address
        self._connections: set[Connection] = set()
        self._n_refused = self._n_replied = self._n_untold = 0
        self._told_at_s = 0.0
        self._listening: Listening | None = None
        self._server: asyncio.Server | None = None

    def state(self) -> dict[str, object]:
        """What an operator wants to know of it now."""
        return {
            "connections": len(self._connections),
            "requests_answered": self._n_replied,
            "requests_refused": self._n_refused,
        }

    async def __aenter__(self) -> None:
        """Raises WrongUse where another process listens, or nobody can."""
        self._listening = listen(self._address, os.environ)
        # Not create_unix_server: from Python 3.13 on it removes the file, also that of systemd.
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Connection(self), sock=self._listening.socket
        )
        _log.info(
            "socket_open", address=self._listening.address, from_systemd=self._listening.is_handed_over
        )

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._server is not None:
            self._server.close()
        if self._listening is not None:
            self._listening.close()
        for connection in tuple(self._connections):
            connection.end()
        drained_at_s = time.monotonic() + self.limits.drain_s
        while self._connections and time.monotonic() < drained_at_s:
            await asyncio.sleep(_LOOK_AGAIN_S)
        for connection in tuple(self._connections):
            connection.abort()

    def opened(self, connection: Connection) -> bool:
        """Whether there is room for this one."""
        if len(self._connections) >= self.limits.max_connections:
            return False
        self._connections.add(connection)
        return True

    def closed(self, connection: Connection) -> None:
        self._connections.discard(connection)

    def refused(self, reason: str, message: str) -> None:
        """Count it, and say so now and then: who floods the socket must not flood the log."""
        self._n_refused += 1
        self._n_untold += 1
        now_s = time.monotonic()
        if now_s >= self._told_at_s + _TELL_EVERY_S:
            _log.warning("request_refused", reason=reason, error=message, n_refused=self._n_untold)
            self._told_at_s, self._n_untold = now_s, 0

    def replied(self) -> None:
        self._n_replied += 1
