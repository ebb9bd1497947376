"""What does a bad network do to bytes? A TCP proxy on 127.0.0.1 that does it to order.

with ChaosProxy(exchange.url, seed=1) as proxy:
    client(proxy.url)
    proxy.mode = Mode("latency", 0.3)
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import threading
from types import TracebackType
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

Kind = Literal[
    "pass",  # as it came
    "latency",  # every piece `amount` seconds late
    "rate",  # at most `amount` bytes a second
    "slice",  # byte by byte
    "duplicate",  # every piece twice
    "corrupt",  # one byte of every piece changed
    "cut",  # half of a piece, then the connection is reset
    "drop",  # nothing arrives
    "stall",  # nothing arrives, either way, until the mode changes; then all of it
    "refuse",  # new connections are reset
    "blackhole",  # new connections are accepted, and nothing moves on any
]
_PIECE_BYTES = 65_536
_STEP_S = 0.02
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER of 0 s: close() sends RST


class Mode(NamedTuple):
    """What happens to the bytes that come back from the server, until another mode is set."""

    kind: Kind
    amount: float = 0.0


PASS = Mode("pass")


class ChaosProxy:
    """Connections to `url` go to `upstream` (scheme, host and port). `mode` may be set from any thread.

    Which byte is corrupted depends on `seed` alone. It is no ASCII any more: a number that became
    another one could not be noticed by anybody, and TLS lets none through.
    """

    def __init__(self, upstream: str, seed: int) -> None:
        address = urlsplit(upstream)
        self._upstream = str(address.hostname), int(address.port or 0)
        self._scheme = address.scheme
        self._random = random.Random(seed)
        self.mode = PASS
        self.url = ""
        self.n_connections = 0
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def __enter__(self) -> ChaosProxy:
        self._thread.start()
        self._started.wait(30)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(30)

    async def _serve(self) -> None:
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        self.url = f"{self._scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._started.set()
        await self._stopped.wait()
        server.close()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.n_connections += 1
        try:
            if self.mode.kind == "refuse":
                raise ConnectionError
            await self._while("blackhole")
            up_reader, up_writer = await asyncio.open_connection(*self._upstream)
        except (ConnectionError, asyncio.CancelledError):
            _reset(writer)
            return
        pumps = (
            asyncio.create_task(self._pump(reader, up_writer, is_answer=False)),
            asyncio.create_task(self._pump(up_reader, writer, is_answer=True)),
        )
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            """The proxy ends: so does the connection."""
        for pump in pumps:
            pump.cancel()
        for end in (writer, up_writer):
            end.close()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_answer: bool
    ) -> None:
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(_PIECE_BYTES):
                await self._while("stall", "blackhole")
                if is_answer:
                    await self._pass(piece, writer, self.mode)
                else:
                    writer.write(piece)
                    await writer.drain()

    async def _pass(self, piece: bytes, writer: asyncio.StreamWriter, mode: Mode) -> None:
        """Send what a mode leaves of the piece; ConnectionError where it leaves no connection."""
        match mode.kind:
            case "drop":
                return
            case "cut":
                writer.write(piece[: len(piece) // 2])
                await asyncio.sleep(_STEP_S)  # a reset overtakes what was not sent yet
                _reset(writer)
                raise ConnectionResetError
            case "duplicate":
                piece += piece
            case "corrupt":
                place = self._random.randrange(len(piece))
                piece = piece[:place] + bytes([piece[place] ^ 0x80]) + piece[place + 1 :]
            case "latency":
                await asyncio.sleep(mode.amount)
        await _send(piece, writer, mode)

    async def _while(self, *kinds: Kind) -> None:
        while self.mode.kind in kinds:
            await asyncio.sleep(_STEP_S)


async def _send(piece: bytes, writer: asyncio.StreamWriter, mode: Mode) -> None:
    step = len(piece)
    if mode.kind == "slice":
        step = 1
    elif mode.kind == "rate":
        step = max(1, int(mode.amount * _STEP_S))
    for start in range(0, len(piece), step):
        writer.write(piece[start : start + step])
        await writer.drain()
        await asyncio.sleep(_STEP_S if mode.kind == "rate" else 0)


def _reset(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
