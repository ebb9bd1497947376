"""What does a gate see, and how does it answer?

A gate is a function from a candidate and the limits to one or more results. It answers "not enough
evidence" where a value is missing, not finite or rests on too little: never "pass".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

from gates.limits import Limits
from gates.measured import Measured
from gates.metrics import Metrics, read_metrics
from gates.out_of_fold import OutOfFoldRows
from plugin.bar import Timeframe
from plugin.canary import CanaryReport, check_in_child
from plugin.manifest import GateResult, Manifest, Verdict

Level = Literal["shadow", "live"]
NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class StoredBundle:
    """A bundle on disk. `manifest` is None if it is not intact; `contents` are the verified
    bytes of its files by name."""

    folder: Path
    manifest: Manifest | None
    refusal: str | None
    contents: Mapping[str, bytes] = field(default_factory=dict)

    @cached_property
    def measured(self) -> Measured | str:
        """What the out-of-fold rows say at the primary horizon, or why they say nothing."""
        if self.manifest is None:
            return "the bundle is not intact"
        try:
            rows = OutOfFoldRows.decode(self.contents[self.manifest.evidence_file])
            rows.check(self.manifest)
        except Exception as error:  # whatever a foreign archive makes numpy and zipfile raise
            return f"{self.manifest.evidence_file} can not be used: {error}"
        length_ms = Timeframe.parse(self.manifest.timeframe).length_ms
        return Measured(rows, self.manifest.primary_horizon, length_ms)

    @cached_property
    def canary(self) -> CanaryReport:
        """What a new process said of it; asked once, as it takes seconds."""
        return check_in_child(self.folder)


class Incumbent(StoredBundle):
    """The bundle that serves while another one is judged."""


@dataclass(frozen=True, kw_only=True)
class Candidate(StoredBundle):
    """The bundle that is judged, and where more evidence about it may lie.

    `champion` is None where nobody serves or the candidate itself does.
    """

    shadow_dir: Path | None
    shadow_days: int
    now_ms: int
    champion: Incumbent | None = None

    def metrics(self) -> Mapping[int, Metrics]:
        """What training alone could measure, by horizon; empty ones where it can not be read."""
        if self.manifest is None:
            return {}
        return {
            one: read_metrics(self.manifest.metrics.get(str(one))) for one in self.manifest.horizons
        }


Gate = Callable[[Candidate, Limits], Sequence[GateResult]]


def at_least(
    name: str, level: Level, value: float | None, limit: float, what: str, why: str = NOT_MEASURED
) -> GateResult:
    """Passes where `value` is known and not below `limit`; `why` is said where it is not known."""
    return _judged(name, level, value, f">= {words(limit)}", what, lambda known: known >= limit, why)


def above(
    name: str, level: Level, value: float | None, limit: float, what: str, why: str = NOT_MEASURED
) -> GateResult:
    """Passes where `value` is known and above `limit`; `why` is said where it is not known."""
    return _judged(name, level, value, f"> {words(limit)}", what, lambda known: known > limit, why)


def below(
    name: str, level: Level, value: float | None, limit: float, what: str, why: str = NOT_MEASURED
) -> GateResult:
    """Passes where `value` is known and below `limit`; `why` is said where it is not known."""
    return _judged(name, level, value, f"< {words(limit)}", what, lambda known: known < limit, why)


def at_most(
    name: str, level: Level, value: float | None, limit: float, what: str, why: str = NOT_MEASURED
) -> GateResult:
    """Passes where `value` is known and not above `limit`; `why` is said where it is not known."""
    return _judged(name, level, value, f"<= {words(limit)}", what, lambda known: known <= limit, why)


def not_known(name: str, level: Level, limit: str, sentence: str) -> GateResult:
    """The answer of a gate that has nothing to judge."""
    return answer(name, level, None, limit, "not enough evidence", sentence)


def answer(
    name: str, level: Level, value: float | str | None, limit: str, verdict: Verdict, sentence: str
) -> GateResult:
    """The answer of a gate that compares in a way of its own."""
    return GateResult(
        name=name, level=level, value=value, limit=limit, verdict=verdict, sentence=sentence
    )


def _judged(
    name: str,
    level: Level,
    value: float | None,
    limit: str,
    what: str,
    holds: Callable[[float], bool],
    why: str,
) -> GateResult:
    if value is None or not math.isfinite(value):
        return not_known(name, level, limit, f"{what}: {why}")
    verdict: Verdict = "pass" if holds(value) else "fail"
    sentence = f"{what}: expected {limit}, was {words(value)}"
    return answer(name, level, float(value), limit, verdict, sentence)


def words(number: float) -> str:
    """A number for people: six digits, thousands apart."""
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.6g}"
