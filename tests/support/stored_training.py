"""What a training handed over, read back from its bundle: for tests that write bundles."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from gates.out_of_fold import OutOfFoldRows
from plugin.bundle import load_bundle, verify_bundle
from plugin.candle_store import CandleStore
from plugin.features.joined import ROW_NAMES, columns_of
from plugin.predictors.trees import Trees
from training.dataset import build_dataset
from training.regime import LearntRegime
from training.settings import TrainingSettings, companions_of
from training.trained import Trained


@dataclass(frozen=True)
class StoredModel:
    """A model file and what our own reader makes of it, in the place of a library's booster."""

    text: bytes
    trees: Trees
    columns: NDArray[np.int64]

    def predict(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        whole = np.zeros((len(rows), len(ROW_NAMES)), dtype=np.float32)
        whole[:, self.columns] = rows
        return self.trees.probability(whole)

    def content(self) -> bytes:
        return self.text

    def gains(self) -> NDArray[np.float64]:
        return np.zeros(self.columns.size)


def trained_again(store: Path, bundle_folder: Path) -> Trained:
    """The training that led to the bundle, on the bars of `store`."""
    bundle, files = load_bundle(bundle_folder), verify_bundle(bundle_folder)[1]
    manifest = bundle.manifest
    settings = msgspec.convert(manifest.settings, TrainingSettings)
    bars = CandleStore(store)
    candles = {
        name: bars.read(settings.venue, settings.timeframe, name, until_ms=settings.until_ms)
        for name in manifest.bars
    }
    symbols = settings.learnt_symbols
    companions = {symbol: companions_of(symbol) for symbol in symbols}
    models: dict[int, dict[str, StoredModel]] = {horizon: {} for horizon in manifest.horizons}
    for entry in manifest.members:
        trees, columns = bundle.models[entry.member][entry.horizon], columns_of(entry.feature_set)
        models[entry.horizon][entry.member] = StoredModel(files[entry.file], trees, columns)
    regime = None
    if manifest.regime is not None and bundle.regime is not None:
        columns = columns_of(manifest.regime.feature_set)
        read = zip(manifest.regime.files, bundle.regime.models, strict=True)
        stored = tuple(StoredModel(files[file], trees, columns) for file, trees in read)
        regime = LearntRegime(stored, manifest.regime.figures)
    return Trained(
        settings=settings,
        candles=candles,
        dataset=build_dataset(
            candles,
            symbols,
            companions,
            settings.horizons,
            settings.since_ms,
            len(settings.symbols),
            settings.n_columns,
        ),
        members=settings.row_members,
        models=models,
        meta={int(horizon): model for horizon, model in bundle.meta.horizons.items()},
        metrics=manifest.metrics,
        evidence=OutOfFoldRows.decode(files[manifest.evidence_file]),
        oof_rows=manifest.oof_rows,
        regime=regime,
    )
