"""What a bundle says of a whole history: by the walk of training and the libraries' own models."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import lightgbm
import numpy as np
import xgboost
from numpy.typing import NDArray

from plugin.bundle import load_bundle
from plugin.candles import Candles
from plugin.features.joined import ROW_NAMES, columns_of, joined_history
from plugin.manifest import MemberFile
from plugin.meta_model import meta_inputs
from training.models.lgb import LightGBMModel
from training.models.xgb import XGBoostModel

Said = dict[int, dict[str, float]]
"""Probabilities by open time and horizon."""


def library_answers(folder: Path, candles: Mapping[str, Candles], symbol: str) -> Said:
    """The stacked probabilities of every bar of `symbol` whose windows give a row."""
    bundle = load_bundle(folder)
    own = candles[symbol]
    companions = [candles[name] for name in bundle.manifest.companions[symbol]]
    rows, refused = joined_history(own, companions, bundle.n_columns)
    rows = rows[~refused]
    said: dict[str, NDArray[np.float64]] = {}
    for horizon in bundle.manifest.horizons:
        members = {
            model.member: _members_own(folder, model, rows)
            for model in bundle.manifest.members
            if model.horizon == horizon
        }
        inputs = meta_inputs(
            np.stack([members[name] for name in bundle.meta.members]),
            rows[:, ROW_NAMES.index("realised_vol_20")],
        )
        said[str(horizon)] = bundle.meta.horizons[str(horizon)].probability(inputs)
    opened_ms = own.open_time_ms[~refused].tolist()
    by_bar = zip(*(probabilities.tolist() for probabilities in said.values()), strict=True)
    return {
        opened: dict(zip(said, probabilities, strict=True))
        for opened, probabilities in zip(opened_ms, by_bar, strict=True)
    }


def _members_own(folder: Path, model: MemberFile, rows: NDArray[np.float32]) -> NDArray[np.float64]:
    columns = np.ascontiguousarray(rows[:, columns_of(model.feature_set)])
    content = (folder / model.file).read_bytes()
    if model.kind == "lightgbm":
        return LightGBMModel(lightgbm.Booster(model_str=content.decode())).predict(columns)
    booster = xgboost.Booster()
    booster.load_model(bytearray(content))
    return XGBoostModel(booster).predict(columns)
