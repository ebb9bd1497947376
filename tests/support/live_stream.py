"""How does the local exchange's websocket tell its subscribers of bars, and how does it go wrong?"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field

from aiohttp import WSMsgType, web

from tests.support.exchange import Request

_PING_EVERY_S = 20.0
# Who reads so slowly that this many frames wait is thrown out, as exchanges do.
_MOST_WAITING = 5_000


@dataclass(eq=False)
class _Connection:
    request: web.Request
    socket: web.WebSocketResponse
    is_combined: bool
    streams: set[str]
    waiting: asyncio.Queue[str] = field(default_factory=lambda: asyncio.Queue(_MOST_WAITING))

    def abort(self) -> None:
        if self.request.transport:
            self.request.transport.abort()


class LiveStream:
    """All websockets of the exchange, and what is wrong with them: the switches may be set at any time.

    `silent`: connections stay open and no frame is sent. `frozen`: each symbol's last frame is sent
    again and again. `deaf`: subscriptions are confirmed and forgotten. `close_delay_ms`: the closed
    frame comes so much later, after frames of the next bar. `duplicates`: further copies of every
    frame. `reordered`: every other frame of a symbol comes after its successor. `corrupt`: so many
    frames to come are cut short.
    """

    def __init__(self, timeframe: str, requests: list[Request]) -> None:
        self.silent = False
        self.frozen = False
        self.deaf = False
        self.close_delay_ms = 0
        self.duplicates = 0
        self.reordered = False
        self.corrupt = 0
        self._timeframe = timeframe
        self._requests = requests
        self._connections: list[_Connection] = []
        self._last: dict[str, str] = {}
        self._held_back: dict[str, str] = {}

    @property
    def n_connections(self) -> int:
        """How many websockets are open."""
        return len(self._connections)

    @property
    def n_subscriptions(self) -> int:
        """How many streams all websockets together follow."""
        return sum(len(one.streams) for one in self._connections)

    def abort_all(self) -> None:
        """Break every connection off; from the exchange's own thread."""
        for connection in self._connections:
            connection.abort()

    def send(self, symbol: str, frame: dict[str, object]) -> None:
        """One frame to all who follow the symbol, with the faults of the moment."""
        name = f"{symbol.replace('/', '').lower()}@kline_{self._timeframe}"
        text = self._last.get(name, "") if self.frozen else ""
        self._last[name] = text = text or json.dumps(frame)
        if self.silent:
            return
        if self.corrupt > 0:
            self.corrupt -= 1
            text = text[: len(text) // 2]
        if self.reordered and name not in self._held_back:
            self._held_back[name] = text
            return
        self._put(name, text)
        if name in self._held_back:
            self._put(name, self._held_back.pop(name))

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """Talk to one client until it or we leave."""
        socket = web.WebSocketResponse(heartbeat=_PING_EVERY_S)
        await socket.prepare(request)
        is_combined = request.path == "/stream"
        named = request.query.get("streams", "") if is_combined else request.match_info.get("name", "")
        streams = {name for name in named.split("/") if "@" in name}
        connection = _Connection(request, socket, is_combined, streams)
        self._connections.append(connection)
        sending = asyncio.create_task(_send_all(connection))
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    connection.waiting.put_nowait(json.dumps(self._obey(connection, message.data)))
        finally:
            self._connections.remove(connection)
            sending.cancel()
        return socket

    def _put(self, name: str, text: str) -> None:
        for connection in list(self._connections):
            if name not in connection.streams:
                continue
            wrapped = f'{{"stream":"{name}","data":{text}}}' if connection.is_combined else text
            for _ in range(1 + self.duplicates):
                try:
                    connection.waiting.put_nowait(wrapped)
                except asyncio.QueueFull:
                    connection.abort()

    def _obey(self, connection: _Connection, text: str) -> dict[str, object]:
        """Carry a request of the client out; returns what it is told."""
        try:
            asked = json.loads(text)
            method, names, id_ = asked["method"], asked.get("params", []), asked["id"]
        except (ValueError, LookupError, TypeError):
            return {"error": {"code": 3, "msg": "Invalid JSON"}, "id": None}
        self._requests.append(Request(method, {"params": ",".join(names)}, time.monotonic()))
        match method:
            case "SUBSCRIBE" if not self.deaf:
                connection.streams.update(names)
            case "UNSUBSCRIBE":
                connection.streams.difference_update(names)
            case "LIST_SUBSCRIPTIONS":
                return {"result": sorted(connection.streams), "id": id_}
        return {"result": None, "id": id_}


async def _send_all(connection: _Connection) -> None:
    """The frames one by one; who does not read holds up nobody else."""
    try:
        while True:
            await connection.socket.send_str(await connection.waiting.get())
    except (ConnectionError, RuntimeError):
        connection.abort()
