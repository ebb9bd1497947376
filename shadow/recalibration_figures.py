"""Would the bot have been told better probabilities, had they been read as was learnt from outcomes?"""

from __future__ import annotations

import math
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from shadow.compare import PAIR_LIMITS, PairLimits
from shadow.realised import Realised, RealisedLog
from shadow.recalibration import RecalibrationRefused, read_recalibration
from shadow.recalibration_fit import pair_of
from shadow.sequential import PairEvidence
from shadow.window import Window


class RecalibrationFigures(msgspec.Struct, frozen=True, kw_only=True):
    """p' beside p at one horizon, on the `n_rows` rows with both and a known outcome, symbols counted.

    Brier scores are NaN where there is no row. `evidence` judges p' against p, `level` is the e-value
    that decides. `acts` tells whether the newest record with a p' acted on it.
    """

    bundle: str
    n_rows: int
    brier: float
    recalibrated_brier: float
    evidence: PairEvidence
    level: float
    acts: bool


def recalibration_figures(
    folder: Path, window: Window, models: Path, limits: PairLimits = PAIR_LIMITS
) -> dict[str, RecalibrationFigures]:
    """By horizon, for the bundle that was read so last within the `window`; empty where none was.

    All its bars count, those before the window too, since its last reset, if `models` tells of one.
    Raises OSError where a file can not be read.
    """
    columns = window.columns
    are_read = [kind.acting is not None and kind.bundle is not None for kind in columns.kinds]
    newest = np.flatnonzero(np.array([*are_read, False])[np.array(columns.kind)])
    if not newest.size:
        return {}
    kind = columns.kinds[columns.kind[newest[-1]]]
    bundle, acting = str(kind.bundle), kind.acting or ()
    log = RealisedLog(folder, bundle, _since_ms(models, bundle), window.now_ms)
    figures = {}
    for name in log.horizons:
        rows = log.of(name)
        rows = rows.where(np.isfinite(rows.recalibrated))
        figures[name] = _figures(bundle, rows, limits.pair_evidence, acts=name in acting)
    return figures


def _figures(bundle: str, rows: Realised, level: float, *, acts: bool) -> RecalibrationFigures:
    return RecalibrationFigures(
        bundle=bundle,
        n_rows=rows.p.size,
        brier=_brier(rows.p, rows.up),
        recalibrated_brier=_brier(rows.recalibrated, rows.up),
        evidence=pair_of(rows, level),
        level=level,
        acts=acts,
    )


def _since_ms(models: Path, bundle: str) -> int:
    try:
        found = read_recalibration(models, bundle)
    except (
        RecalibrationRefused
    ):  # the live process and the gates say so; here it is only not counted on
        found = None
    return found.since_ms if found else 0


def _brier(p: NDArray[np.float64], up: NDArray[np.float64]) -> float:
    return float(np.mean((p - up) ** 2)) if up.size else math.nan
