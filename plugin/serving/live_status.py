"""How does the live process answer, when a command of this host asks how it is?"""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Any

import msgspec

from plugin.errors import NOT_JSON, ShadowgateError
from plugin.protocol import Status, StatusReport

_MAX_BYTES = 4_194_304
TIMEOUT_S = 5.0


class NoLiveProcess(ShadowgateError):
    """Nobody answers on the socket."""


def ask_status(address: Path, timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
    """What the live process says of itself. Raises NoLiveProcess where none does within the time."""
    give_up_at = time.monotonic() + timeout_s
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.settimeout(timeout_s)
            connection.connect(str(address))
            connection.sendall(msgspec.json.encode(Status(id=1)) + b"\n")
            line = _read_line(connection, give_up_at)
        except TimeoutError as error:
            was = f"none within {timeout_s:g} s: it is stuck, stopped or starting"
            remedy = "look at its log; systemd restarts one that is stuck"
            raise NoLiveProcess(f"an answer on {address}", was, remedy) from error
        except OSError as error:
            was = error.strerror or str(error)
            remedy = "start it: systemctl start shadowgate, or python -m plugin run"
            raise NoLiveProcess(f"a live process on {address}", was, remedy) from error
    try:
        return msgspec.json.decode(line, type=StatusReport).status
    except NOT_JSON as error:
        was = line[:80].decode(errors="replace") or "a closed connection"
        remedy = "is another program there?"
        raise NoLiveProcess(f"a status on {address}", was, remedy) from error


def _read_line(connection: socket.socket, give_up_at: float) -> bytes:
    received = bytearray()
    while b"\n" not in received and len(received) < _MAX_BYTES:
        left_s = give_up_at - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        connection.settimeout(left_s)
        piece = connection.recv(65_536)
        if not piece:
            break
        received += piece
    return bytes(received)
