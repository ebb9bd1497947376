"""What did training measure, as far as it can be read?

Only what gates ask for is named here; a figure that is missing or not finite is None, as in the JSON.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import msgspec


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """Of one source of probabilities on one symbol, out of fold."""

    auc: float | None = None
    auc_low: float | None = None
    brier: float | None = None
    share_within_middle: float | None = msgspec.field(default=None, name="share_within_0.3_0.7")


class FoldFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The AUC of each source in one fold, over all symbols."""

    auc: dict[str, float | None]


class Metrics(msgspec.Struct, frozen=True, kw_only=True):
    """`symbols` {symbol: {source: figures}}; `folds` in time order; see `training.evaluate`."""

    oof_rows: int | None = None
    symbols: dict[str, dict[str, Figures]] = {}
    folds: tuple[FoldFigures, ...] = ()
    mean_fold_auc: dict[str, float | None] = {}

    def of_symbols(self, source: str) -> dict[str, Figures]:
        """The figures of one source by symbol; empty ones where a symbol lacks it."""
        return {symbol: by_source.get(source, Figures()) for symbol, by_source in self.symbols.items()}


def worst(values: Iterable[float | None], pick: Callable[[list[float]], float] = min) -> float | None:
    """The worst of `values`; None where one is missing or not finite: it could be the worst."""
    known = list(values)
    finite = [value for value in known if value is not None and math.isfinite(value)]
    return pick(finite) if finite and len(finite) == len(known) else None
