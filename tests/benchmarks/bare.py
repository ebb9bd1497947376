"""What do the bare runtime calls cost, without all that makes them a product?

The floor under a bar close: the compiled features on windows that lie ready, each model once per
horizon on a matrix that lies ready, and the meta-model. The models are asked twice, by our own walk and
by the libraries that trained them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import xgboost
from numpy.typing import NDArray

from plugin.features.companion_rows import companion_row
from plugin.features.feature_set import SEQUENCE
from plugin.features.joined import ROW_NAMES, columns_of
from plugin.features.rows import row_of_newest
from plugin.meta_model import meta_inputs
from tests.benchmarks.live import Live
from tests.benchmarks.market import HOURLY

_N_OWN = len(SEQUENCE.names)
_N_EACH = 7
_VOLATILITY_COLUMN = ROW_NAMES.index("realised_vol_20")


class Bare:
    """The calls that answer the bars which `live` holds. Call `prepare` after each of its batches."""

    def __init__(self, live: Live, bundle_folder: Path) -> None:
        self._live = live
        self._bundle = live.champion.bundle
        self._rows = np.empty((len(live.served), len(ROW_NAMES)), dtype=np.float32)
        self._libraries = [
            (model.feature_set, _library(model.kind, bundle_folder / model.file))
            for model in self._bundle.manifest.members
        ]

    def prepare(self) -> None:
        """Lay ready what each call takes."""
        buffers = self._live.pipeline.buffers
        self._own: list[tuple[Any, ...]] = []
        self._others: list[tuple[Any, ...]] = []
        for symbol, row in zip(self._live.served, self._rows, strict=True):
            own = buffers[symbol]
            window = own.bars, own.newest
            self._own.append((*window, own.newest_open_ms, HOURLY.length_ms, row[:_N_OWN]))
            for number, name in enumerate(self._live.companions[symbol]):
                first = _N_OWN + number * _N_EACH
                other = buffers[name]
                part = row[first : first + _N_EACH]
                self._others.append((*window, other.bars, other.newest, part))

    def features(self) -> None:
        """The rows of all symbols."""
        for arguments in self._own:
            row_of_newest(*arguments)
        for arguments in self._others:
            companion_row(*arguments)

    def prepare_matrices(self) -> None:
        """Lay ready the matrices that the models are asked with, from the rows of `features`."""
        self._ready = np.ascontiguousarray(self._rows[np.isfinite(self._rows).all(axis=1)])
        sets = {name for name, _ in self._libraries}
        self._columns = {name: np.ascontiguousarray(self._ready[:, columns_of(name)]) for name in sets}
        self._said = np.stack(
            [
                [model.probability(self._ready) for model in by_horizon.values()]
                for by_horizon in self._bundle.models.values()
            ]
        )
        self._volatility = self._ready[:, _VOLATILITY_COLUMN].copy()

    def models(self) -> None:
        """Every member at every horizon, by the walk of `plugin.predictors.trees`."""
        for by_horizon in self._bundle.models.values():
            for model in by_horizon.values():
                model.probability(self._ready)

    def library_models(self) -> None:
        """Every member at every horizon, by the library that trained it, in one thread."""
        for feature_set, predict in self._libraries:
            predict(self._columns[feature_set])

    def meta_model(self) -> None:
        """The meta-model at every horizon."""
        for place, model in enumerate(self._bundle.meta.horizons.values()):
            model.probability(meta_inputs(self._said[:, place], self._volatility))


def _library(kind: str, file: Path) -> Callable[[NDArray[np.float32]], Any]:
    if kind == "lightgbm":
        trees = lightgbm.Booster(model_file=file)
        return lambda rows: trees.predict(rows, num_threads=1)
    booster = xgboost.Booster({"nthread": 1})
    booster.load_model(file)
    return booster.inplace_predict
