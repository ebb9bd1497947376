"""Which limit must each gate's value keep? All of them stand here.

The defaults are those that the reference system had to meet.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import msgspec


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Areas under the ROC curve are out of fold, at the primary horizon."""

    member_auc: Mapping[str, float] = MappingProxyType({"lgb": 0.55, "xgb": 0.50, "cross": 0.50})
    """Mean over the folds of the walk-forward, judged on the point value as the reference did: the
    interval is judged once, for the stack, by `stack_auc_low`."""
    stack_auc: float = 0.58
    """Of the stack, on the symbol where it does worst; the point value."""
    stack_auc_low: float = 0.50
    """The lower end of the 95 % interval of the same."""
    stack_over_reversal: float = 0.0
    """How far the stack's AUC must lie above that of the untrained reversal rule."""
    stack_brier: float = 0.25
    """What the constant 0.5 scores; the stack must score less."""
    oof_rows: int = 20_000
    share_within_middle: float = 0.5
    """Share of out-of-fold probabilities within 0.3 to 0.7: one horizon ahead nobody is often surer."""
    fold_auc: float = 0.5
    """Of the stack in its worst fold: one bad block in eight must not be worse than a coin by much."""
    fold_auc_tolerance: float = 0.03
    parity: float = 1e-6
    """Largest difference between golden answers and those of a freshly started process."""


LIMITS = Limits()
