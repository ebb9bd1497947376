"""How do requests come in and replies go out on one connection, whatever is at its other end?"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple, Protocol, cast

import structlog

from plugin.protocol import (
    MAX_REQUEST_BYTES,
    AnyReply,
    AnyRequest,
    Refused,
    RequestRefused,
    id_of,
    read_request,
    reply_line,
)
from plugin.serving.desk import Withdraw

_log = structlog.get_logger()


class Take(Protocol):
    """Carries out a request: calls `reply` once, now or later; returns what withdraws it, if anything.

    Raises RequestRefused.
    """

    def __call__(self, request: AnyRequest, reply: Callable[[AnyReply], None]) -> Withdraw | None: ...


class Limits(NamedTuple):
    """`read_s` is the time from a line's first byte to its last, `write_s` that in which a reply must
    be read; an idle connection may stay for ever. `drain_s` is for replies when the service ends."""

    read_s: float = 5.0
    write_s: float = 5.0
    drain_s: float = 1.0
    max_connections: int = 64


class Owner(Protocol):
    """The server, as its connections see it."""

    limits: Limits
    take: Take

    def opened(self, connection: Connection) -> bool:
        """Whether there is room for this one."""
        ...

    def closed(self, connection: Connection) -> None: ...

    def refused(self, reason: str, message: str) -> None: ...

    def replied(self) -> None: ...


class Connection(asyncio.Protocol):
    """One request after the other: the next one is looked at when the last one has its reply.

    Replies are written where they arise, so that they leave before the loop turns to anything else. Of
    many requests that come at once one is looked at per turn of the loop: other connections have theirs
    between.
    """

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._received = bytearray()
        self._is_busy = False  # a request has no reply yet, or the next one waits for its turn
        self._awaits_reply = False
        self._at_end = False  # the bot sends nothing more, and may still read
        self._is_closing = False
        self._reads = True
        self._withdraw: Withdraw | None = None
        self._read_alarm: asyncio.TimerHandle | None = None
        self._write_alarm: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=0)
        if not self._owner.opened(self):
            self._refuse(0, "too_many_connections", "close one that is not needed, or use it again")

    def data_received(self, data: bytes) -> None:
        if self._is_closing:
            return
        self._received += data
        if self._is_busy or self._write_alarm is not None:
            if len(self._received) > MAX_REQUEST_BYTES:  # the rest may wait in the kernel
                self._reads = False
                self._transport.pause_reading()
        else:
            self._next()

    def eof_received(self) -> bool:
        """True keeps it open for what can still be answered. Who waits for a bar has gone away: from
        here a closed connection can not be told from one that is only closed on one side."""
        self._at_end = True
        if not self._is_busy:
            self._next()
        return self._is_busy and self._withdraw is None

    def connection_lost(self, error: Exception | None) -> None:
        self._is_closing = True
        self._quiet()
        self._owner.closed(self)

    def pause_writing(self) -> None:
        if self._write_alarm is None:
            self._write_alarm = self._loop.call_later(self._owner.limits.write_s, self._not_read)

    def resume_writing(self) -> None:
        if self._write_alarm is not None:
            self._write_alarm.cancel()
            self._write_alarm = None
        if not self._is_busy and not self._is_closing:
            self._is_busy = True
            self._turn()

    def end(self) -> None:
        """The service ends: who still waits is told, what was written may still go out."""
        if self._is_closing:
            return
        if self._is_busy:
            self._refuse(0, "stopping", "the service ends; connect again")
        else:
            self._close()

    def abort(self) -> None:
        """Drop it now, with what was not read."""
        self._is_closing = True
        self._transport.abort()

    def _next(self) -> None:
        """Look at the next line, if one is there whole and the last reply was read."""
        if self._write_alarm is not None:
            return
        end = self._received.find(b"\n", 0, MAX_REQUEST_BYTES + 1)
        if end >= 0:
            self._disarm()
            line = bytes(self._received[:end])
            del self._received[: end + 1]
            self._take(line)
        elif len(self._received) > MAX_REQUEST_BYTES:
            self._refuse(0, "too_long", f"a request has at most {MAX_REQUEST_BYTES} bytes")
        elif self._at_end:
            self._close()
        else:
            if self._received and self._read_alarm is None:
                self._read_alarm = self._loop.call_later(self._owner.limits.read_s, self._too_slow)
            self._read_on()

    def _take(self, line: bytes) -> None:
        self._is_busy = self._awaits_reply = True
        try:
            request = read_request(line)
            withdraw = self._owner.take(request, self._reply)
            self._withdraw = withdraw if self._awaits_reply else None
        except RequestRefused as refusal:
            self._refuse(id_of(line), refusal.reason, refusal.message)
        except Exception as error:  # one request must not end the service for all others
            _log.error("request_failed", error=repr(error), exc_info=True)
            self._refuse(id_of(line), "error", "the request could not be carried out; see the log")

    def _reply(self, reply: AnyReply) -> None:
        if self._is_closing:
            return
        self._awaits_reply = False
        self._withdraw = None
        self._transport.write(reply_line(reply))
        self._owner.replied()
        if self._received or self._at_end or not self._reads:
            self._loop.call_soon(self._turn)
        else:
            self._is_busy = False

    def _turn(self) -> None:
        if not self._is_closing:
            self._is_busy = False
            self._next()

    def _read_on(self) -> None:
        if not self._reads:
            self._reads = True
            self._transport.resume_reading()

    def _refuse(self, request_id: int, reason: str, message: str) -> None:
        self._owner.refused(reason, message)
        refused = Refused(id=request_id, reason=reason, message=message)
        self._transport.write(reply_line(refused))
        self._close()

    def _close(self) -> None:
        self._is_closing = True
        self._disarm()
        self._transport.close()

    def _too_slow(self) -> None:
        self._refuse(0, "too_slow", f"a request must be whole within {self._owner.limits.read_s:g} s")

    def _not_read(self) -> None:
        self._owner.refused("not_read", "a reply was not read in time")
        self.abort()

    def _disarm(self) -> None:
        if self._read_alarm is not None:
            self._read_alarm.cancel()
            self._read_alarm = None

    def _quiet(self) -> None:
        """Nothing of this connection may happen any more."""
        self._disarm()
        if self._write_alarm is not None:
            self._write_alarm.cancel()
            self._write_alarm = None
        if self._withdraw is not None:
            self._withdraw()
            self._withdraw = None
