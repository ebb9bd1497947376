"""How many may be connected at once, and for how long?

One connection has one answer. Where there are too many the oldest is hung up on, so that connections
that say nothing keep nobody out.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from aiohttp import web

MAX_CONNECTIONS = 64
_MAX_AGE_S = 10.0
"""Whoever has not asked, or not taken the answer, by then does not want it."""
_LINGER_S = 1.0

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " connect-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none';"
    " form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Server": "shadowgate",
}
"""On every answer, those to requests that are no HTTP too."""


class Door:
    """Lets connections in; a factory of protocols for `create_server`."""

    def __init__(self, server: web.Server) -> None:
        self._server = server
        self._open: dict[Connection, asyncio.TimerHandle] = {}

    def __call__(self) -> Connection:
        while len(self._open) >= MAX_CONNECTIONS:
            self._show_out(next(iter(self._open)))
        loop = asyncio.get_running_loop()
        connection = Connection(self._server, self, loop)
        self._open[connection] = loop.call_later(_MAX_AGE_S, self._show_out, connection)
        return connection

    def has(self, connection: Connection) -> bool:
        """Whether it may stay."""
        return connection in self._open

    def forget(self, connection: Connection) -> None:
        """It is gone."""
        timer = self._open.pop(connection, None)
        if timer is not None:
            timer.cancel()

    def _show_out(self, connection: Connection) -> None:
        self.forget(connection)
        connection.force_close()


class Connection(web.RequestHandler):
    """One connection. Sizes of lines and of headers are bounded by aiohttp's defaults: 8190 bytes."""

    def __init__(self, server: web.Server, door: Door, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(server, loop=loop, lingering_time=_LINGER_S)
        self._door = door

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        super().connection_made(transport)
        if not self._door.has(self):  # it was shown out before it was in
            self.force_close()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Called by the loop."""
        self._door.forget(self)
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What is answered to a request that could not be understood, or on our own slip."""
        if status == HTTPStatus.INTERNAL_SERVER_ERROR:
            self.log_exception("a request failed", exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("half of the answer is out")
        return answer_with(f"{HTTPStatus(status).phrase}\n", status=status)


def answer_with(
    content: str | bytes, content_type: str = "text/plain", status: int = 200, **headers: str
) -> web.Response:
    """An answer after which the connection ends."""
    body = content.encode() if isinstance(content, str) else content
    charset = "utf-8" if content_type.startswith("text/") else None
    answer = web.Response(
        body=body,
        status=status,
        headers=HEADERS | headers,
        content_type=content_type,
        charset=charset,
    )
    answer.force_close()
    return answer
