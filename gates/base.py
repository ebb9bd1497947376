"""What does a gate see, and how does it answer?

A gate is a function from a candidate and the limits to one or more results. It answers "not enough
evidence" where a value is missing, not finite or rests on too little: never "pass".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from gates.limits import Limits
from gates.metrics import Metrics
from plugin.manifest import GateResult, Manifest, Verdict

Level = Literal["shadow", "live"]


@dataclass(frozen=True)
class Candidate:
    """A bundle on disk and where evidence about it may lie. `manifest` is None if it is not intact."""

    folder: Path
    manifest: Manifest | None
    refusal: str | None
    shadow_dir: Path | None
    shadow_days: int
    now_ms: int

    def metrics(self) -> Metrics:
        """The training figures at the primary horizon; empty where none can be read."""
        if self.manifest is None:
            return Metrics()
        figures = self.manifest.metrics.get(str(self.manifest.primary_horizon))
        try:
            return msgspec.convert(figures, Metrics)
        except msgspec.ValidationError:
            return Metrics()


Gate = Callable[[Candidate, Limits], Sequence[GateResult]]


def at_least(name: str, level: Level, value: float | None, limit: float, what: str) -> GateResult:
    """Passes where `value` is known and not below `limit`."""
    return _judged(name, level, value, f">= {_words(limit)}", what, lambda known: known >= limit)


def above(name: str, level: Level, value: float | None, limit: float, what: str) -> GateResult:
    """Passes where `value` is known and above `limit`."""
    return _judged(name, level, value, f"> {_words(limit)}", what, lambda known: known > limit)


def below(name: str, level: Level, value: float | None, limit: float, what: str) -> GateResult:
    """Passes where `value` is known and below `limit`."""
    return _judged(name, level, value, f"< {_words(limit)}", what, lambda known: known < limit)


def at_most(name: str, level: Level, value: float | None, limit: float, what: str) -> GateResult:
    """Passes where `value` is known and not above `limit`."""
    return _judged(name, level, value, f"<= {_words(limit)}", what, lambda known: known <= limit)


def not_known(name: str, level: Level, limit: str, sentence: str) -> GateResult:
    """The answer of a gate that has nothing to judge."""
    return GateResult(
        name=name,
        level=level,
        value=None,
        limit=limit,
        verdict="not enough evidence",
        sentence=sentence,
    )


def _judged(
    name: str,
    level: Level,
    value: float | None,
    limit: str,
    what: str,
    holds: Callable[[float], bool],
) -> GateResult:
    if value is None or not math.isfinite(value):
        return not_known(name, level, limit, f"{what}: not measured")
    verdict: Verdict = "pass" if holds(value) else "fail"
    return GateResult(
        name=name,
        level=level,
        value=float(value),
        limit=limit,
        verdict=verdict,
        sentence=f"{what}: expected {limit}, was {_words(value)}",
    )


def _words(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.6g}"
