"""A service that answers on a real Unix socket as a test tells it to, rightly or wrongly.

with ScriptedService(path) as service:
    service.reply = flood                          # what it does with every request from now on

`python -m tests.support.scripted_service PATH REPLY` is one to be stopped and killed; REPLY is the name
of one of the functions below, such as `rightly`.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

Request = dict[str, Any]
Reply = Callable[[socket.socket, Request], None]
HOUR_MS = 3_600_000
_QUEUE = 4_096
"""So many may connect to a stopped service; the system may allow fewer."""


def decision_of(request: Request, **changes: object) -> dict[str, Any]:
    """A live decision on what `request` asks about."""
    bar = request["bars"][0] if request["type"] == "bars" else request
    return {
        "symbol": bar["symbol"],
        "timeframe": bar["timeframe"],
        "open_time_ms": bar["open_time_ms"],
        "valid_until_ms": bar["open_time_ms"] + 2 * HOUR_MS,
        "mode": "live",
        "action": "long",
        "probabilities": {"5": 0.61, "12": 0.58},
        "size_multiplier": 0.5,
        "stop_atr": 3.0,
        "regime": "high",
        "bundle_id": "20250101T000000Z-abc",
        "feature_hash": "f00d",
        "reason": "ok",
        "latency_us": 150.5,
    } | changes


def answer_to(request: Request) -> dict[str, Any]:
    """What a service that holds nothing answers rightly."""
    held = {"newest_open_ms": None, "n_bars": 0, "n_absent": 0}
    body: dict[str, Any] = {
        "hello": {
            "type": "welcome",
            "version": 1,
            "takes_bars": True,
            "timeframe": "1h",
            "served": ["BTC/USDT"],
            "followed": ["ETH/USDT"],
            "lookback": 512,
            "held": {"BTC/USDT": held, "ETH/USDT": held},
        },
        "history": {"type": "held", "held": held},
        "status": {"type": "status", "status": {"mode": "shadow"}},
    }.get(request["type"]) or {"type": "decisions", "decisions": [decision_of(request)]}
    return {"id": request["id"], **body}


def line_of(answer: object) -> bytes:
    """One answer as it goes out."""
    return json.dumps(answer).encode() + b"\n"


def rightly(connection: socket.socket, request: Request) -> None:
    """The right answer."""
    connection.sendall(line_of(answer_to(request)))


def silent(connection: socket.socket, request: Request) -> None:
    """A wedged service: it takes the request and never answers."""


def flood(connection: socket.socket, request: Request) -> None:
    """An answer that never ends."""
    with suppress(OSError):
        while True:
            connection.sendall(b"[" * 65_536)


def slow_bytes(connection: socket.socket, request: Request) -> None:
    """The right answer, a byte every few milliseconds."""
    with suppress(OSError):
        for byte in line_of(answer_to(request)):
            connection.sendall(bytes([byte]))
            time.sleep(0.01)


def hang_up(connection: socket.socket, request: Request) -> None:
    """The service ends in the middle of the request."""
    connection.shutdown(socket.SHUT_RDWR)


def raw(sent: bytes) -> Reply:
    """These very bytes."""

    def reply(connection: socket.socket, request: Request) -> None:
        with suppress(OSError):
            connection.sendall(sent)

    return reply


def changed(**changes: object) -> Reply:
    """A right answer but for these fields of its decision."""

    def reply(connection: socket.socket, request: Request) -> None:
        answer = answer_to(request)
        if answer["type"] == "decisions":
            answer["decisions"] = [decision_of(request, **changes)]
        connection.sendall(line_of(answer))

    return reply


class ScriptedService:
    """Listens on `path`, a thread for each connection; `requests` are those it has read, in order."""

    def __init__(self, path: Path, reply: Reply = rightly) -> None:
        self.path = path
        self.reply = reply
        self.requests: list[Request] = []
        self.n_connections = 0
        self._open: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> ScriptedService:
        self._listener.bind(str(self.path))
        self._listener.listen(_QUEUE)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        self.drop_connections()
        self.path.unlink(missing_ok=True)

    def drop_connections(self) -> None:
        """As a restart does."""
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        self._open.clear()

    def asked(self, kind: str) -> list[Request]:
        """The requests of one type."""
        return [request for request in self.requests if request["type"] == kind]

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.n_connections += 1
                self._open.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError, ValueError), connection.makefile("rb") as lines:
            for line in lines:
                request = json.loads(line)
                self.requests.append(request)
                self.reply(connection, request)


@contextmanager
def service_process(path: Path, reply: Reply = rightly) -> Iterator[subprocess.Popen[bytes]]:
    """One in a process of its own; killed at the end, if it still lives."""
    command = [sys.executable, "-m", "tests.support.scripted_service", str(path), reply.__name__]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield process
        finally:
            process.kill()


@contextmanager
def stopped(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Not running, but not gone: as under a debugger, or in a machine that is paused."""
    os.kill(process.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
    try:
        yield
    finally:
        os.kill(process.pid, signal.SIGCONT)


if __name__ == "__main__":
    with ScriptedService(Path(sys.argv[1]), globals()[sys.argv[2]]):
        print("ready", flush=True)
        select.select([], [], [])
