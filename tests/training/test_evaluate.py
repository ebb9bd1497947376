"""Each figure equals the same figure computed another way."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from gates.out_of_fold import STACK
from plugin.command_line import print_json
from tests.support.small_training import HOUR_MS
from training.dataset import Dataset, RowLabels
from training.evaluate import evaluate, judged_rows
from training.oof import OutOfFold
from training.splits import Fold, fold_boundaries, walk_forward

HORIZON = 5
N_BARS = 1_500
NEW_YEAR_MS = 1_735_689_600_000  # 2025-01-01
SYMBOLS = ("BTC/USDT", "ETH/USDT", "LTC/USDT")
SOURCES = ("one", "two", "stack", "reversal")


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    """Rows around New Year without features: two symbols to judge, one that is only learnt from."""
    random = np.random.default_rng(2)
    symbol = np.tile(np.arange(3), N_BARS)
    known_from_ms = NEW_YEAR_MS + np.repeat(np.arange(-1_000, N_BARS - 1_000), 3) * HOUR_MS
    forward_return = random.normal(size=symbol.size)
    forward_return[known_from_ms > known_from_ms[-1] - HORIZON * HOUR_MS] = np.nan
    forward_return[700:720] = np.nan
    up = np.where(np.isnan(forward_return), np.nan, (forward_return > 0).astype(float))
    past_return = random.normal(size=symbol.size)
    label_end_ms = known_from_ms + HORIZON * HOUR_MS
    return Dataset(
        symbols=SYMBOLS,
        n_judged=2,
        rows=np.zeros((symbol.size, 0), dtype=np.float32),
        symbol=symbol,
        known_from_ms=known_from_ms,
        labels={HORIZON: RowLabels(up, forward_return, past_return, label_end_ms)},
    )


@pytest.fixture(scope="module")
def folds(dataset: Dataset) -> list[Fold]:
    start_ms, end_ms = int(dataset.known_from_ms[0]), int(dataset.known_from_ms[-1]) + HOUR_MS
    boundaries = fold_boundaries(start_ms + 300 * HOUR_MS, end_ms, 3, HOUR_MS)
    return walk_forward(
        dataset.known_from_ms, dataset.labels[HORIZON].label_end_ms, boundaries, 24 * HOUR_MS
    )


@pytest.fixture(scope="module")
def oof(dataset: Dataset, folds: list[Fold]) -> OutOfFold:
    random = np.random.default_rng(4)
    skill = np.nan_to_num(dataset.labels[HORIZON].forward_return) * 0.03
    probability = np.clip(random.normal(0.5 + skill, 0.15, (2, dataset.n_rows)), 0.01, 0.99)
    fold = np.full(dataset.n_rows, -1)
    for one in folds:
        fold[one.test] = one.number
    probability[:, fold < 0] = np.nan
    return OutOfFold(("one", "two"), probability, fold)


@pytest.fixture(scope="module")
def stacked(oof: OutOfFold) -> NDArray[np.float64]:
    return np.where(oof.fold >= 1, oof.probability.mean(axis=0), np.nan)


@pytest.fixture(scope="module")
def figures(
    dataset: Dataset, folds: list[Fold], oof: OutOfFold, stacked: NDArray[np.float64]
) -> dict[str, Any]:
    return evaluate(dataset, HORIZON, oof, stacked, oof.probability, folds, HOUR_MS)


@pytest.fixture(scope="module")
def said(
    dataset: Dataset, oof: OutOfFold, stacked: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """What each source says of each row."""
    reversal = -dataset.labels[HORIZON].past_return
    return {
        "one": oof.probability[0],
        "two": oof.probability[1],
        "stack": stacked,
        "reversal": reversal,
    }


@pytest.fixture(scope="module")
def judged(dataset: Dataset, oof: OutOfFold) -> Callable[[str], NDArray[np.bool_]]:
    """The rows of a symbol on which all sources are compared."""
    known = ~np.isnan(dataset.labels[HORIZON].up)
    return lambda symbol: known & (oof.fold >= 1) & (dataset.symbol == SYMBOLS.index(symbol))


@pytest.mark.parametrize("symbol", SYMBOLS[:2])
@pytest.mark.parametrize("source", SOURCES)
def test_figures_of_a_symbol(
    figures: dict[str, Any],
    dataset: Dataset,
    said: dict[str, NDArray[np.float64]],
    judged: Callable[[str], NDArray[np.bool_]],
    symbol: str,
    source: str,
) -> None:
    rows = judged(symbol)
    found, p = figures["symbols"][symbol][source], said[source][rows]
    up, forward_return = dataset.labels[HORIZON].up[rows], dataset.labels[HORIZON].forward_return[rows]
    assert found["n"] == rows.sum()
    assert found["auc"] == pytest.approx(roc_auc_score(up, p), abs=1e-12)
    assert found["auc_low"] < found["auc"] < found["auc_high"]
    assert found["rank_ic"] == pytest.approx(spearmanr(p, forward_return).statistic, abs=1e-9)
    if source == "reversal":
        assert math.isnan(found["brier"])
    else:
        assert found["brier"] == pytest.approx(np.mean((p - up) ** 2), abs=1e-12)
        within = sum(0.3 <= one <= 0.7 for one in p.tolist())
        assert found["share_within_0.3_0.7"] == pytest.approx(within / rows.sum())


@pytest.mark.parametrize("symbol", SYMBOLS[:2])
def test_naive_rules_stand_beside_every_figure(
    figures: dict[str, Any],
    dataset: Dataset,
    judged: Callable[[str], NDArray[np.bool_]],
    symbol: str,
) -> None:
    up = dataset.labels[HORIZON].up[judged(symbol)]
    found = figures["symbols"][symbol]
    assert found["constant"] == {"n": up.size, "auc": 0.5, "brier": 0.25}
    assert found["class prior"]["brier"] == pytest.approx(np.mean((up.mean() - up) ** 2), abs=1e-12)


@pytest.mark.parametrize("source", SOURCES)
def test_figures_of_a_fold_are_over_all_judged_symbols(
    figures: dict[str, Any],
    dataset: Dataset,
    folds: list[Fold],
    said: dict[str, NDArray[np.float64]],
    source: str,
) -> None:
    up = dataset.labels[HORIZON].up
    for fold, found in zip(folds, figures["folds"], strict=True):
        rows = fold.test[~np.isnan(up[fold.test]) & (dataset.symbol[fold.test] < 2)]
        assert (found["n_train"], found["n_test"]) == (fold.train.size, rows.size)
        if source == "stack" and fold.number == 0:
            assert math.isnan(found["auc"][source])
        else:
            expected = roc_auc_score(up[rows], said[source][rows])
            assert found["auc"][source] == pytest.approx(expected, abs=1e-12)


def test_a_fold_says_which_days_it_tests(figures: dict[str, Any]) -> None:
    days = [(fold["test_start"], fold["test_end"]) for fold in figures["folds"]]
    assert days == [
        ("2024-12-02", "2024-12-19"),
        ("2024-12-19", "2025-01-05"),
        ("2025-01-05", "2025-01-21"),
    ]


@pytest.mark.parametrize("year", [2024, 2025])
@pytest.mark.parametrize("symbol", SYMBOLS[:2])
def test_figures_of_a_year(
    figures: dict[str, Any],
    dataset: Dataset,
    said: dict[str, NDArray[np.float64]],
    judged: Callable[[str], NDArray[np.bool_]],
    symbol: str,
    year: int,
) -> None:
    in_year = (dataset.known_from_ms >= NEW_YEAR_MS) == (year == 2025)
    rows = judged(symbol) & in_year
    up = dataset.labels[HORIZON].up[rows]
    assert list(figures["years"][symbol]) == ["2024", "2025"]
    for source in SOURCES:
        expected = roc_auc_score(up, said[source][rows])
        assert figures["years"][symbol][str(year)][source] == pytest.approx(expected, abs=1e-12)


def test_the_mean_over_folds_is_plain_and_leaves_out_the_stacks_first(figures: dict[str, Any]) -> None:
    by_fold = [fold["auc"] for fold in figures["folds"]]
    mean = figures["mean_fold_auc"]
    assert set(mean) == set(SOURCES)
    assert mean["one"] == pytest.approx(np.mean([auc["one"] for auc in by_fold]))
    assert mean["stack"] == pytest.approx(np.mean([auc["stack"] for auc in by_fold[1:]]))


def test_out_of_fold_rows_are_those_with_a_label_of_judged_symbols(
    figures: dict[str, Any], dataset: Dataset, oof: OutOfFold
) -> None:
    known = ~np.isnan(dataset.labels[HORIZON].up)
    assert figures["oof_rows"] == np.sum(known & (oof.fold >= 0) & (dataset.symbol < 2))


def test_a_symbol_that_is_only_learnt_from_has_no_figures(figures: dict[str, Any]) -> None:
    assert set(figures["symbols"]) == set(figures["years"]) == set(SYMBOLS[:2])


def test_what_is_said_of_other_symbols_and_unknown_labels_changes_nothing(
    figures: dict[str, Any],
    dataset: Dataset,
    folds: list[Fold],
    oof: OutOfFold,
    stacked: NDArray[np.float64],
) -> None:
    ignored = (dataset.symbol == 2) | np.isnan(dataset.labels[HORIZON].up)
    loud = replace(oof, probability=np.where(ignored, 0.99, oof.probability))
    loud_stack = np.where(ignored, 0.99, stacked)
    again = evaluate(dataset, HORIZON, loud, loud_stack, loud.probability, folds, HOUR_MS)
    assert json.dumps(again) == json.dumps(figures)


def test_members_are_compared_with_each_other(
    figures: dict[str, Any],
    oof: OutOfFold,
    judged: Callable[[str], NDArray[np.bool_]],
) -> None:
    rows = judged("BTC/USDT") | judged("ETH/USDT")
    expected = np.corrcoef(oof.probability[:, rows])[0, 1]
    assert figures["member_correlation"] == {"one-two": pytest.approx(expected)}


def test_a_serving_model_is_measured_on_the_rows_that_it_has_learnt_from(
    figures: dict[str, Any],
    dataset: Dataset,
    folds: list[Fold],
    oof: OutOfFold,
    stacked: NDArray[np.float64],
    judged: Callable[[str], NDArray[np.bool_]],
) -> None:
    rows = judged("BTC/USDT") | judged("ETH/USDT")
    up = dataset.labels[HORIZON].up
    learnt = np.where(rows, oof.probability + 0.1 * (np.nan_to_num(up) - 0.5), np.nan)
    again = evaluate(dataset, HORIZON, oof, stacked, learnt, folds, HOUR_MS)
    for number, name in enumerate(oof.members):
        expected = roc_auc_score(up[rows], learnt[number, rows])
        assert again["seen_auc"][name] == pytest.approx(expected, abs=1e-12)
        assert again["seen_auc"][name] > figures["symbols"]["BTC/USDT"][name]["auc"]
    assert json.dumps({**again, "seen_auc": None}) == json.dumps({**figures, "seen_auc": None})


def test_judged_rows_are_those_of_judged_symbols_in_a_test_block(
    dataset: Dataset, oof: OutOfFold, stacked: NDArray[np.float64]
) -> None:
    rows = judged_rows(dataset, {HORIZON: oof}, {HORIZON: stacked})
    kept = (oof.fold >= 0) & (dataset.symbol < 2)
    assert (rows.symbols.tolist(), rows.sources.tolist()) == ([*SYMBOLS[:2]], ["one", "two", STACK])
    assert rows.horizons.tolist() == [HORIZON]
    np.testing.assert_array_equal(rows.symbol, dataset.symbol[kept])
    np.testing.assert_array_equal(rows.known_from_ms, dataset.known_from_ms[kept])
    np.testing.assert_array_equal(rows.fold, oof.fold[kept])
    np.testing.assert_array_equal(rows.up[:, 0], dataset.labels[HORIZON].up[kept])
    said = np.column_stack([*oof.probability[:, kept], stacked[kept]])
    np.testing.assert_allclose(rows.probability[:, 0], said, rtol=1e-6)
    assert np.isnan(rows.up).any(), "rows whose label is not known stay"


def test_figures_are_plain_numbers_that_a_command_can_print(
    figures: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    print_json(figures)
    read = json.loads(capsys.readouterr().out)
    assert read["folds"][0]["auc"]["stack"] is None
    assert read["symbols"]["BTC/USDT"]["one"] == figures["symbols"]["BTC/USDT"]["one"]


@pytest.mark.filterwarnings("error")
def test_without_any_answer_of_the_stack_nothing_is_claimed(
    dataset: Dataset, folds: list[Fold], oof: OutOfFold
) -> None:
    silent = np.full(dataset.n_rows, np.nan)
    figures = evaluate(dataset, HORIZON, oof, silent, oof.probability, folds, HOUR_MS)
    stack = figures["symbols"]["BTC/USDT"]["stack"]
    assert stack["n"] == 0
    assert all(math.isnan(stack[name]) for name in ("auc", "auc_low", "brier", "rank_ic"))
    assert math.isnan(figures["mean_fold_auc"]["stack"])
    assert figures["mean_fold_auc"]["one"] > 0.5
