"""Figures of training are read as far as they can be, and a missing one could be the worst."""

import math
from typing import Any

import pytest

from gates.metrics import Metrics, read_metrics, worst
from tests.support.candidates import candidate, damaged_candidate, good_figures, put


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


def test_the_figures_of_every_horizon_are_read() -> None:
    figures = put(good_figures(), ("symbols", "BTC/USDT", "reversal", "auc"), 0.51)
    by_horizon = candidate(put(figures, ("seen_auc", "xgb"), None)).metrics()
    assert list(by_horizon) == [5, 12]
    assert by_horizon[5].symbols["BTC/USDT"]["reversal"].auc == 0.51
    assert by_horizon[5].seen_auc == {"lgb": 0.7, "xgb": None, "cross": 0.7}
    assert by_horizon[12].symbols["BTC/USDT"]["reversal"].auc == 0.53


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("symbols",), []),
        (("symbols", "BTC/USDT"), None),
        (("symbols", "BTC/USDT", "reversal", "auc"), "0.9"),
        (("symbols", "BTC/USDT", "reversal", "auc"), True),
        (("seen_auc",), [0.6]),
        (("seen_auc", "lgb"), "0.6"),
    ],
)
def test_figures_of_another_shape_count_as_none_at_all(path: tuple[Any, ...], value: object) -> None:
    assert read_metrics(put(good_figures(), path, value)) == Metrics()


@pytest.mark.parametrize("figures", [None, [], "none", {}])
def test_where_there_are_no_figures_there_are_none(figures: object) -> None:
    assert read_metrics(figures) == Metrics()


def test_a_bundle_that_is_not_intact_has_no_figures() -> None:
    assert damaged_candidate().metrics() == {}
