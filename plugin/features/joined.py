"""What is the whole row that an ensemble is asked: a symbol's own features, its companions', then
those of its longer bars?

All members are asked with the same row; each picks the columns of its feature set by name. Longer bars
need four or sixteen times the history, so a row has their columns only where a member looks at them: a
row is always the first columns of `ROW_NAMES`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from plugin.candles import Candles
from plugin.features.companion_rows import companion_row, companion_rows_of_history
from plugin.features.feature_set import BASE, CROSS, JOINED, LONGER, MULTIPLES, SEQUENCE
from plugin.features.longer import longer_row, longer_rows_of_history
from plugin.features.rows import row_of_newest, rows_of_history
from plugin.features.window import REFUSALS

FEATURE_SETS = {
    feature_set.name: feature_set for feature_set in (BASE, SEQUENCE, CROSS, JOINED, *LONGER.values())
}
_N_OWN, _N_BASE = len(SEQUENCE.names), len(BASE.names)
ROW_NAMES = (*JOINED.names, *(name for longer in LONGER.values() for name in longer.names))
N_JOINED = len(JOINED.names)
"""The columns of a row without longer bars."""
N_COMPANIONS = 3
_N_EACH = (N_JOINED - _N_OWN) // N_COMPANIONS

Window = tuple[NDArray[np.float64], int]
"""A bar array as in `Candles` and the column of its newest bar."""


def columns_of(feature_set: str) -> NDArray[np.int64]:
    """Where the features of a set stand in a joined row, in the order of the set."""
    return np.array([ROW_NAMES.index(name) for name in FEATURE_SETS[feature_set].names])


def n_columns_of(feature_sets: Iterable[str]) -> int:
    """How many columns a row must have for members of these sets."""
    ends = (int(columns_of(name).max()) + 1 for name in feature_sets)
    return max(N_JOINED, *ends)


def lookback_of(n_columns: int) -> int:
    """How many bars of the symbol itself a row of so many columns looks at."""
    return [JOINED, *LONGER.values()][(n_columns - N_JOINED) // _N_BASE].lookback


def write_joined_row(
    own: Window,
    companions: Sequence[Window],
    open_time_ms: int,
    timeframe_ms: int,
    out: NDArray[np.float32],
) -> str:
    """Write the row of the newest bars, all opened at `open_time_ms`, into `out`, whose size is one
    that `n_columns_of` says.

    The answer is empty, or the reason why there is no row: the name in REFUSALS of the own window, or
    that of a companion with `companion_` before it, or of the longer bars with `x4_` or `x16_`.
    """
    refusal = row_of_newest(*own, open_time_ms, timeframe_ms, out[:_N_OWN])
    if refusal:
        return REFUSALS[refusal]
    for number, companion in enumerate(companions):
        first = _N_OWN + number * _N_EACH
        refusal = companion_row(*own, *companion, out[first : first + _N_EACH])
        if refusal:
            return f"companion_{REFUSALS[refusal]}"
    for multiple, first in zip(MULTIPLES, range(N_JOINED, out.size, _N_BASE), strict=False):
        longer = out[first : first + _N_BASE]
        refusal = longer_row(*own, open_time_ms, timeframe_ms, multiple, longer)
        if refusal:
            return f"x{multiple}_{REFUSALS[refusal]}"
    return ""


def joined_history(
    own: Candles, companions: Sequence[Candles], n_columns: int = N_JOINED
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The rows (n, n_columns) of all bars of `own`, and (n,) whether each was refused by any window."""
    rows, own_refusals = rows_of_history(own)
    parts, refused = [rows], own_refusals != 0
    for companion in companions:
        rows, refusals = companion_rows_of_history(own, companion)
        parts.append(rows)
        refused |= refusals != 0
    for multiple, _ in zip(MULTIPLES, range(N_JOINED, n_columns, _N_BASE), strict=False):
        rows, refusals = longer_rows_of_history(own, multiple)
        parts.append(rows)
        refused |= refusals != 0
    return np.concatenate(parts, axis=1), refused
