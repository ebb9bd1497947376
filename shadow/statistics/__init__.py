"""How good were the probabilities, and could it be luck? Figures that hold for overlapping labels."""

from shadow.statistics.bootstrap import block_bootstrap
from shadow.statistics.calibration import Brier, brier
from shadow.statistics.errors import rmse_skill
from shadow.statistics.groups import Quantile, ReliabilityBin, quantiles, reliability_curve
from shadow.statistics.overlap import (
    LAGS_PER_OVERLAP,
    MIN_BARS_PER_LAG,
    Estimate,
    effective_n,
    mean_interval,
)
from shadow.statistics.ranking import (
    MIN_ROWS_PER_CLASS,
    auc,
    auc_difference,
    auc_interval,
    cross_sectional_ic,
    ic,
    mid_ranks,
    rank_ic,
)
from shadow.statistics.sharpe import DeflatedSharpe, deflated_sharpe

__all__ = [
    "LAGS_PER_OVERLAP",
    "MIN_BARS_PER_LAG",
    "MIN_ROWS_PER_CLASS",
    "Brier",
    "DeflatedSharpe",
    "Estimate",
    "Quantile",
    "ReliabilityBin",
    "auc",
    "auc_difference",
    "auc_interval",
    "block_bootstrap",
    "brier",
    "cross_sectional_ic",
    "deflated_sharpe",
    "effective_n",
    "ic",
    "mean_interval",
    "mid_ranks",
    "quantiles",
    "rank_ic",
    "reliability_curve",
    "rmse_skill",
]
