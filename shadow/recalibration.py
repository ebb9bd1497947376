"""How should what a bundle says be read, after what came of what it has said so far?

    p' = sigmoid(shift + slope * logit(p))

for each horizon. A slope below 1 says that the bundle is too sure of itself, one above 1 that it is too
shy; a shift that "up" comes more often than it says. `shadow.recalibration_fit` learns both from the
records, `python -m gates recalibrate` writes them beside the bundles, and the live process reads them
there: what is damaged, out of bounds or of another bundle is refused as a whole.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

import msgspec

from shadow.errors import NOT_JSON, ShadowgateError

Kind = Literal["updated", "reset", "taken back"]
FOLDER = "recalibration"
FORMAT = 1
LEAST_SLOPE, MOST_SLOPE = 0.25, 1.5
MOST_SHIFT = 0.15
LARGEST_CHANGE = 0.5
"""Within these bounds the Brier score of one bar changes by less."""


class RecalibrationRefused(ShadowgateError):
    """A file can not be read, or says something that must not be believed."""


class Coefficients(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the log odds of one horizon are read. Without a word, as they are."""

    shift: float = 0.0
    slope: float = 1.0

    @property
    def are_within_bounds(self) -> bool:
        """NaN is not."""
        return abs(self.shift) <= MOST_SHIFT and LEAST_SLOPE <= self.slope <= MOST_SLOPE


AS_IT_SAYS = Coefficients()


class Fit(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What `n` outcomes, worth `n_effective` independent ones, say of one horizon.

    `coefficients` is None where they are too few, and `n_effective` where even that can not be told.
    `wanted` is what the coefficients would be without bounds and steps.
    """

    n: int
    n_effective: float | None
    coefficients: Coefficients | None = None
    wanted: Coefficients | None = None


class Horizon(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What was learnt for one horizon, and what the recorded p' have shown so far.

    `better` is the e-value against "p' is no better than p" after `n_judged` bars, and
    `mean_difference` the Brier score of p' less that of p; None where nothing can be told. p' may act
    since `holds_since_ms`; None where the evidence does not hold.
    """

    fit: Fit
    n_judged: int
    mean_difference: float | None
    better: float | None
    holds_since_ms: int | None

    @property
    def holds(self) -> bool:
        return self.holds_since_ms is not None


class Recalibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is known of one bundle. By horizon, in bars as text; empty after a reset.

    Bars that opened before `since_ms` do not count. What was known at `until_ms` is in it: it is for
    bars that close from then on, up to `valid_until_ms`, and is not learnt anew before `next_ms`.
    """

    format: int = FORMAT
    kind: Kind
    bundle_id: str
    since_ms: int
    until_ms: int
    next_ms: int
    valid_until_ms: int
    at: str
    who: str
    why: str
    horizons: dict[str, Horizon]

    def is_for(self, close_ms: int) -> bool:
        """Whether a bar that closes then may be read so: neither before it was known nor long after."""
        return self.until_ms <= close_ms <= self.valid_until_ms


def recalibrated(p: float | None, coefficients: Coefficients) -> float | None:
    """p'; None where `p` is not a number between 0 and 1, for nothing can be made of it.

    Scalars on purpose: the live process and its audit must come to the same bits.
    """
    if p is None or not 0.0 < p < 1.0:
        return None
    log_odds = coefficients.shift + coefficients.slope * (math.log(p) - math.log1p(-p))
    if log_odds < 0.0:  # exp must not overflow
        odds = math.exp(log_odds)
        return odds / (1.0 + odds)
    return 1.0 / (1.0 + math.exp(-log_odds))


def recalibration_file(models: Path, bundle_id: str) -> Path:
    """Where it lies."""
    return models / FOLDER / f"{bundle_id}.json"


def read_recalibration(models: Path, bundle_id: str) -> Recalibration | None:
    """What is known of a bundle; None where nothing ever was. Raises RecalibrationRefused."""
    path = recalibration_file(models, bundle_id)
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Recalibration)
    except FileNotFoundError:
        return None
    except (OSError, *NOT_JSON) as error:
        raise _refused(path, error) from error
    doubt = _doubt(found, bundle_id)
    if doubt is not None:
        raise _refused(path, doubt)
    return found


def _doubt(found: Recalibration, bundle_id: str) -> str | None:
    if found.format != FORMAT:
        return f"format {found.format}"
    if found.bundle_id != bundle_id:
        return f"one of {found.bundle_id}"
    if not found.since_ms <= found.until_ms <= found.next_ms <= found.valid_until_ms:
        return "one whose times contradict each other"
    for name, horizon in found.horizons.items():
        own = horizon.fit.coefficients
        if own is not None and not own.are_within_bounds:
            return f"a shift of {own.shift} and a slope of {own.slope} at horizon {name}"
        if horizon.holds and (own is None or horizon.better is None):
            return f"evidence without figures at horizon {name}"
    return None


def _refused(path: Path, was: object) -> RecalibrationRefused:
    remedy = "`python -m gates recalibrate --reset` begins anew"
    return RecalibrationRefused(f"a recalibration at {path}", was, remedy)
