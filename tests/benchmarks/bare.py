"""What do the bare runtime calls cost, without all that makes them a product?

The floor under a bar close: the compiled features on windows that lie ready, each model once per
horizon on a matrix that lies ready, the regime's too, each network once on what it has prepared, and
the meta-model. The trees are asked by our own walk and by the libraries that trained them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lightgbm
import msgspec
import numpy as np
import xgboost
from numpy.typing import NDArray

from plugin.features.companion_rows import companion_row
from plugin.features.feature_set import BASE, MULTIPLES, SEQUENCE
from plugin.features.joined import N_COMPANIONS, N_JOINED, ROW_NAMES, columns_of
from plugin.features.longer import longer_row
from plugin.features.rows import row_of_newest
from plugin.meta_model import meta_inputs
from plugin.predictors.batches import Arrays
from plugin.predictors.windowed import SAID, WindowedNetwork
from tests.benchmarks.live import Live
from tests.benchmarks.market import HOURLY
from tests.benchmarks.timing import duration_ns

_N_OWN = len(SEQUENCE.names)
_VOLATILITY_COLUMN = ROW_NAMES.index("realised_vol_20")


OwnNs = tuple[int, int, int]
CallsNs = tuple[OwnNs, int]
"""Features, models and meta-model, and the models by their libraries."""


class BareCalls(msgspec.Struct, frozen=True):
    """Medians in microseconds."""

    features_us: float
    models_us: float
    meta_model_us: float
    library_models_us: float

    @classmethod
    def of(cls, calls_ns: Sequence[CallsNs]) -> BareCalls:
        own_ns, library_ns = zip(*calls_ns, strict=True)
        features, models, meta_model = np.median(own_ns, axis=0) / 1000
        library = np.median(library_ns) / 1000
        return cls(float(features), float(models), float(meta_model), float(library))

    @property
    def own_us(self) -> float:
        return self.features_us + self.models_us + self.meta_model_us

    @property
    def library_us(self) -> float:
        return self.features_us + self.library_models_us + self.meta_model_us


class Bare:
    """The bare calls for the bars that `live` is to answer."""

    def __init__(self, live: Live, bundle_folder: Path) -> None:
        self._live = live
        self._bundle = live.champion.bundle
        manifest = self._bundle.manifest
        asked = [(model.feature_set, model.kind, model.file) for model in manifest.members]
        if (regime := manifest.regime) is not None:
            asked += [(regime.feature_set, regime.kind, file) for file in regime.files]
        self._libraries = [
            (feature_set, _library(kind, bundle_folder / file)) for feature_set, kind, file in asked
        ]

    def own_ns(self, bar: int) -> OwnNs:
        """Features, our own walks and the meta-model for `bar`."""
        return self._own_calls(bar)[0]

    def library_ns(self, bar: int) -> int:
        """The libraries' calls for `bar`."""
        return self._library_calls(self._own_calls(bar)[1])

    def calls_after_pause_ns(self, bar: int, idle_s: float, rehearsals: int) -> CallsNs:
        """Own and library calls of `bar`, each after a pause that ends with `rehearsals` on the bar
        before."""
        time.sleep(idle_s)
        for _ in range(rehearsals):
            self._own_calls(bar - 1)
        own_ns, table = self._own_calls(bar)
        earlier = self._own_calls(bar - 1)[1]
        time.sleep(idle_s)
        for _ in range(rehearsals):
            self._library_calls(earlier)
        return own_ns, self._library_calls(table)

    def _own_calls(self, bar: int) -> tuple[OwnNs, NDArray[np.float32]]:
        table = np.empty((len(self._live.served), self._bundle.n_columns), dtype=np.float32)
        own, others, longer = self._windows(bar, table)

        def features() -> None:
            for arguments in own:
                row_of_newest(*arguments)
            for arguments in others:
                companion_row(*arguments)
            for arguments in longer:
                longer_row(*arguments)

        features_ns = duration_ns(features)
        table = np.ascontiguousarray(table[np.isfinite(table).all(axis=1)])
        n_members = len(self._bundle.manifest.member_names)
        said = np.full((n_members, len(self._bundle.meta.horizons), len(table)), 0.5)
        networks = [(one, self._asked(one, table)) for one in self._bundle.networks.values()]
        regime, volatility = self._bundle.regime, table[:, _VOLATILITY_COLUMN].copy()

        def models() -> None:
            for member, by_horizon in enumerate(self._bundle.models.values()):
                for place, model in enumerate(by_horizon.values()):
                    said[member, place] = model.probability(table)
            if regime is not None:
                regime.probabilities(table)
            for network, asked in networks:
                network.step.session.run([SAID], asked)

        def meta_model() -> None:
            for place, model in enumerate(self._bundle.meta.horizons.values()):
                model.probability(meta_inputs(said[:, place], volatility))

        return (features_ns, duration_ns(models), duration_ns(meta_model)), table

    def _asked(self, network: WindowedNetwork, table: NDArray[np.float32]) -> Arrays:
        """The newest rows, and a state of the right shape: time does not depend on what is in it."""
        nothing = np.zeros((1, network.n_steps - 1, len(SEQUENCE.names)), dtype=np.float32)
        state = [np.repeat(part, len(table), axis=0) for part in network.prepare(nothing)]
        return network.asked_of_step(table, tuple(state))

    def _windows(
        self, bar: int, table: NDArray[np.float32]
    ) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]], list[tuple[Any, ...]]]:
        """The arguments of every call of the three feature kernels."""
        candles, newest = self._live.candles, self._live.n_history + bar
        own, others, longer = [], [], []
        for symbol, row in zip(self._live.served, table, strict=True):
            one = candles[symbol]
            opened_ms = one.first_open_ms + newest * HOURLY.length_ms
            own.append((one.bars, newest, opened_ms, HOURLY.length_ms, row[:_N_OWN]))
            parts = np.split(row[_N_OWN:N_JOINED], N_COMPANIONS)
            for name, part in zip(self._live.companions[symbol], parts, strict=True):
                others.append((one.bars, newest, candles[name].bars, newest, part))
            parts = np.split(row[N_JOINED:], (row.size - N_JOINED) // len(BASE.names) or 1)
            for multiple, part in zip(MULTIPLES, parts if row.size > N_JOINED else (), strict=False):
                longer.append((one.bars, newest, opened_ms, HOURLY.length_ms, multiple, part))
        return own, others, longer

    def _library_calls(self, table: NDArray[np.float32]) -> int:
        columns = {
            name: np.ascontiguousarray(table[:, columns_of(name)]) for name, _ in self._libraries
        }

        def predict() -> None:
            for feature_set, library in self._libraries:
                library(columns[feature_set])

        return duration_ns(predict)


def _library(kind: str, file: Path) -> Callable[[NDArray[np.float32]], Any]:
    """The library's own prediction of a matrix, in one thread."""
    if kind == "lightgbm":
        trees = lightgbm.Booster(model_file=file)
        return lambda rows: trees.predict(rows, num_threads=1)
    booster = xgboost.Booster({"nthread": 1})
    booster.load_model(file)
    return booster.inplace_predict
