"""How good was each member, the stack and the naive rule, out of fold?

All are judged on the same rows: those for which the stack, too, has an out-of-fold answer. The one
exception is the mean over folds, which a member has for every fold.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gates.out_of_fold import STACK, OutOfFoldRows
from shadow.statistics import auc, auc_interval, brier, rank_ic
from training.dataset import Dataset
from training.oof import OutOfFold
from training.splits import Fold

REVERSAL = "reversal"  # minus the return of the past bars, as many as the horizon: untrained
CLASS_PRIOR = "class prior"  # the share of "up" among the judged rows, known only afterwards
CONSTANT = "constant"  # always 0.5
NAIVE = (REVERSAL, CLASS_PRIOR, CONSTANT)


def evaluate(
    dataset: Dataset,
    horizon: int,
    oof: OutOfFold,
    stacked: NDArray[np.float64],
    seen: NDArray[np.float64],
    folds: Sequence[Fold],
    length_ms: int,
) -> dict[str, Any]:
    """Figures at one horizon, as they stand in a run record and in a manifest.

    `symbols` {symbol: {source: figures}} and `years` {symbol: {year: {source: auc}}}, over rows where
    the stack has an answer; `folds` one entry per fold with the AUC of each source over all symbols;
    `mean_fold_auc` {source: mean over the folds in which it has an answer}; `seen_auc` {member: AUC of
    the model that serves, on the same rows}, which it has learnt from: `seen` (members, rows).
    """
    scores = dict(zip(oof.members, oof.probability, strict=True))
    scores[STACK] = stacked
    scores[REVERSAL] = -dataset.labels[horizon].past_return
    known = dataset.judged & ~np.isnan(dataset.labels[horizon].up)
    common = known & ~np.isnan(stacked)
    by_fold = [_fold_figures(fold, scores, dataset.labels[horizon].up, known) for fold in folds]
    return {
        "oof_rows": int((known & (oof.fold >= 0)).sum()),
        "symbols": {
            symbol: _figures_of(
                common & (dataset.symbol == number), scores, dataset, horizon, length_ms
            )
            for number, symbol in enumerate(dataset.symbols[: dataset.n_judged])
        },
        "years": {
            symbol: _years(common & (dataset.symbol == number), scores, dataset, horizon)
            for number, symbol in enumerate(dataset.symbols[: dataset.n_judged])
        },
        "folds": by_fold,
        "mean_fold_auc": {name: _mean([fold["auc"][name] for fold in by_fold]) for name in scores},
        "member_correlation": _correlations(oof, common),
        "seen_auc": {
            name: auc(said[common], dataset.labels[horizon].up[common])
            for name, said in zip(oof.members, seen, strict=True)
        },
    }


def judged_rows(
    dataset: Dataset, oof: Mapping[int, OutOfFold], stacked: Mapping[int, NDArray[np.float64]]
) -> OutOfFoldRows:
    """The rows of judged symbols that were tested at some horizon, with all that was said of them."""
    first = next(iter(oof.values()))
    tested = np.any([one.fold >= 0 for one in oof.values()], axis=0) & dataset.judged
    said = [np.vstack([one.probability, stacked[horizon]]) for horizon, one in oof.items()]
    probability = np.stack([one[:, tested].T for one in said], axis=1)
    return OutOfFoldRows(
        symbols=np.array(dataset.symbols[: dataset.n_judged]),
        sources=np.array([*first.members, STACK]),
        horizons=np.array(list(oof)),
        symbol=dataset.symbol[tested].astype(np.int16),
        known_from_ms=dataset.known_from_ms[tested],
        fold=first.fold[tested].astype(np.int16),
        up=np.stack([dataset.labels[horizon].up[tested] for horizon in oof], axis=1).astype(np.float32),
        probability=probability.astype(np.float32),
    )


def _figures_of(
    rows: NDArray[np.bool_],
    scores: Mapping[str, NDArray[np.float64]],
    dataset: Dataset,
    horizon: int,
    length_ms: int,
) -> dict[str, Any]:
    labels = dataset.labels[horizon]
    up, forward_return = labels.up[rows], labels.forward_return[rows]
    bar_number = dataset.known_from_ms[rows] // length_ms
    figures = {}
    for name, score in scores.items():
        area = auc_interval(score[rows], up, horizon, bar_number)
        ranked = rank_ic(score[rows], forward_return, horizon, bar_number)
        figures[name] = {
            "n": area.n,
            "n_effective": area.n_effective,
            "auc": area.estimate,
            "auc_low": area.low,
            "auc_high": area.high,
            "p_value_no_skill": area.p_value_no_skill,
            "rank_ic": ranked.estimate,
            "rank_ic_t": ranked.t,
            "brier": brier(score[rows], up).score if name != REVERSAL else math.nan,
            "share_within_0.3_0.7": _mean((score[rows] >= 0.3) & (score[rows] <= 0.7)),
        }
    share_up = _mean(up)
    figures[CONSTANT] = {"n": int(up.size), "auc": 0.5, "brier": 0.25}
    figures[CLASS_PRIOR] = {"n": int(up.size), "auc": 0.5, "brier": share_up * (1.0 - share_up)}
    return figures


def _fold_figures(
    fold: Fold,
    scores: Mapping[str, NDArray[np.float64]],
    up: NDArray[np.float64],
    known: NDArray[np.bool_],
) -> dict[str, Any]:
    test = fold.test[known[fold.test]]
    return {
        "test_start": _day(fold.test_start_ms),
        "test_end": _day(fold.test_end_ms),
        "n_train": int(fold.train.size),
        "n_test": int(test.size),
        "auc": {name: auc(score[test], up[test]) for name, score in scores.items()},
    }


def _years(
    rows: NDArray[np.bool_],
    scores: Mapping[str, NDArray[np.float64]],
    dataset: Dataset,
    horizon: int,
) -> dict[str, dict[str, float]]:
    up = dataset.labels[horizon].up
    year = dataset.known_from_ms.astype("datetime64[ms]").astype("datetime64[Y]").astype(int) + 1970
    return {
        str(one): {
            name: auc(score[rows & (year == one)], up[rows & (year == one)])
            for name, score in scores.items()
        }
        for one in np.unique(year[rows])
    }


def _correlations(oof: OutOfFold, rows: NDArray[np.bool_]) -> dict[str, float]:
    if rows.sum() < 2:
        return {}
    table = np.atleast_2d(np.corrcoef(oof.probability[:, rows]))
    return {
        f"{first}-{second}": float(table[i, j])
        for i, first in enumerate(oof.members)
        for j, second in enumerate(oof.members)
        if i < j
    }


def _mean(values: ArrayLike) -> float:
    """Over those that are finite; NaN where none is, without a word on the screen."""
    numbers = np.asarray(values, dtype=np.float64)
    finite = numbers[np.isfinite(numbers)]
    return float(finite.mean()) if finite.size else math.nan


def _day(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).date().isoformat()
