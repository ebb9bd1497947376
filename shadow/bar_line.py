"""What does the report need of a bar's line? Decoding less is cheaper, and a million lines are many."""

from __future__ import annotations

from typing import Literal

import msgspec

from shadow.reader import BarKey
from shadow.record import Action, MemberStatus, Mode, StackingMode


class Member(msgspec.Struct, gc=False):
    """What one member said."""

    p: float | None
    status: MemberStatus | None
    us: float


class _Decision(msgspec.Struct, gc=False, frozen=True):
    action: Action | Literal["none"]
    size_multiplier: float
    stop_atr: float
    regime: str


_UNDECIDED = _Decision("none", 0.0, 0.0, "unknown")
"""A challenger's probabilities decide nothing."""


class _Flags(msgspec.Struct, gc=False, frozen=True):
    ML_EXCHANGE: str = ""
    ML_SOURCE: str = ""


class _Recalibrated(msgspec.Struct, gc=False, frozen=True):
    acts: bool


class _Challenger(msgspec.Struct, gc=False, frozen=True):
    bundle: str


class BarLine(BarKey, tag_field="type", tag="bar", gc=False, kw_only=True):
    """What the report needs of a bar's line."""

    high: float | None = None
    low: float | None = None
    close: float
    mode: Mode
    ml_stacking_mode: StackingMode
    ml_reason: str
    ml_error: str | None
    members: dict[str, Member]
    meta_p: float | None
    probabilities: dict[str, float | None]
    recalibrated: dict[str, _Recalibrated] = {}  # noqa: RUF012  (msgspec copies it)
    decision: _Decision
    host_signal: str | None
    champion: str | None
    challenger: _Challenger | None
    flags: _Flags


class _ChallengersWord(_Challenger, gc=False, frozen=True):
    reason: str
    error: str | None
    members: dict[str, Member]
    meta_p: float | None
    probabilities: dict[str, float | None]


class BothLine(BarLine, tag_field="type", tag="bar", gc=False, kw_only=True):
    """The same with what the challenger said."""

    challenger: _ChallengersWord | None


def as_told_by(bundle: str, lines: list[BothLine]) -> list[BothLine]:
    """The same lines; where `bundle` was the challenger, as if it had been the champion, in shadow."""
    for line in lines:
        told = line.challenger
        if told is not None and told.bundle == bundle:
            line.champion = bundle
            line.mode = "shadow"
            line.ml_stacking_mode = "active" if told.reason == "ok" else "inactive"
            line.ml_reason, line.ml_error = told.reason, told.error
            line.members, line.meta_p = told.members, told.meta_p
            line.probabilities, line.recalibrated = told.probabilities, {}
            line.decision = _UNDECIDED
        line.challenger = None  # nobody asks for it twice
    return lines
