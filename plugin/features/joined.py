"""What is the whole row that an ensemble is asked: a symbol's own features, then its companions'?

All members are asked with the same row; each picks the columns of its feature set by name.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from plugin.candles import Candles
from plugin.features.companion_rows import companion_row, companion_rows_of_history
from plugin.features.feature_set import BASE, CROSS, JOINED, SEQUENCE
from plugin.features.rows import row_of_newest, rows_of_history
from plugin.features.window import REFUSALS

FEATURE_SETS = {feature_set.name: feature_set for feature_set in (BASE, SEQUENCE, CROSS, JOINED)}
_N_OWN = len(SEQUENCE.names)
ROW_NAMES = JOINED.names
N_COMPANIONS = 3
_N_EACH = (len(ROW_NAMES) - _N_OWN) // N_COMPANIONS

Window = tuple[NDArray[np.float64], int]
"""A bar array as in `Candles` and the column of its newest bar."""


def columns_of(feature_set: str) -> NDArray[np.int64]:
    """Where the features of a set stand in a joined row, in the order of the set."""
    return np.array([ROW_NAMES.index(name) for name in FEATURE_SETS[feature_set].names])


def write_joined_row(
    own: Window,
    companions: Sequence[Window],
    open_time_ms: int,
    timeframe_ms: int,
    out: NDArray[np.float32],
) -> str:
    """Write the row of the newest bars, all opened at `open_time_ms`, into `out`, as ROW_NAMES.

    The answer is empty, or the reason why there is no row: the name in REFUSALS of the own window, or
    that of a companion with `companion_` before it.
    """
    refusal = row_of_newest(*own, open_time_ms, timeframe_ms, out[:_N_OWN])
    if refusal:
        return REFUSALS[refusal]
    for number, companion in enumerate(companions):
        first = _N_OWN + number * _N_EACH
        refusal = companion_row(*own, *companion, out[first : first + _N_EACH])
        if refusal:
            return f"companion_{REFUSALS[refusal]}"
    return ""


def joined_history(
    own: Candles, companions: Sequence[Candles]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The rows (n, columns) of all bars of `own`, and (n,) whether each was refused by any window."""
    rows, own_refusals = rows_of_history(own)
    parts, refused = [rows], own_refusals != 0
    for companion in companions:
        rows, refusals = companion_rows_of_history(own, companion)
        parts.append(rows)
        refused |= refusals != 0
    return np.concatenate(parts, axis=1), refused
