"""What did training measure that the out-of-fold rows do not hold, as far as it can be read?

A figure that is missing or not finite is None, as in the JSON.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import msgspec


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """Of one source of probabilities on one symbol, out of fold."""

    auc: float | None = None


class Metrics(msgspec.Struct, frozen=True, kw_only=True):
    """At one horizon. `symbols` {symbol: {source: figures}}; `seen_auc` {member: AUC of the model that
    serves, on rows that it has learnt from}; see `training.evaluate`."""

    symbols: dict[str, dict[str, Figures]] = {}
    seen_auc: dict[str, float | None] = {}


def read_metrics(figures: object) -> Metrics:
    """Those of a manifest; none at all where they have another shape."""
    try:
        return msgspec.convert(figures, Metrics)
    except msgspec.ValidationError:
        return Metrics()


def worst(values: Iterable[float | None], pick: Callable[[list[float]], float] = min) -> float | None:
    """The worst of `values`; None where one is missing or not finite: it could be the worst."""
    known = list(values)
    finite = [value for value in known if value is not None and math.isfinite(value)]
    return pick(finite) if finite and len(finite) == len(known) else None
