"""No block of time much worse than a coin, and probabilities that a market allows."""

import math
from typing import Any

import msgspec
import pytest

from gates.limits import LIMITS, Limits
from gates.stability import stability
from tests.support.candidates import candidate, damaged_candidate, good_figures, put, results, verdicts

FOLD_LIMIT = LIMITS.fold_auc - LIMITS.fold_auc_tolerance
SHARE = "share_within_0.3_0.7"


def in_fold(number: int, auc: object) -> dict[str, Any]:
    return put(good_figures(), ("folds", number, "auc", "stack"), auc)


def share(value: object, symbol: str = "ETH/USDT") -> dict[str, Any]:
    return put(good_figures(), ("symbols", symbol, "stack", SHARE), value)


def test_good_figures_pass_both_gates_of_the_level_shadow() -> None:
    said = results(stability, candidate())
    assert {name: (one.verdict, one.level) for name, one in said.items()} == {
        "worst_fold": ("pass", "shadow"),
        "plausible": ("pass", "shadow"),
    }


@pytest.mark.parametrize("number", [1, 2, 3])
def test_both_sides_of_the_limit_of_a_fold(number: int) -> None:
    assert verdicts(stability, candidate(in_fold(number, FOLD_LIMIT)))["worst_fold"] == "pass"
    worse = math.nextafter(FOLD_LIMIT, 0.0)
    assert verdicts(stability, candidate(in_fold(number, worse)))["worst_fold"] == "fail"


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("unknown", [None, math.nan, msgspec.UNSET])
def test_a_fold_without_an_auc_could_be_the_worst(number: int, unknown: object) -> None:
    assert (
        verdicts(stability, candidate(in_fold(number, unknown)))["worst_fold"] == "not enough evidence"
    )


def test_the_first_fold_where_the_stack_had_nothing_to_learn_from_does_not_count() -> None:
    assert verdicts(stability, candidate(in_fold(0, 0.1)))["worst_fold"] == "pass"


@pytest.mark.parametrize("n_folds", [0, 1])
def test_without_a_later_fold_there_is_no_evidence(n_folds: int) -> None:
    figures = good_figures()
    figures["folds"] = figures["folds"][:n_folds]
    assert verdicts(stability, candidate(figures))["worst_fold"] == "not enough evidence"


@pytest.mark.parametrize("symbol", ["BTC/USDT", "ETH/USDT"])
def test_both_sides_of_the_limit_of_the_middle(symbol: str) -> None:
    assert verdicts(stability, candidate(share(0.5, symbol)))["plausible"] == "pass"
    assert verdicts(stability, candidate(share(0.4999, symbol)))["plausible"] == "fail"


@pytest.mark.parametrize("symbol", ["BTC/USDT", "ETH/USDT"])
@pytest.mark.parametrize("unknown", [None, math.nan, msgspec.UNSET])
def test_a_symbol_without_a_share_could_be_the_worst(symbol: str, unknown: object) -> None:
    said = verdicts(stability, candidate(share(unknown, symbol)))
    assert said["plausible"] == "not enough evidence"


def test_without_figures_both_gates_answer_that_they_have_none() -> None:
    for one in (candidate({}), candidate(None), damaged_candidate()):
        assert verdicts(stability, one) == {
            "worst_fold": "not enough evidence",
            "plausible": "not enough evidence",
        }


def test_other_limits_are_kept_and_shown() -> None:
    limits = Limits(fold_auc=0.6, fold_auc_tolerance=0.01, share_within_middle=0.95)
    said = results(stability, candidate(), limits)
    assert {name: (one.verdict, one.limit) for name, one in said.items()} == {
        "worst_fold": ("fail", ">= 0.59"),
        "plausible": ("fail", ">= 0.95"),
    }
