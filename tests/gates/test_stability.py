"""No block or year much worse than a coin, blocks that are alike, and plausible probabilities."""

import math
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from gates.limits import LIMITS, Limits
from gates.out_of_fold import OutOfFoldRows
from gates.stability import stability
from shadow.statistics import auc_interval
from tests.support.candidates import (
    answers_of,
    candidate,
    damaged_candidate,
    good_rows,
    results,
    verdicts,
    with_answers,
)
from tests.support.records import HOUR_MS

NAMES = ("worst_fold", "worst_year", "spread", "plausible")
ROWS = good_rows()
UP = ROWS.up[:, 0].astype(float)
SAID = answers_of("stack")
YEAR = ROWS.known_from_ms.astype("datetime64[ms]").astype("datetime64[Y]").astype(int) + 1970


def value_of(gate: str) -> float:
    value = results(stability, candidate())[gate].value
    assert isinstance(value, float)
    return value


def contrary_where(rows: np.ndarray[Any, Any]) -> OutOfFoldRows:
    """In some rows the stack says the contrary of what it means."""
    return with_answers("stack", np.where(rows, 1.0 - SAID, SAID))


def only(rows: np.ndarray[Any, Any]) -> OutOfFoldRows:
    cut = {name: getattr(ROWS, name)[rows] for name in ("symbol", "known_from_ms", "fold", "up")}
    return replace(ROWS, probability=ROWS.probability[rows], **cut)


def test_good_rows_pass_all_gates_of_the_level_shadow() -> None:
    said = results(stability, candidate())
    assert {name: (one.verdict, one.level) for name, one in said.items()} == dict.fromkeys(
        NAMES, ("pass", "shadow")
    )


def test_values_are_those_of_the_rows() -> None:
    blocks = [roc_auc_score(UP[ROWS.fold == k], SAID[ROWS.fold == k]) for k in (1, 2, 3)]
    assert value_of("worst_fold") == pytest.approx(min(blocks), abs=1e-12)
    rows = (YEAR == 2024) & (ROWS.fold > 0)
    hours = ROWS.known_from_ms // 3_600_000
    highest = auc_interval(SAID[rows], UP[rows], 5, hours[rows]).high
    assert value_of("worst_year") == pytest.approx(highest, abs=1e-12)
    spreads = [
        np.std([roc_auc_score(UP[ROWS.fold == k], answers_of(name)[ROWS.fold == k]) for k in range(4)])
        for name in ("lgb", "xgb", "cross")
    ]
    assert value_of("spread") == pytest.approx(max(spreads), abs=1e-12)
    by_symbol = [SAID[(ROWS.fold > 0) & (ROWS.symbol == n)] for n in (0, 1)]
    shares = [((one >= 0.3) & (one <= 0.7)).mean() for one in by_symbol]
    assert value_of("plausible") == pytest.approx(min(shares), abs=1e-12)


@pytest.mark.parametrize(
    ("gate", "field", "lower_is_better"),
    [
        ("worst_fold", "fold_auc", False),
        ("worst_year", "fold_auc", False),
        ("spread", "fold_spread", True),
        ("plausible", "share_within_middle", False),
    ],
)
def test_both_sides_of_every_limit(gate: str, field: str, lower_is_better: bool) -> None:
    value, worse = value_of(gate), -math.inf if lower_is_better else math.inf
    for limit, verdict in ((value, "pass"), (math.nextafter(value, worse), "fail")):
        limits = msgspec.structs.replace(LIMITS, **{field: limit}, fold_auc_tolerance=0.0)
        assert verdicts(stability, candidate(), limits)[gate] == verdict


@pytest.mark.parametrize("block", [1, 2, 3])
def test_one_bad_block_fails(block: int) -> None:
    said = results(stability, candidate(rows=contrary_where(ROWS.fold == block)))
    assert said["worst_fold"].verdict == "fail"


@pytest.mark.parametrize("block", [1, 3])
def test_a_block_without_an_auc_could_be_the_worst(block: int) -> None:
    up = np.where((ROWS.fold == block)[:, None], np.float32(1.0), ROWS.up)
    said = verdicts(stability, candidate(rows=replace(ROWS, up=up)))
    assert said["worst_fold"] == said["spread"] == "not enough evidence"


def test_in_the_first_block_the_stack_had_nothing_to_learn_from() -> None:
    up = np.where((ROWS.fold == 0)[:, None], np.float32(1.0), ROWS.up)
    assert verdicts(stability, candidate(rows=replace(ROWS, up=up)))["worst_fold"] == "pass"


def test_a_bad_year_fails_and_is_named() -> None:
    said = results(stability, candidate(rows=contrary_where(YEAR == 2024)))
    assert said["worst_year"].verdict == "fail"
    assert "(2024)" in said["worst_year"].sentence


@pytest.mark.parametrize(("year_rows", "verdict"), [(600, "fail"), (601, "pass")])
def test_a_year_counts_from_some_rows_on(year_rows: int, verdict: str) -> None:
    """The last 600 rows lie in a year of their own, and the stack says the contrary there."""
    last = np.arange(SAID.size) >= SAID.size - 600
    rows = replace(contrary_where(last), known_from_ms=ROWS.known_from_ms + 300 * HOUR_MS)
    found = results(stability, candidate(rows=rows), Limits(year_rows=year_rows))
    assert found["worst_year"].verdict == verdict


def test_years_that_are_too_short_are_no_evidence() -> None:
    found = results(stability, candidate(), Limits(year_rows=10**6))["worst_year"]
    assert found.verdict == "not enough evidence"
    assert "no year has 1000000 judged rows" in found.sentence


def test_a_member_that_is_good_in_one_block_only_is_spread() -> None:
    said = np.where(ROWS.fold == 2, np.clip(UP, 0.01, 0.99), answers_of("xgb"))
    found = results(stability, candidate(rows=with_answers("xgb", said)))["spread"]
    assert found.verdict == "fail"
    assert "largest for xgb" in found.sentence


def test_one_block_has_no_spread() -> None:
    said = results(stability, candidate(rows=only(ROWS.fold == 0)))
    assert {name: one.verdict for name, one in said.items()} == dict.fromkeys(
        NAMES, "not enough evidence"
    )
    assert "one block of time only" in said["spread"].sentence


@pytest.mark.parametrize("symbol", [0, 1])
def test_a_stack_that_is_often_very_sure_is_not_plausible(symbol: int) -> None:
    sure = np.where(SAID > 0.5, 0.75, 0.25)
    said = np.where((ROWS.fold > 0) & (ROWS.symbol == symbol), sure, SAID)
    assert verdicts(stability, candidate(rows=with_answers("stack", said)))["plausible"] == "fail"


@pytest.mark.parametrize("one", [damaged_candidate(), candidate(rows=b"none")])
def test_without_rows_every_gate_answers_that_it_has_none(one: Any) -> None:
    found = results(stability, one)
    assert {name: result.verdict for name, result in found.items()} == dict.fromkeys(
        NAMES, "not enough evidence"
    )
    assert all(result.sentence.endswith(str(one.measured)) for result in found.values())


def test_other_limits_are_kept_and_shown() -> None:
    limits = Limits(fold_auc=0.9, fold_auc_tolerance=0.01, share_within_middle=0.99, fold_spread=0.0)
    said = results(stability, candidate(), limits)
    assert {name: (one.verdict, one.limit) for name, one in said.items()} == {
        "worst_fold": ("fail", ">= 0.89"),
        "worst_year": ("fail", ">= 0.9"),
        "spread": ("fail", "<= 0"),
        "plausible": ("fail", ">= 0.99"),
    }
