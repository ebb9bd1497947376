"""Is what the live side asks, and hears, what training computes on the same bars?"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from plugin.bar import BarClosed
from plugin.ensemble import Ensemble, Prediction
from plugin.features.joined import ROW_NAMES, joined_history
from tests.support.live import FIRST, SERVED, Live, stored
from tests.support.small_training import SmallTraining

N_BARS = 300


class Remembering(Ensemble):
    """An ensemble that keeps the rows it was asked."""

    def __init__(self, ensemble: Ensemble) -> None:
        super().__init__(ensemble.bundle)
        self.asked: list[tuple[tuple[str, ...], NDArray[np.float32]]] = []

    def predict(self, symbols: Sequence[str], rows: NDArray[np.float32]) -> list[Prediction]:
        self.asked.append((tuple(symbols), rows.copy()))
        return super().predict(symbols, rows)
