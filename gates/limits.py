"""Which limit must each gate's value keep? All of them stand here.

The defaults are those that the reference system had to meet, where it had one. One file changes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import msgspec

from plugin.errors import WrongUse
from shadow import checklist
from shadow.compare import PAIR_LIMITS
from shadow.limits_file import LimitsRefused, changed_by, changed_limits, read_limits_file


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
    stack_reliability: float = 0.005
    """Mean squared distance of what the stack says from what comes, over ten bins: about 0.07 off."""
    validation_test: float = 0.02
    """How far the AUC in the newest block may lie from that in all blocks before it, either way."""
    regime_over_now: float = 0.0
    """How much more often the regime classifier must be right than the present third, at the lower end
    of the 95 % interval."""
    oof_rows: int = 20_000
    share_within_middle: float = 0.5
    """Share of out-of-fold probabilities within 0.3 to 0.7: one horizon ahead nobody is often surer."""
    fold_auc: float = 0.5
    """Of the stack in its worst fold: one bad block in eight must not be worse than a coin by much."""
    fold_auc_tolerance: float = 0.03
    year_rows: int = 500
    """Judged rows below which a calendar year is not looked at by itself."""
    fold_spread: float = 0.05
    """Standard deviation of a member's AUC over the folds. On BTC/USDT 1h it is 0.012 to 0.013
    at 5 bars and 0.020 to 0.023 at 24, where labels overlap more."""
    log_odds_spread: float = 0.01
    """Standard deviation of the log odds below which an output has collapsed: 0.0025 around 0.5."""
    identical_share: float = 0.5
    """Share of the bars of a block that may be told the very same number."""
    correlation: float = 0.98
    """Of the log odds of two members. Trees over one market correlate by 0.85 to 0.95; copies by 1."""
    seen: float = 0.01
    """How much higher than out of fold a member's AUC must be on bars that its model has learnt from.
    On BTC/USDT 1h it is 0.036 to 0.117; with test rows in the folds' training, -0.019 to -0.002."""
    parity: float = 1e-6
    """Largest difference between golden answers and those of a freshly started process."""
    latency_us: float = 50_000.0
    """Median microseconds that one row may take."""
    latency_free_us: float = 10_000.0
    """Below this nobody waits: the ratio to the champion counts above it only."""
    latency_ratio: float = 2.0
    memory_mib: float = 512.0
    """MiB that a process may grow by when it loads the bundle."""
    memory_free_mib: float = 64.0
    memory_ratio: float = 1.5

    oof_brier_margin: float = 0.001
    """How much worse than the champion's the stack's Brier score may be on bars both were judged on,
    at the upper end of the 95 % interval. There are years of bars, so that little can be told."""
    pair_brier_margin: float = PAIR_LIMITS.pair_brier_margin
    """How much worse than the champion's a challenger's Brier score in shadow may be."""
    pair_evidence: float = PAIR_LIMITS.pair_evidence
    """The e-value at which a pair is decided: 20 is wrong in at most one of 20 cases, however often one
    looks."""
    challenger_days: float = 150.0
    """Days of bars after which a challenger that is still undecided makes room for the next one."""
    watch_bars: int = 1008
    """Bars after a promotion for which the champion before is kept predicting, to go back to."""
    watch_error_bars: int = 24
    """The newest bars of a new champion whose errors are counted while it is watched."""
    watch_error_share: float = 0.2
    """Share of them without a prediction by the bundle's own fault at which it is rolled back."""

    shadow: checklist.Limits = checklist.LIMITS
    """The checklist of the shadow report."""


LIMITS = Limits()


def load_limits(path: Path | None = None) -> Limits:
    """The limits as a file of people changes them; without a `path`, `limits.toml` if it is there.

    Raises WrongUse for what can not be understood, with the name and the nearest right one.
    """
    try:
        file = read_limits_file(path)
        return changed_by(LIMITS, file.tables, file)
    except LimitsRefused as error:
        raise WrongUse(error.expected, error.was, error.remedy) from error


def changes(limits: Limits) -> dict[str, str]:
    """Each limit that is not as by default, for the report: {"stack_auc": "0.55 instead of 0.58"}."""
    return changed_limits(limits, LIMITS)
