"""Better than a coin, than the naive rule, and as good as was asked for: each limit from both sides."""

import math
from typing import Any

import msgspec
import pytest

from gates.limits import LIMITS, Limits
from gates.performance import performance
from tests.support.candidates import (
    SYMBOLS,
    candidate,
    damaged_candidate,
    good_figures,
    put,
    results,
    verdicts,
)

GATES = (
    "oof_rows",
    "performance_lgb",
    "performance_xgb",
    "performance_cross",
    "performance_stack",
    "skill",
    "over_reversal",
    "calibration",
)
REVERSAL = 0.53
STEP = 1e-9


def of_stack(figure: str, symbol: str = "ETH/USDT") -> tuple[Any, ...]:
    return "symbols", symbol, "stack", figure


BOTH_SIDES = [
    ("oof_rows", ("oof_rows",), 20_000, 19_999),
    ("performance_lgb", ("mean_fold_auc", "lgb"), 0.55, 0.55 - STEP),
    ("performance_xgb", ("mean_fold_auc", "xgb"), 0.50, 0.50 - STEP),
    ("performance_cross", ("mean_fold_auc", "cross"), 0.50, 0.50 - STEP),
    ("performance_stack", of_stack("auc"), 0.58, 0.58 - STEP),
    ("skill", of_stack("auc_low"), 0.50 + STEP, 0.50),
    ("calibration", of_stack("brier"), 0.25 - STEP, 0.25),
]


def test_good_figures_pass_every_gate() -> None:
    assert verdicts(performance, candidate()) == dict.fromkeys(GATES, "pass")


def test_all_of_them_stand_between_a_bundle_and_live() -> None:
    assert {result.level for result in results(performance, candidate()).values()} == {"live"}


@pytest.mark.parametrize(("gate", "path", "enough", "too_little"), BOTH_SIDES)
def test_both_sides_of_every_limit(
    gate: str, path: tuple[Any, ...], enough: float, too_little: float
) -> None:
    said = verdicts(performance, candidate(put(good_figures(), path, enough)))
    assert said[gate] == "pass"
    said = verdicts(performance, candidate(put(good_figures(), path, too_little)))
    assert said[gate] == "fail"
    others = {name: verdict for name, verdict in said.items() if name != gate}
    assert set(others.values()) == {"pass"}


def test_the_stack_must_beat_the_reversal_rule_on_every_symbol() -> None:
    place = ("symbols", "BTC/USDT", "reversal", "auc")
    for reversal, verdict in ((0.60 - STEP, "pass"), (0.60, "fail"), (0.61, "fail")):
        said = verdicts(performance, candidate(put(good_figures(), place, reversal)))
        assert said["over_reversal"] == verdict
        assert said["performance_stack"] == "pass"


@pytest.mark.parametrize("symbol", SYMBOLS)
@pytest.mark.parametrize(("gate", "path", "enough", "too_little"), BOTH_SIDES[4:])
def test_the_symbol_that_does_worst_counts(
    symbol: str, gate: str, path: tuple[Any, ...], enough: float, too_little: float
) -> None:
    figures = put(good_figures(), of_stack(path[-1], symbol), too_little)
    assert verdicts(performance, candidate(figures))[gate] == "fail"
    assert "worst of 2 symbols" in results(performance, candidate(figures))[gate].sentence


@pytest.mark.parametrize("unknown", [msgspec.UNSET, None, math.nan, math.inf])
@pytest.mark.parametrize(
    ("gate", "path"),
    [(gate, path) for gate, path, *_ in BOTH_SIDES if gate != "oof_rows"]
    + [
        ("over_reversal", ("symbols", "BTC/USDT", "reversal", "auc")),
        ("over_reversal", of_stack("auc")),
    ],
)
def test_a_figure_that_is_missing_or_no_number_is_no_evidence(
    gate: str, path: tuple[Any, ...], unknown: object
) -> None:
    figures = put(good_figures(), path, unknown)
    assert verdicts(performance, candidate(figures))[gate] == "not enough evidence"


@pytest.mark.parametrize("rows", [None, msgspec.UNSET])
def test_unknown_rows_are_no_evidence(rows: object) -> None:
    figures = put(good_figures(), ("oof_rows",), rows)
    assert verdicts(performance, candidate(figures))["oof_rows"] == "not enough evidence"


@pytest.mark.parametrize("figures", [{}, None, {"symbols": {}}, {"symbols": []}])
def test_without_figures_every_gate_answers_that_it_has_none(figures: object) -> None:
    said = verdicts(performance, candidate(figures))
    assert said == dict.fromkeys(GATES, "not enough evidence")


def test_a_bundle_that_is_not_intact_gives_no_evidence() -> None:
    assert verdicts(performance, damaged_candidate()) == dict.fromkeys(GATES, "not enough evidence")


def test_one_symbol_is_not_called_the_worst_of_several() -> None:
    figures = put(good_figures(), ("symbols", "ETH/USDT"), msgspec.UNSET)
    sentence = results(performance, candidate(figures))["performance_stack"].sentence
    assert sentence == "AUC of the stack: expected >= 0.58, was 0.6"


def test_other_limits_are_kept_and_shown() -> None:
    limits = Limits(member_auc={"lgb": 0.9}, stack_auc=0.7, oof_rows=40_000, stack_brier=0.1)
    said = results(performance, candidate(), limits)
    assert {name: one.limit for name, one in said.items() if one.verdict == "fail"} == {
        "oof_rows": ">= 40,000",
        "performance_lgb": ">= 0.9",
        "performance_stack": ">= 0.7",
        "calibration": "< 0.1",
    }
    assert "performance_xgb" not in said


def test_the_limits_of_the_reference_system_are_the_defaults() -> None:
    assert dict(LIMITS.member_auc) == {"lgb": 0.55, "xgb": 0.50, "cross": 0.50}
    assert (LIMITS.stack_auc, LIMITS.oof_rows) == (0.58, 20_000)
