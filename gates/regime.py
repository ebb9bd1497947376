"""Does the regime classifier know more than the present volatility?

As the reversal rule, "as now" is measured by training: the rows do not hold it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from gates.base import NOT_MEASURED, Candidate, above, answer
from gates.limits import Limits
from gates.metrics import worst
from plugin.manifest import GateResult, Manifest

_NAME = "regime"


class _Over(msgspec.Struct, frozen=True):
    """The lower end of the 95 % interval of how much more often it is right."""

    low: float | None = None


class _Figures(msgspec.Struct, frozen=True):
    """By symbol; see `training.regime.judge`."""

    over_now: Mapping[str, _Over] = {}


def regime(candidate: Candidate, limits: Limits) -> Sequence[GateResult]:
    """How much more often it is right than "as now"; a bundle without a classifier says just that."""
    what = "accuracy of the regime classifier less that of the present third, lower end of 95 %"
    manifest, least = candidate.manifest, limits.regime_over_now
    if manifest is not None and manifest.regime is None:
        absent = "there is no classifier: the present third is the answer"
        return [answer(_NAME, "live", None, f"> {least:g}", "pass", absent)]
    value = worst(_over_now(manifest)) if manifest else None
    if manifest is not None and len(manifest.symbols) > 1:
        what += f", on its worst of {len(manifest.symbols)} symbols"
    return [above(_NAME, "live", value, least, what, NOT_MEASURED)]


def _over_now(manifest: Manifest) -> list[float | None]:
    """Of every symbol; None where the manifest does not say it."""
    try:
        figures = msgspec.convert(manifest.regime and manifest.regime.figures, _Figures)
    except msgspec.ValidationError:
        return [None]
    return [figures.over_now.get(symbol, _Over()).low for symbol in manifest.symbols]
