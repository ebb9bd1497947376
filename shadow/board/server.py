"""Who may look at the dashboard: read-only, on this host alone, with nothing from elsewhere?"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from importlib.resources import files

import msgspec
from aiohttp import web

from shadow.board.connections import Door, answer_with
from shadow.board.state import Board
from shadow.errors import LogUnusable
from shadow.page.report_page import stylesheet

_LOOPBACK = ("127.0.0.1", "::1")
_NAMES = ("127.0.0.1", "localhost", "[::1]")
_HTTP_PORT = 80
_OWN_SITES = frozenset({"same-origin", "none"})
_FRESH_S = 2.0
"""How long one reading serves all who ask."""
_PATIENCE_S = 5.0
"""Who asks while it is read is answered after this with what was read before."""
_BACKLOG = 128
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def serve(board: Board, port: int) -> None:
    """Print the address and serve until SIGTERM or SIGINT. Raises LogUnusable for a taken port."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    server = BoardServer(board)
    try:
        await server.start(port)
    except OSError as error:
        reason = error.strerror or str(error)
        raise LogUnusable(f"to listen on port {port}", reason, "name another by --port") from error
    sys.stdout.write(f"{server.address}\n")
    sys.stdout.flush()
    await stopped.wait()
    await server.stop()


class BoardServer:
    """Serves a board. `address` is where, once `start` has returned."""

    def __init__(self, board: Board) -> None:
        self.address = ""
        self._board = board
        self._state: bytes | None = None
        self._read_at_s = float("-inf")
        self._reading: asyncio.Future[bytes] | None = None
        self._hosts: frozenset[str] = frozenset()
        self._servers: list[asyncio.Server] = []
        self._runner: web.AppRunner | None = None

    async def start(self, port: int) -> None:
        """Listen on loopback; port 0 takes any that is free. Raises OSError where the port is taken."""
        app = web.Application(middlewares=[self._guarded])
        app.router.add_get("/", _page("board.html", "text/html"))
        app.router.add_get("/board.js", _page("board.js", "text/javascript"))
        app.router.add_get("/board.css", _page("board.css", "text/css"))
        app.router.add_get("/style.css", _always(stylesheet(), "text/css"))
        app.router.add_get("/api/state.json", self._tell)
        app.router.add_get("/healthz", _always("ok\n", "text/plain"))
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        assert self._runner.server is not None  # noqa: S101  (it is set up)
        bound = await self._listen(Door(self._runner.server), port)
        self.address = f"http://{_LOOPBACK[0]}:{bound}/"
        bare = _NAMES if bound == _HTTP_PORT else ()
        self._hosts = frozenset([*(f"{name}:{bound}" for name in _NAMES), *bare])

    async def stop(self) -> None:
        """Hang up."""
        for server in self._servers:
            server.close()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _listen(self, door: Door, port: int) -> int:
        """Listen on every address of this host alone; the port."""
        loop = asyncio.get_running_loop()
        for address in _LOOPBACK:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            try:
                server = await loop.create_server(door, address, port, family=family, backlog=_BACKLOG)
            except OSError:
                if address == _LOOPBACK[0]:
                    raise
                continue  # many hosts have no second one
            self._servers.append(server)
            port = server.sockets[0].getsockname()[1]
        return port

    @web.middleware
    async def _guarded(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        if request.method not in {"GET", "HEAD"}:
            return answer_with("this page can only be read\n", status=405, Allow="GET, HEAD")
        # A page elsewhere may let its own name point here, and read what this host shows.
        if not self._hosts.issuperset(name.lower() for name in request.headers.getall("Host", [""])):
            return answer_with(f"open {self.address}\n", status=421)
        if request.headers.get("Sec-Fetch-Site", "none") not in _OWN_SITES:
            return answer_with("another page may not look here\n", status=403)
        try:
            return await handler(request)
        except web.HTTPException as error:
            return answer_with(f"{error.reason}\n", status=error.status)

    async def _tell(self, _: web.Request) -> web.Response:
        """The state; `Age` says how many seconds ago it was read."""
        now_s = asyncio.get_running_loop().time()
        if self._reading is None and now_s - self._read_at_s > _FRESH_S:
            self._reading = _in_background(lambda: msgspec.json.encode(self._board.state()))
            self._reading.add_done_callback(partial(self._keep, now_s))
        if self._reading is not None:
            await asyncio.wait([self._reading], timeout=_PATIENCE_S)
        if self._state is None:
            return answer_with("the log is being read\n", status=503)
        age_s = asyncio.get_running_loop().time() - self._read_at_s
        return answer_with(self._state, "application/json", Age=f"{age_s:.0f}")

    def _keep(self, began_s: float, reading: asyncio.Future[bytes]) -> None:
        self._reading = None
        self._state = reading.result()
        self._read_at_s = began_s


def _in_background(read: Callable[[], bytes]) -> asyncio.Future[bytes]:
    """What `read` returns, from a thread that nobody waits for when the program ends."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[bytes] = loop.create_future()

    def work() -> None:
        try:
            told = partial(future.set_result, read())
        except Exception as error:  # our own slip: whoever waits for the future will hear of it
            told = partial(future.set_exception, error)
        with contextlib.suppress(RuntimeError):  # the loop is closed: the program has ended
            loop.call_soon_threadsafe(told)

    threading.Thread(target=work, daemon=True).start()
    return future


def _page(name: str, content_type: str) -> _Handler:
    return _always(files("shadow.board").joinpath(name).read_text(encoding="utf-8"), content_type)


def _always(text: str, content_type: str) -> _Handler:
    async def answer(_: web.Request) -> web.StreamResponse:
        return answer_with(text, content_type)

    return answer
