"""What does a bundle say of the bars that just closed, or why does it say nothing?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from plugin.answer import Asked
from plugin.bar import BarClosed, Timeframe
from plugin.buffer import BarBuffer
from plugin.bundle import Bundle
from plugin.ensemble import Ensemble, Prediction
from plugin.features.joined import ROW_NAMES, write_joined_row
from plugin.regime import answered_regime
from plugin.settings import Settings
from plugin.windows import before_newest

FeatureRows: TypeAlias = "dict[tuple[str, int, tuple[str, ...], int], tuple[NDArray[np.float32], str]]"
"""Rows by symbol, open time, companions and width, with why there is none; kept from one asked to the
next."""
_VOL_RANK_COLUMN = ROW_NAMES.index("vol_rank_24")


def ask(
    ensemble: Ensemble,
    flags: Settings,
    buffers: Mapping[str, BarBuffer],
    bars: Sequence[BarClosed],
    timeframe: Timeframe,
    known: FeatureRows,
) -> list[Asked]:
    """Ask about all `bars` at once; each is the newest in its buffer. One answer for each, in order.

    Rows that are not `known` are computed and put there: who is asked next about the same bars beside
    the same companions is asked with the same rows.

    An exception in features or models is an answer, too: it must never reach the bot's loop.
    """
    try:
        rows, reasons = _rows(ensemble.bundle, flags, buffers, bars, timeframe, known)
        ready = [number for number, reason in enumerate(reasons) if not reason]
        symbols = [bars[number].symbol for number in ready]
        asked_of_windows = symbols if ensemble.bundle.networks else ()
        earlier = [before_newest(buffers[symbol]) for symbol in asked_of_windows]
        predictions = iter(ensemble.predict(symbols, rows[ready], earlier) if ready else ())
    except Exception as error:
        return [Asked(reason="error", error=f"{type(error).__name__}: {error}")] * len(bars)
    vol_ranks = rows[:, _VOL_RANK_COLUMN].tolist()
    return [
        Asked(None, reason) if reason else _asked(next(predictions), vol_rank)
        for reason, vol_rank in zip(reasons, vol_ranks, strict=True)
    ]


def _asked(prediction: Prediction, vol_rank: float) -> Asked:
    regime = answered_regime(prediction.regime_probabilities, vol_rank)
    return Asked(prediction, None if prediction.reason == "ok" else prediction.reason, regime)


def _rows(
    bundle: Bundle,
    flags: Settings,
    buffers: Mapping[str, BarBuffer],
    bars: Sequence[BarClosed],
    timeframe: Timeframe,
    known: FeatureRows,
) -> tuple[NDArray[np.float32], list[str]]:
    """Rows (bars, columns) and, for each, why it can not be asked; empty where it can."""
    rows = np.full((len(bars), bundle.n_columns), np.nan, dtype=np.float32)
    manifest = bundle.manifest
    if manifest.timeframe != timeframe.name:
        return rows, ["timeframe_not_in_bundle"] * len(bars)
    if manifest.oof_rows < flags.stacking_min_samples:
        return rows, ["too_few_samples"] * len(bars)
    reasons = []
    for bar, row in zip(bars, rows, strict=True):
        companions = manifest.companions.get(bar.symbol)
        if companions is None:
            reasons.append("symbol_not_in_bundle")
            continue
        key = bar.symbol, bar.open_time_ms, companions, bundle.n_columns
        if key in known:
            row[:], reason = known[key]
        else:
            reason = _row(bar.symbol, bar.open_time_ms, companions, buffers, timeframe, row)
            known[key] = row, reason
        reasons.append(reason)
    return rows, reasons


def _row(
    symbol: str,
    open_time_ms: int,
    companions: Sequence[str],
    buffers: Mapping[str, BarBuffer],
    timeframe: Timeframe,
    row: NDArray[np.float32],
) -> str:
    own = buffers[symbol]
    if own.newest_open_ms != open_time_ms:
        return "late"  # a later bar of the same symbol came in the same batch
    windows = []
    for name in companions:
        companion = buffers.get(name)
        if companion is None or companion.newest < 0 or companion.newest_open_ms != open_time_ms:
            return f"companion_missing:{name}"
        windows.append((companion.bars, companion.newest))
    return write_joined_row((own.bars, own.newest), windows, open_time_ms, timeframe.length_ms, row)
