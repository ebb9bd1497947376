"""Which regime will the next bars have, who says so best, and how good is that?

The label of a row is the third in which the volatility of the next bars will rank. Two LightGBM models
answer `plugin.regime.QUESTIONS`, each a member like any other with a label of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plugin.bar import Timeframe
from plugin.features.joined import ROW_NAMES
from plugin.regime import QUESTIONS
from shadow.statistics import mean_interval
from training.checkpoint import Keep
from training.dataset import Dataset, RowLabels
from training.labels import label_regime, thirds
from training.models.base import Model
from training.models.lgb import PARAMETERS, LightGBMMember
from training.oof import Step, bin_members, fit_final, out_of_fold
from training.settings import TrainingSettings
from training.splits import Fold, walk_forward

HORIZON_BARS = 24
# Chosen by walk-forward on bars before 2021 alone; see docs/training.md.
_PARAMETERS = {**PARAMETERS, "extra_trees": False, "num_leaves": 15}
CLASSIFIERS = tuple(LightGBMMember(f"regime_{question}", "base", _PARAMETERS) for question in QUESTIONS)
CLASSIFIER = "classifier"
AS_NOW = "as now"  # the third in which the present volatility ranks
MOST_FREQUENT = "most frequent"
SOURCES = (CLASSIFIER, AS_NOW, MOST_FREQUENT)
_N_THIRDS = 3
_VOL_RANK = ROW_NAMES.index("vol_rank_24")


@dataclass(frozen=True)
class LearntRegime:
    """The models that will serve, in the order of CLASSIFIERS; `figures` as in `judge`."""

    models: tuple[Model, ...]
    figures: dict[str, Any]


@dataclass(frozen=True)
class Forecast:
    """What one source says of each row: `third` (n,), and `reached` (n, 2), the probabilities that the
    second and the highest third are reached. Both are NaN for rows of no test block."""

    third: NDArray[np.float64]
    reached: NDArray[np.float64]


def learn_regime(
    settings: TrainingSettings,
    dataset: Dataset,
    blocks: Sequence[Fold],
    pool: Executor,
    keep: Keep,
    step: Step,
) -> LearntRegime:
    """Let the classifier learn, over the test `blocks` of the members and for serving."""
    length_ms = Timeframe.parse(settings.timeframe).length_ms
    ahead_ms = HORIZON_BARS * length_ms
    vol_rank = dataset.rows[:, _VOL_RANK]
    third = label_regime(vol_rank, dataset.symbol, dataset.known_from_ms, ahead_ms)
    folds = walk_forward(
        dataset.known_from_ms,
        dataset.known_from_ms + ahead_ms,
        [blocks[0].test_start_ms, *(block.test_end_ms for block in blocks)],
        settings.embargo_bars * length_ms,
    )
    binned = bin_members(CLASSIFIERS[:1], dataset, folds[0].train)[CLASSIFIERS[0].name]
    reached = np.full((dataset.n_rows, len(QUESTIONS)), np.nan)
    models = []
    for number, member in enumerate(CLASSIFIERS):
        asked = _asked_whether(dataset, np.where(np.isnan(third), np.nan, third > number))
        of_member = (member,), {member.name: binned}, asked, HORIZON_BARS
        said = out_of_fold(*of_member, folds, settings.seed, pool, step, keep)
        reached[:, number] = said.probability[0]
        models.append(fit_final(*of_member, settings.seed, pool, step, keep)[member.name])
    forecasts = {CLASSIFIER: _most_likely(reached), **naive_forecasts(thirds(vol_rank), third, folds)}
    return LearntRegime(tuple(models), judge(dataset, third, forecasts, length_ms))


def naive_forecasts(
    now: NDArray[np.float64], third: NDArray[np.float64], folds: Sequence[Fold]
) -> dict[str, Forecast]:
    """What needs no model. Their probabilities are frequencies in the training rows of each fold: of
    all of them, and of those with the same present third `now`."""
    frequent = np.full((third.size, len(QUESTIONS)), np.nan)
    after_now, most = frequent.copy(), np.full(third.size, np.nan)
    for fold in folds:
        train = fold.train[~np.isnan(third[fold.train])]
        frequent[fold.test] = _frequencies(third[train])
        most[fold.test] = np.bincount(third[train].astype(int), minlength=_N_THIRDS).argmax()
        for one in range(_N_THIRDS):
            alike = fold.test[now[fold.test] == one]
            after_now[alike] = _frequencies(third[train[now[train] == one]])
    tested = ~np.isnan(most)
    return {
        AS_NOW: Forecast(np.where(tested, now, np.nan), after_now),
        MOST_FREQUENT: Forecast(most, frequent),
    }


def judge(
    dataset: Dataset,
    third: NDArray[np.float64],
    forecasts: Mapping[str, Forecast],
    length_ms: int,
) -> dict[str, Any]:
    """Figures of each judged symbol, on rows that all have answered and whose `third` is known.

    `symbols` {symbol: {source: figures}}; `confusion` {symbol: shares of rows, by the third that came
    and by that which the classifier said}; `over_now` {symbol: accuracy of the classifier less that of
    "as now", with its 95 % interval}.
    """
    answered = [~np.isnan(one.reached).any(axis=1) for one in forecasts.values()]
    common = dataset.judged & ~np.isnan(third) & np.all(answered, axis=0)
    figures: dict[str, Any] = {"symbols": {}, "confusion": {}, "over_now": {}}
    for number, symbol in enumerate(dataset.symbols[: dataset.n_judged]):
        rows = common & (dataset.symbol == number)
        came = third[rows].astype(int)
        figures["symbols"][symbol] = {
            name: _figures(came, one.third[rows].astype(int), one.reached[rows])
            for name, one in forecasts.items()
        }
        said = forecasts[CLASSIFIER].third[rows].astype(int)
        figures["confusion"][symbol] = (_confusion(came, said) / max(came.size, 1)).tolist()
        as_now = forecasts[AS_NOW].third[rows]
        gain = (said == came).astype(np.float64) - (as_now == came)
        bar_number = dataset.known_from_ms[rows] // length_ms
        found = mean_interval(gain, HORIZON_BARS, bar_number)
        figures["over_now"][symbol] = {
            "estimate": found.estimate,
            "low": found.low,
            "high": found.high,
        }
    return figures


def _asked_whether(dataset: Dataset, yes: NDArray[np.float64]) -> Dataset:
    """The same rows with a question as their label; of a label, members look at `up` alone."""
    label = RowLabels(yes, yes, yes, dataset.known_from_ms)
    return replace(dataset, labels={HORIZON_BARS: label})


def _most_likely(reached: NDArray[np.float64]) -> Forecast:
    """As `plugin.regime.most_likely`."""
    high, low = reached[:, 1], 1.0 - reached[:, 0]
    mid = reached[:, 0] - high
    third = np.where(high >= np.maximum(low, mid), 2.0, (mid >= low).astype(np.float64))
    return Forecast(np.where(np.isnan(reached).any(axis=1), np.nan, third), reached)


def _frequencies(third: NDArray[np.float64]) -> NDArray[np.float64]:
    """How often the second and the highest third were reached; one half where nothing is known."""
    if not third.size:
        return np.full(len(QUESTIONS), 0.5)
    return np.array([(third > number).mean() for number in range(len(QUESTIONS))])


def _figures(
    came: NDArray[np.int64], said: NDArray[np.int64], reached: NDArray[np.float64]
) -> dict[str, Any]:
    """`rps` is the ranked probability score (Epstein 1969): the mean squared error of `reached`."""
    if not came.size:
        return {"n": 0, "accuracy": np.nan, "balanced_accuracy": np.nan, "rps": np.nan}
    table = _confusion(came, said)
    there = table.sum(axis=1) > 0
    outcome = came[:, None] > np.arange(len(QUESTIONS))
    return {
        "n": int(came.size),
        "accuracy": float((said == came).mean()),
        "balanced_accuracy": float((np.diag(table)[there] / table.sum(axis=1)[there]).mean()),
        "rps": float(((reached - outcome) ** 2).mean()),
    }


def _confusion(came: NDArray[np.int64], said: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.bincount(came * _N_THIRDS + said, minlength=_N_THIRDS**2).reshape(_N_THIRDS, _N_THIRDS)
