"""Which numbers describe the last 512 bars? One definition, live and in training."""

from plugin.features.companion_rows import companion_row, companion_rows_of_history
from plugin.features.feature_set import BASE, CROSS, SEQUENCE, FeatureSet
from plugin.features.rows import row_of_newest, rows_of_history
from plugin.features.window import LOOKBACK_BARS, REFUSALS

__all__ = [
    "BASE",
    "CROSS",
    "LOOKBACK_BARS",
    "REFUSALS",
    "SEQUENCE",
    "FeatureSet",
    "companion_row",
    "companion_rows_of_history",
    "row_of_newest",
    "rows_of_history",
]
