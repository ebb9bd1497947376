"""Figures of training are read as far as they can be, and a missing one could be the worst."""

import math
from typing import Any

import pytest

from gates.metrics import Figures, Metrics, worst
from tests.support.candidates import SYMBOLS, candidate, damaged_candidate, good_figures, put


def test_the_worst_is_the_lowest_or_the_highest() -> None:
    assert worst([0.6, 0.5, 0.7]) == 0.5
    assert worst([0.6, 0.5, 0.7], max) == 0.7
    assert worst(iter([0.6])) == 0.6


@pytest.mark.parametrize("unknown", [None, math.nan, math.inf])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_unknown_value_makes_the_worst_unknown(unknown: float | None, place: int) -> None:
    values: list[float | None] = [0.6, 0.5]
    values.insert(place, unknown)
    assert worst(values) is None
    assert worst(values, max) is None


def test_of_nothing_there_is_no_worst() -> None:
    assert worst([]) is None


def test_the_figures_of_the_primary_horizon_are_read() -> None:
    metrics = candidate(good_figures()).metrics()
    assert metrics.oof_rows == 30_000
    assert [fold.auc["stack"] for fold in metrics.folds] == [None, 0.55, 0.61, 0.59]
    stack = metrics.of_symbols("stack")
    assert list(stack) == list(SYMBOLS)
    assert stack["BTC/USDT"].share_within_middle == 0.9


def test_a_symbol_without_a_source_has_empty_figures() -> None:
    figures = put(good_figures(), ("symbols", "ETH/USDT"), {})
    assert candidate(figures).metrics().of_symbols("stack")["ETH/USDT"] == Figures()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("symbols",), []),
        (("symbols", "BTC/USDT"), None),
        (("symbols", "BTC/USDT", "stack", "auc"), "0.9"),
        (("symbols", "BTC/USDT", "stack", "auc"), True),
        (("folds",), {}),
        (("folds", 1), {}),
        (("oof_rows",), 30_000.5),
        (("mean_fold_auc",), [0.6]),
    ],
)
def test_figures_of_another_shape_count_as_none_at_all(path: tuple[Any, ...], value: object) -> None:
    assert candidate(put(good_figures(), path, value)).metrics() == Metrics()


@pytest.mark.parametrize("figures", [None, [], "none", {}])
def test_where_there_are_no_figures_there_are_none(figures: object) -> None:
    assert candidate(figures).metrics() == Metrics()


def test_a_bundle_that_is_not_intact_has_no_figures() -> None:
    assert damaged_candidate().metrics() == Metrics()
