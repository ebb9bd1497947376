"""Which bars and answers does a bundle carry, so that it can be tried before it serves?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from plugin.candles import Candles
from plugin.features import LOOKBACK_BARS
from plugin.features.joined import ROW_NAMES, columns_of, lookback_of
from plugin.golden import Golden
from plugin.meta_model import meta_inputs
from training.regime import CLASSIFIERS, LearntRegime
from training.settings import companions_of
from training.trained import Trained

_GOLDEN_CASES = 8
_VOLATILITY_COLUMN = ROW_NAMES.index("realised_vol_20")


def golden_cases(trained: Trained) -> Golden:
    """Stretches of real bars, spread over the rows, with what training's own code says of them.

    Features come from the history walk and members from their own libraries, so that repeating these
    answers shows the live code to agree with both.
    """
    dataset, horizons = trained.dataset, list(trained.models)
    cases = np.linspace(0, dataset.n_rows - 1, _GOLDEN_CASES).round().astype(int)
    n_earlier = trained.networks.n_earlier_rows if trained.networks else 0
    n_bars = max(lookback_of(dataset.rows.shape[1]), LOOKBACK_BARS + n_earlier)
    length_ms = next(iter(trained.candles.values())).timeframe.length_ms
    open_time_ms = dataset.known_from_ms[cases] - length_ms
    windows = []
    for symbol_number, opened in zip(dataset.symbol[cases], open_time_ms, strict=True):
        symbol = dataset.symbols[symbol_number]
        windows.append(
            np.stack(
                [
                    _window(trained.candles[name], int(opened), n_bars)
                    for name in (symbol, *companions_of(symbol))
                ]
            )
        )
    rows = dataset.rows[cases]
    said = np.array(
        [
            [
                trained.models[horizon][member.name].predict(
                    np.ascontiguousarray(rows[:, columns_of(member.feature_set)])
                )
                for horizon in horizons
            ]
            for member in trained.members
        ]
    )
    if trained.networks:
        said = np.concatenate([said, trained.networks.golden(cases)])
    stacked = [
        trained.meta[horizon].probability(meta_inputs(said[:, place], rows[:, _VOLATILITY_COLUMN]))
        for place, horizon in enumerate(horizons)
    ]
    return Golden(
        np.stack(windows),
        open_time_ms,
        rows,
        said.transpose(2, 0, 1),
        np.stack(stacked, axis=1),
        _golden_regime(trained.regime, rows),
    )


def _golden_regime(regime: LearntRegime | None, rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """(cases, questions), of which there are none without a classifier."""
    if regime is None:
        return np.empty((len(rows), 0))
    own = np.ascontiguousarray(rows[:, columns_of(CLASSIFIERS[0].feature_set)])
    return np.stack([model.predict(own) for model in regime.models], axis=1)


def _window(candles: Candles, newest_open_ms: int, n_bars: int) -> NDArray[np.float64]:
    """The last bars up to one, of which the first may repeat the oldest there is: a companion that
    began later than the window of a network is looked at no further back than 512 bars."""
    newest = (newest_open_ms - candles.first_open_ms) // candles.timeframe.length_ms
    return candles.bars[:, np.maximum(np.arange(newest - n_bars + 1, newest + 1), 0)]
