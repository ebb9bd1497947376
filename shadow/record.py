"""What is one line of the shadow log?

A line is one JSON object, closed by a crc32 of everything before it. There are three kinds, told apart
by `type`: a bar that was answered, a revision of a bar that had been answered, and a repair of the log
itself. `seq` rises by one from line to line over all files of a folder: a hole means lost evidence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec
from zlib_ng.zlib_ng import crc32  # the same numbers as zlib's, in a quarter of the time

from shadow.errors import NOT_JSON

SCHEMA = 1
_CRC_TAIL = b',"crc32":"%08x"}'
_CRC_TAIL_BYTES = len(_CRC_TAIL % 0)
_LINE = b"%s" + _CRC_TAIL + b"\n"

MemberStatus = Literal["ok", "constant", "nan", "missing", "error", "timeout"]
StackingMode = Literal["active", "inactive", "off"]
Mode = Literal["off", "shadow", "live"]
Action = Literal["long", "short", "flat", "abstain"]


class RecordDamaged(Exception):
    """A line is not a record that this program wrote whole."""


class MemberRecord(msgspec.Struct, frozen=True):
    """What one member said. `p` is its probability of "up" at the primary horizon.

    A probability that came out NaN is written, and so read, as None.
    """

    p: float | None
    status: MemberStatus
    us: float
    horizons: Mapping[str, float | None]


class DecisionRecord(msgspec.Struct, frozen=True):
    """What the bot was told, without the fields that stand beside it in the record."""

    action: Action
    valid_until_ms: int
    size_multiplier: float
    stop_atr: float
    regime: str
    reason: str


class RecalibratedRecord(msgspec.Struct, frozen=True):
    """How the probability of one horizon is read after what came of earlier ones: `p` is
    `sigmoid(shift + slope * logit)` of it, and is what the bot was told where it `acts`."""

    p: float
    shift: float
    slope: float
    acts: bool


class ChallengerRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What the challenger would have said of the bar; asked after the answer was out.

    `reason` is `ok` where there is a prediction, else why there is none, and `error` the text of an
    exception; the other fields are as in `BarRecord`. `us` is the time it took, a share of its batch.
    """

    bundle: str
    reason: str
    error: str | None
    members: dict[str, MemberRecord]
    meta_p: float | None
    probabilities: Mapping[str, float | None]
    regime_probabilities: Mapping[str, float | None] = {}
    us: float


class ShadowRecord(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """What every kind of line has."""

    schema: int = SCHEMA
    seq: int
    written_at: str


class BarRecord(ShadowRecord, frozen=True, kw_only=True, tag="bar"):
    """One answered bar: one line per symbol, timeframe and bar.

    `probabilities` maps a horizon in bars, as text, to the probability of "up"; `meta_p` is the one at
    the primary horizon. `ml_reason` says why stacking was not active, and is `ok` where it was.
    `regime_probabilities` is what the regime classifier said, by question: empty where the bundle has
    none. `recalibrated` has the horizons that are read otherwise than they are said; `probabilities` is
    what was said. `high` and `low` are None in records of before they were kept.
    """

    symbol: str
    timeframe: str
    open_time_ms: int
    high: float | None = None
    low: float | None = None
    close: float
    mode: Mode
    ml_stacking_mode: StackingMode
    ml_reason: str
    ml_error: str | None
    members: dict[str, MemberRecord]
    meta_p: float | None
    probabilities: Mapping[str, float | None]
    regime_probabilities: Mapping[str, float | None] = {}
    recalibrated: dict[str, RecalibratedRecord] = {}
    decision: DecisionRecord
    host_signal: str | None
    champion: str | None
    challenger: ChallengerRecord | None
    flags: dict[str, str]
    feature_hash: str | None
    latency_us: float


class RevisionRecord(ShadowRecord, frozen=True, kw_only=True, tag="revision"):
    """An answered bar came again with other values. The decision stands; both versions are kept."""

    symbol: str
    timeframe: str
    open_time_ms: int
    seen: tuple[float, float, float, float, float]
    revised: tuple[float, float, float, float, float]


class RecoveredRecord(ShadowRecord, frozen=True, kw_only=True, tag="recovered"):
    """The log was repaired when it was opened: `dropped_bytes` of a torn line were set aside."""

    dropped_bytes: int


AnyRecord = BarRecord | RevisionRecord | RecoveredRecord
_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[AnyRecord] = msgspec.json.Decoder(AnyRecord)


def encode_line(record: AnyRecord) -> bytes:
    """The line of `record`, with its newline. NaN and infinity become null, as JSON has neither."""
    body = _encoder.encode(record)
    return _LINE % (body[:-1], crc32(body))


def is_whole(line: bytes) -> bool:
    """Whether a line without its newline ends with the crc32 of all that stands before it."""
    return are_whole([line])[0]


def are_whole(lines: Iterable[bytes]) -> list[bool]:
    """As `is_whole`, of each line: without a call for every one of a million."""
    return [
        line[-_CRC_TAIL_BYTES:] == _CRC_TAIL % crc32(b"}", crc32(line[:-_CRC_TAIL_BYTES]))
        for line in lines
    ]


def decode_line(line: bytes) -> AnyRecord:
    """The record of one line without its newline. Raises RecordDamaged with the reason."""
    if not is_whole(line):
        raise RecordDamaged("the crc32 does not match")
    try:
        record = _decoder.decode(line)
    except NOT_JSON as error:
        raise RecordDamaged(str(error)) from error
    if record.schema > SCHEMA:
        raise RecordDamaged(f"schema {record.schema} is newer than {SCHEMA}")
    return record
