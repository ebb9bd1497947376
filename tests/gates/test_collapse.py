"""Constant outputs are seen wherever they stand, and copies of a member are named."""

import math
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from gates.collapse import collapse
from gates.limits import LIMITS
from tests.support.candidates import (
    HORIZONS,
    MEMBERS,
    answers_of,
    candidate,
    damaged_candidate,
    good_golden,
    good_rows,
    results,
    verdicts,
    with_answers,
)

ROWS = good_rows()
GOLDEN = good_golden()


def log_odds(p: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.log(p / (1.0 - p))


def value_of(gate: str) -> float:
    value = results(collapse, candidate())[gate].value
    assert isinstance(value, float)
    return value


def test_good_rows_pass_both_gates_of_the_level_shadow() -> None:
    said = results(collapse, candidate())
    assert {name: (one.verdict, one.level) for name, one in said.items()} == {
        "collapsed": ("pass", "shadow"),
        "redundant": ("pass", "shadow"),
    }


@pytest.mark.parametrize(
    ("gate", "field", "worse"),
    [("collapsed", "log_odds_spread", math.inf), ("redundant", "correlation", -math.inf)],
)
def test_both_sides_of_a_limit(gate: str, field: str, worse: float) -> None:
    value = value_of(gate)
    for limit, verdict in ((value, "pass"), (math.nextafter(value, worse), "fail")):
        limits = msgspec.structs.replace(LIMITS, **{field: limit})
        assert verdicts(collapse, candidate(), limits)[gate] == verdict


def test_values_are_those_of_the_answers() -> None:
    pairs = [("lgb", "xgb"), ("lgb", "cross"), ("xgb", "cross")]
    found = [
        np.corrcoef(log_odds(answers_of(one, h)), log_odds(answers_of(other, h)))[0, 1]
        for one, other in pairs
        for h in HORIZONS
    ]
    assert value_of("redundant") == pytest.approx(max(found), abs=1e-12)
    of_golden = [GOLDEN.members[:, n, h] for n in range(3) for h in range(2)]
    of_golden += [GOLDEN.stacked[:, h] for h in range(2)]
    assert value_of("collapsed") == pytest.approx(min(log_odds(one).std() for one in of_golden))


@pytest.mark.parametrize("source", [*MEMBERS, "stack"])
@pytest.mark.parametrize("horizon", HORIZONS)
@pytest.mark.parametrize("constant", [0.0, 0.5, 1.0])
def test_a_constant_output_out_of_fold_has_collapsed(
    source: str, horizon: int, constant: float
) -> None:
    flat = np.where(np.isnan(answers_of(source, horizon)), np.nan, constant)
    found = results(collapse, candidate(rows=with_answers(source, flat, horizon)))["collapsed"]
    assert found.verdict == "fail"
    assert f"by {source} at {horizon} bars, block" in found.sentence


@pytest.mark.parametrize("block", [1, 3])
def test_a_constant_output_in_one_block_has_collapsed(block: int) -> None:
    said = np.where(ROWS.fold == block, 0.6, answers_of("stack"))
    found = results(collapse, candidate(rows=with_answers("stack", said)))["collapsed"]
    assert found.verdict == "fail"
    assert f"by stack at 5 bars, block {block};" in found.sentence


def test_constants_that_differ_between_blocks_have_collapsed() -> None:
    said = np.array([0.4, 0.45, 0.55, 0.6])[ROWS.fold]
    assert verdicts(collapse, candidate(rows=with_answers("xgb", said)))["collapsed"] == "fail"


@pytest.mark.parametrize("place", [(slice(None), 1, 0), (slice(None), 2, 1)])
@pytest.mark.parametrize("constant", [0.0, 0.5])
def test_a_serving_member_that_is_constant_has_collapsed(place: Any, constant: float) -> None:
    """A network that was exported wrongly: out of fold the network itself had answered."""
    members = GOLDEN.members.copy()
    members[place] = constant
    found = results(collapse, candidate(golden=replace(GOLDEN, members=members)))["collapsed"]
    assert found.verdict == "fail"
    assert f"by {MEMBERS[place[1]]} at {HORIZONS[place[2]]} bars, golden" in found.sentence


def test_a_serving_stack_that_is_constant_has_collapsed() -> None:
    flat = replace(GOLDEN, stacked=np.full_like(GOLDEN.stacked, 0.5))
    assert verdicts(collapse, candidate(golden=flat))["collapsed"] == "fail"


@pytest.mark.parametrize(("share", "verdict"), [(0.5, "pass"), (0.51, "fail")])
def test_both_sides_of_the_share_that_is_told_the_same(share: float, verdict: str) -> None:
    said = answers_of("lgb")
    for block in range(4):
        rows = np.flatnonzero(ROWS.fold == block)
        said[rows[: round(share * rows.size)]] = 0.5
    found = results(collapse, candidate(rows=with_answers("lgb", said)))["collapsed"]
    assert found.verdict == verdict
    assert f"was {share:.1%} by lgb at 5 bars" in found.sentence


@pytest.mark.parametrize("unknown", [math.nan, None])
def test_golden_answers_that_are_no_numbers_are_no_evidence(unknown: float | None) -> None:
    members = GOLDEN.members.copy()
    members[3, 1, 0] = math.nan
    golden: Any = b"" if unknown is None else replace(GOLDEN, members=members)
    said = verdicts(collapse, candidate(golden=golden))
    assert said == {"collapsed": "not enough evidence", "redundant": "pass"}


def test_golden_answers_of_another_shape_are_no_evidence() -> None:
    found = results(collapse, candidate(golden=good_golden(n_members=2)))["collapsed"]
    assert found.verdict == "not enough evidence"
    assert "answers of shape (8, 2, 2)" in found.sentence


def test_a_copy_of_a_member_is_named() -> None:
    copy = answers_of("lgb", 12) * 0.98 + 0.01
    found = results(collapse, candidate(rows=with_answers("cross", copy, 12)))["redundant"]
    assert found.verdict == "fail"
    assert "(lgb and cross at 12 bars)" in found.sentence


def test_a_constant_member_has_no_correlation() -> None:
    flat = with_answers("lgb", np.full(ROWS.fold.size, 0.3))
    assert verdicts(collapse, candidate(rows=flat))["redundant"] == "not enough evidence"


def test_one_member_alone_is_not_redundant() -> None:
    alone = replace(ROWS, sources=ROWS.sources[[0, 3]], probability=ROWS.probability[..., [0, 3]])
    golden = good_golden(n_members=1)
    assert verdicts(collapse, candidate(rows=alone, golden=golden)) == {
        "collapsed": "pass",
        "redundant": "pass",
    }


@pytest.mark.parametrize("one", [damaged_candidate(), candidate(rows=b"none")])
def test_without_rows_both_gates_answer_that_they_have_none(one: Any) -> None:
    assert set(verdicts(collapse, one).values()) == {"not enough evidence"}
