"""What do a bot and the service say to each other on the socket?

One JSON object a line, in UTF-8, each way. A connection carries one request after the other; the answer
to a request has its `id`. docs/socket.md tells it for those who write a client in another language.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from plugin.decision import Decision

VERSION = 1
MAX_REQUEST_BYTES = 262_144
"""A longer line is refused before it is read whole: a history of 600 bars takes 60,000."""
MAX_BARS = 1_024
"""Of one request."""

_Number = float | int
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
_Signal = Annotated[str, msgspec.Meta(max_length=32)]
BarRow = tuple[int, _Number, _Number, _Number, _Number, _Number]
"""Open time in milliseconds, open, high, low, close, volume."""


class PushedBar(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A bar that has closed, as the bot has it."""

    symbol: _Name
    timeframe: _Name
    open_time_ms: int
    open: _Number
    high: _Number
    low: _Number
    close: _Number
    volume: _Number
    host_signal: _Signal | None = None


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type"):
    """What every request has. `id` is the bot's own and comes back with the answer."""

    id: int


class Hello(Request, frozen=True, kw_only=True, tag="hello"):
    """What do you follow, and which bars do you hold? Answered by `Welcome`."""


class Bars(Request, frozen=True, kw_only=True, tag="bars"):
    """These bars have closed: what do you decide? Answered by `Decisions`, one for each served symbol.

    Bars of one close go in one request, companions too. After `expires_ms`, milliseconds since the
    epoch, nobody waits any more. A service with a feed of its own decides on its own bars.
    """

    expires_ms: int
    bars: Annotated[tuple[PushedBar, ...], msgspec.Meta(min_length=1, max_length=MAX_BARS)]


class Ask(Request, frozen=True, kw_only=True, tag="ask"):
    """What did you decide on that bar? Waits for it until `expires_ms`. Answered by `Decisions`."""

    expires_ms: int
    symbol: _Name
    timeframe: _Name
    open_time_ms: int


class History(Request, frozen=True, kw_only=True, tag="history"):
    """Older bars, oldest first, for the window and to fill a gap. Answered by `Held`."""

    symbol: _Name
    timeframe: _Name
    bars: Annotated[tuple[BarRow, ...], msgspec.Meta(min_length=1, max_length=MAX_BARS)]


class Status(Request, frozen=True, kw_only=True, tag="status"):
    """How are you? Answered by `StatusReport`."""


AnyRequest = Hello | Bars | Ask | History | Status


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


AnyReply = Welcome | Decisions | Held | StatusReport | Refused
