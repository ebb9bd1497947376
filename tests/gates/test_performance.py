"""Better than a coin, than the naive rule, and as good as was asked for: each limit from both sides."""

import math
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, roc_auc_score

from gates.limits import LIMITS, Limits
from gates.performance import performance
from shadow.statistics import auc_interval
from tests.support.candidates import (
    SYMBOLS,
    answers_of,
    candidate,
    damaged_candidate,
    good_figures,
    good_rows,
    put,
    results,
    verdicts,
    with_answers,
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
    "reliability",
)
OF_STACK = GATES[4:]
ROWS = good_rows()
UP = ROWS.up[:, 0].astype(float)


def of_symbol(number: int) -> np.ndarray[Any, Any]:
    return (ROWS.symbol == number) & (ROWS.fold > 0)


def value_of(gate: str) -> float:
    value = results(performance, candidate())[gate].value
    assert isinstance(value, float)
    return value


def test_good_rows_pass_every_gate() -> None:
    assert verdicts(performance, candidate()) == dict.fromkeys(GATES, "pass")


def test_all_of_them_stand_between_a_bundle_and_live() -> None:
    assert {result.level for result in results(performance, candidate()).values()} == {"live"}


def test_values_are_those_of_the_rows_on_the_symbol_that_does_worst() -> None:
    said = answers_of("stack")
    areas = [roc_auc_score(UP[of_symbol(n)], said[of_symbol(n)]) for n in (0, 1)]
    scores = [brier_score_loss(UP[of_symbol(n)], said[of_symbol(n)]) for n in (0, 1)]
    hours = ROWS.known_from_ms // 3_600_000
    lows = [auc_interval(said[r], UP[r], 5, hours[r]).low for r in map(of_symbol, (0, 1))]
    assert value_of("performance_stack") == pytest.approx(min(areas), abs=1e-12)
    assert value_of("skill") == pytest.approx(min(lows), abs=1e-12)
    assert value_of("over_reversal") == pytest.approx(min(areas) - 0.53, abs=1e-12)
    assert value_of("calibration") == pytest.approx(max(scores), abs=1e-12)
    by_block = [roc_auc_score(UP[ROWS.fold == k], answers_of("xgb")[ROWS.fold == k]) for k in range(4)]
    assert value_of("performance_xgb") == pytest.approx(np.mean(by_block), abs=1e-12)
    assert value_of("oof_rows") == ROWS.known_from_ms.size


def test_figures_of_the_manifest_are_not_believed_where_rows_say_it() -> None:
    loud = good_figures() | {"mean_fold_auc": {"lgb": 0.99}, "oof_rows": 10**6}
    loud["symbols"]["BTC/USDT"]["stack"] = {"auc": 0.99, "auc_low": 0.98, "brier": 0.01}
    assert results(performance, candidate(loud)) == results(performance, candidate())


def _limits(gate: str, value: float) -> Limits:
    if gate.removeprefix("performance_") in LIMITS.member_auc:
        return Limits(member_auc={**LIMITS.member_auc, gate.removeprefix("performance_"): value})
    field = {
        "oof_rows": "oof_rows",
        "performance_stack": "stack_auc",
        "skill": "stack_auc_low",
        "over_reversal": "stack_over_reversal",
        "calibration": "stack_brier",
        "reliability": "stack_reliability",
    }[gate]
    return msgspec.structs.replace(LIMITS, **{field: value})


@pytest.mark.parametrize("gate", GATES)
def test_both_sides_of_every_limit(gate: str) -> None:
    """The limit is moved past the value: at it, and one step to either side."""
    value = value_of(gate)
    strict = gate in {"skill", "over_reversal", "calibration"}
    lower_is_better = gate in {"calibration", "reliability"}
    better = math.inf if lower_is_better else -math.inf
    for limit, verdict in (
        (math.nextafter(value, better), "pass"),
        (value, "fail" if strict else "pass"),
        (math.nextafter(value, -better), "fail"),
    ):
        assert verdicts(performance, candidate(), _limits(gate, limit))[gate] == verdict
    others = verdicts(performance, candidate(), _limits(gate, math.nextafter(value, -better)))
    assert {verdict for name, verdict in others.items() if name != gate} == {"pass"}


@pytest.mark.parametrize("symbol", [0, 1])
def test_the_symbol_that_does_worst_counts(symbol: int) -> None:
    """On one symbol the stack says the contrary of what it means."""
    said = answers_of("stack")
    contrary = with_answers("stack", np.where(ROWS.symbol == symbol, 1.0 - said, said))
    found = results(performance, candidate(rows=contrary))
    for gate in set(OF_STACK) - {"reliability"}:
        assert found[gate].verdict == "fail", gate
        assert "worst of 2 symbols" in found[gate].sentence
    assert {found[gate].verdict for gate in GATES[:4]} == {"pass"}


def test_a_stack_that_is_too_sure_is_not_reliable() -> None:
    said = answers_of("stack")
    odds = (said / (1.0 - said)) ** 3
    found = results(performance, candidate(rows=with_answers("stack", odds / (1.0 + odds))))
    assert (found["performance_stack"].verdict, found["reliability"].verdict) == ("pass", "fail")


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_the_stack_must_beat_the_reversal_rule_on_every_symbol(symbol: str) -> None:
    place = ("symbols", symbol, "reversal", "auc")
    for reversal, verdict in ((0.55, "pass"), (0.99, "fail")):
        said = verdicts(performance, candidate(put(good_figures(), place, reversal)))
        assert said["over_reversal"] == verdict
        assert said["performance_stack"] == "pass"


@pytest.mark.parametrize("unknown", [msgspec.UNSET, None, math.nan, math.inf])
def test_without_the_reversal_rule_there_is_nothing_to_beat(unknown: object) -> None:
    figures = put(good_figures(), ("symbols", "BTC/USDT", "reversal", "auc"), unknown)
    said = verdicts(performance, candidate(figures))
    assert said.pop("over_reversal") == "not enough evidence"
    assert set(said.values()) == {"pass"}


def test_a_constant_stack_and_one_that_saw_one_class_only_are_no_evidence() -> None:
    flat = with_answers("stack", np.where(ROWS.fold > 0, 0.5, np.nan))
    assert verdicts(performance, candidate(rows=flat))["skill"] == "not enough evidence"
    only_up = replace(ROWS, up=np.ones_like(ROWS.up))
    said = verdicts(performance, candidate(rows=only_up))
    for gate in ("performance_stack", "skill", "over_reversal", "performance_lgb"):
        assert said[gate] == "not enough evidence", gate


def test_a_block_without_an_auc_could_be_the_worst_of_a_member() -> None:
    up = ROWS.up.copy()
    up[ROWS.fold == 0] = 1.0
    said = verdicts(performance, candidate(rows=replace(ROWS, up=up)))
    assert {said[f"performance_{name}"] for name in LIMITS.member_auc} == {"not enough evidence"}
    assert said["performance_stack"] == "pass"


def test_rows_of_the_first_block_alone_are_too_few_for_the_stack() -> None:
    first = ROWS.fold == 0
    cut = {name: getattr(ROWS, name)[first] for name in ("symbol", "known_from_ms", "fold", "up")}
    said = verdicts(
        performance, candidate(rows=replace(ROWS, probability=ROWS.probability[first], **cut))
    )
    assert {said[gate] for gate in OF_STACK} == {"not enough evidence"}
    assert (said["oof_rows"], said["performance_lgb"]) == ("fail", "pass")


def test_a_member_that_a_limit_names_and_the_bundle_lacks_is_no_evidence() -> None:
    limits = Limits(member_auc={**LIMITS.member_auc, "tft": 0.5})
    assert verdicts(performance, candidate(), limits)["performance_tft"] == "not enough evidence"


@pytest.mark.parametrize("one", [damaged_candidate(), candidate(rows=b"none")])
def test_without_rows_every_gate_answers_that_it_has_none(one: Any) -> None:
    found = results(performance, one)
    assert {name: result.verdict for name, result in found.items()} == dict.fromkeys(
        GATES, "not enough evidence"
    )
    assert all(result.sentence.endswith(str(one.measured)) for result in found.values())


def test_one_symbol_is_not_called_the_worst_of_several() -> None:
    own = ROWS.symbol == 0
    cut = {name: getattr(ROWS, name)[own] for name in ("symbol", "known_from_ms", "fold", "up")}
    alone = replace(ROWS, symbols=ROWS.symbols[:1], probability=ROWS.probability[own], **cut)
    sentence = results(performance, candidate(rows=alone))["performance_stack"].sentence
    assert sentence.startswith("AUC of the stack: expected >= 0.58, was 0.6")


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
    assert (LIMITS.stack_auc, LIMITS.oof_rows, LIMITS.validation_test) == (0.58, 20_000, 0.02)
