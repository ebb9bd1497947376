"""The order is numpy's stable one, whatever the values are spread over."""

import numpy as np
import pytest

from shadow.statistics.ordering import rising

_N = 20_000
_RANDOM = np.random.default_rng(1)
_VALUES = {
    "evenly spread": _RANDOM.uniform(0.4, 0.6, _N),
    "of either sign": _RANDOM.standard_t(3, _N) / 100.0,
    "with far ones": _RANDOM.standard_cauchy(_N) ** 3,
    "of many sizes": np.exp(_RANDOM.normal(0.0, 60.0, _N)),
    "with ties": _RANDOM.integers(0, 50, _N) / 50.0,
    "told apart by their last bits": 1.0 + _RANDOM.integers(0, 9, _N) * np.finfo(float).eps,
    "with one far above": np.append(_RANDOM.uniform(0.0, 1e-9, _N), 1e9),
    "all the same": np.full(_N, 0.5),
    "falling": np.arange(_N, 0.0, -1.0),
    "with both zeros": _RANDOM.choice([0.0, -0.0, 1.0], _N),
    "too far apart to divide": np.append(_RANDOM.normal(size=_N), [1.7e308, -1.7e308]),
    "with an infinite one": np.append(_RANDOM.normal(size=_N), [np.inf, 0.0]),
    "few": _RANDOM.uniform(0.4, 0.6, 10),
    "one": np.ones(1),
    "none": np.empty(0),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("values", _VALUES.values(), ids=_VALUES.keys())
def test_the_order_is_the_stable_one(values):
    expected = np.argsort(values, kind="stable")
    order, in_order = rising(values)
    assert np.array_equal(np.arange(values.size)[order], expected)
    assert in_order.tobytes() == values[expected].tobytes()


def test_sorted_values_are_not_moved():
    values = np.sort(_VALUES["with ties"])
    order, in_order = rising(values)
    assert order == slice(None)
    assert in_order is values
