"""What do a bot and the service say to each other on the socket?

One JSON object a line, in UTF-8, each way. A connection carries one request after the other; the answer
to a request has its `id`. docs/socket.md tells it for those who write a client in another language.
"""

from __future__ import annotations

import math
from typing import Annotated, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from plugin.bar import BarClosed
from plugin.decision import Decision
from plugin.errors import NOT_JSON

VERSION = 1
MAX_REQUEST_BYTES = 262_144
"""A longer line is refused before it is read whole: a history of 600 bars takes 60,000."""
MAX_BARS = 1_024
"""Of one request."""

# The largest whole number that every JSON reader takes for itself.
_Whole = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
_Number = float | None
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
_Signal = Annotated[str, msgspec.Meta(max_length=32)]
BarRow: TypeAlias = tuple[_Whole, _Number, _Number, _Number, _Number, _Number]
"""Open time in milliseconds, open, high, low, close, volume. Exchanges do send null for a number."""


class PushedBar(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A bar that has closed, as the bot has it. One with a null is answered `not_finite`."""

    symbol: _Name
    timeframe: _Name
    open_time_ms: _Whole
    open: _Number
    high: _Number
    low: _Number
    close: _Number
    volume: _Number
    host_signal: _Signal | UnsetType | None = UNSET


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type"):
    """What every request has. `id` is the bot's own and comes back with the answer."""

    id: _Whole


class Hello(Request, frozen=True, kw_only=True, tag="hello"):
    """What do you follow, and which bars do you hold? Answered by `Welcome`."""


class Bars(Request, frozen=True, kw_only=True, tag="bars"):
    """These bars have closed: what do you decide? Answered by `Decisions`, one for each served symbol.

    Bars of one close go in one request, companions too. After `expires_ms`, milliseconds since the
    epoch, nobody waits any more. A service with a feed of its own decides on its own bars.
    """

    expires_ms: _Whole
    bars: Annotated[tuple[PushedBar, ...], msgspec.Meta(min_length=1, max_length=MAX_BARS)]


class Ask(Request, frozen=True, kw_only=True, tag="ask"):
    """What did you decide on that bar? Waits for it until `expires_ms`. Answered by `Decisions`."""

    expires_ms: _Whole
    symbol: _Name
    timeframe: _Name
    open_time_ms: _Whole


class History(Request, frozen=True, kw_only=True, tag="history"):
    """Older bars, oldest first, for the window and to fill a gap. Answered by `Held`.

    A row that is no valid bar is left out, and its slot is absent.
    """

    symbol: _Name
    timeframe: _Name
    bars: Annotated[tuple[BarRow, ...], msgspec.Meta(min_length=1, max_length=MAX_BARS)]


class Status(Request, frozen=True, kw_only=True, tag="status"):
    """How are you? Answered by `StatusReport`."""


AnyRequest: TypeAlias = Hello | Bars | Ask | History | Status


class Reply(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """What every answer has."""

    id: int


class HeldBars(msgspec.Struct, frozen=True, kw_only=True):
    """What the service holds of a symbol; `newest_open_ms` is None where it holds nothing.

    `n_bars` slots of the grid up to the newest, `n_absent` of them without a bar.
    """

    newest_open_ms: int | None
    n_bars: int
    n_absent: int


class Welcome(Reply, frozen=True, kw_only=True, tag="welcome"):
    """`takes_bars` says whether bars are to be pushed; a service with its own feed is only asked.

    `served` symbols get decisions; `followed` ones are wanted beside them. `lookback` bars fill a
    window.
    """

    version: int = VERSION
    takes_bars: bool
    timeframe: str
    served: tuple[str, ...]
    followed: tuple[str, ...]
    lookback: int
    held: dict[str, HeldBars]


class Decisions(Reply, frozen=True, kw_only=True, tag="decisions"):
    """One decision for each bar of a served symbol, in the order of the request."""

    decisions: tuple[Decision, ...]


class Held(Reply, frozen=True, kw_only=True, tag="held"):
    """The history was taken in."""

    held: HeldBars


class StatusReport(Reply, frozen=True, kw_only=True, tag="status"):
    """As `python -m plugin status --json` prints it."""

    status: dict[str, object]


class Refused(Reply, frozen=True, kw_only=True, tag="refused"):
    """The request could not be understood or carried out; `id` is 0 where none could be read.

    The connection is closed after it. `reason` is a short word, `message` a sentence for people.
    """

    reason: str
    message: str


AnyReply: TypeAlias = Welcome | Decisions | Held | StatusReport | Refused


class RequestRefused(Exception):
    """A request can not be understood or carried out; the fields are those of `Refused`."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class _IdOnly(msgspec.Struct):
    id: _Whole = 0


_requests: msgspec.json.Decoder[AnyRequest] = msgspec.json.Decoder(AnyRequest)
_ids = msgspec.json.Decoder(_IdOnly)
_replies = msgspec.json.Encoder()


def read_request(line: bytes) -> AnyRequest:
    """One line, without its end. Raises RequestRefused for all but one request, whole and exact."""
    try:
        request = _requests.decode(line)
    except NOT_JSON as error:
        raise RequestRefused("malformed", str(error)) from None
    if _n_texts_in(line) != _n_texts_of(request):
        raise RequestRefused("malformed", "a key stands there twice")
    return request


def bar_closed(bar: PushedBar, source: str, received_ms: int) -> BarClosed:
    """The event of it. A null becomes not a number: both are no finite number."""
    return BarClosed(
        symbol=bar.symbol,
        timeframe=bar.timeframe,
        open_time_ms=bar.open_time_ms,
        open=_number(bar.open),
        high=_number(bar.high),
        low=_number(bar.low),
        close=_number(bar.close),
        volume=_number(bar.volume),
        source=source,
        received_ms=received_ms,
        host_signal=bar.host_signal or None,
    )


def _number(number: float | None) -> float:
    return math.nan if number is None else number


def id_of(line: bytes) -> int:
    """The id of a request that is refused; 0 where none can be read."""
    try:
        return _ids.decode(line).id
    except NOT_JSON:
        return 0


def reply_line(reply: AnyReply) -> bytes:
    """A reply as it goes out."""
    return _replies.encode(reply) + b"\n"


# The decoder lets the last of two equal keys win in silence. Every key and every text has two quotation
# marks, so a key too many shows in their number, which costs next to nothing to count.


def _n_texts_in(line: bytes) -> int:
    """Keys and texts in a line that is JSON."""
    if b"\\" in line:  # outside of texts there is no backslash, and inside they come in pairs or escape
        line = line.replace(b"\\\\", b"").replace(b'\\"', b"")
    return line.count(b'"') // 2


def _n_texts_of(request: AnyRequest) -> int:
    """Keys and texts of which a request was read."""
    match request:
        case Hello() | Status():
            return 3
        case Ask():
            return 9
        case History():
            return 8
        case Bars():
            return 5 + sum(map(_n_texts_of_bar, request.bars))


def _n_texts_of_bar(bar: PushedBar) -> int:
    if bar.host_signal is UNSET:
        return 10
    return 11 if bar.host_signal is None else 12
