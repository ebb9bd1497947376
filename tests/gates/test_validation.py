"""The newest block against those before it: within the limit, shown to lie beyond it, or neither."""

import math
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from gates.limits import LIMITS
from gates.out_of_fold import OutOfFoldRows
from gates.validation import validation_test
from plugin.manifest import GateResult
from shadow.statistics import auc_interval
from tests.support.candidates import (
    answers_of,
    candidate,
    damaged_candidate,
    good_rows,
    results,
    with_answers,
)

ROWS = good_rows()
NEWEST = ROWS.fold == 3
SAID = answers_of("stack")
UP = ROWS.up[:, 0].astype(float)


def judged(rows: OutOfFoldRows | bytes | None = None, limit: float = 0.02, **more: Any) -> GateResult:
    limits = msgspec.structs.replace(LIMITS, validation_test=limit)
    return results(validation_test, candidate(rows=rows, **more), limits)["validation_test"]


def test_good_rows_pass_at_the_level_live() -> None:
    found = judged()
    assert (found.verdict, found.level, found.limit) == ("pass", "live", "within 0.02")


def test_the_value_is_test_less_validation_on_the_symbol_where_it_is_largest() -> None:
    def area(rows: np.ndarray[Any, Any]) -> float:
        return auc_interval(SAID[rows], UP[rows], 5, (ROWS.known_from_ms // 3_600_000)[rows]).estimate

    earlier = (ROWS.fold > 0) & ~NEWEST
    apart = [area(NEWEST & (ROWS.symbol == n)) - area(earlier & (ROWS.symbol == n)) for n in (0, 1)]
    assert judged().value == pytest.approx(max(apart, key=abs), abs=1e-12)


def test_both_sides_of_the_limit() -> None:
    """A point beyond the limit, whose interval is not, is neither passed nor failed."""
    value = judged().value
    assert isinstance(value, float)
    assert judged(limit=abs(value)).verdict == "pass"
    assert judged(limit=math.nextafter(abs(value), 0.0)).verdict == "not enough evidence"


@pytest.mark.parametrize("better", [NEWEST, ~NEWEST])
def test_both_ends_of_the_interval(better: np.ndarray[Any, Any]) -> None:
    """The stack knows more on one side of the boundary; it fails where the interval lies beyond."""
    told = np.where(better, np.clip(SAID + 0.1 * (UP - 0.5), 0.0, 1.0), SAID)
    rows = with_answers("stack", told)
    value = judged(rows).value
    assert isinstance(value, float)
    assert (value > 0) == bool(better[-1])
    half_width = float(judged(rows).sentence.split("± ")[1].split()[0])
    assert judged(rows, limit=abs(value) - half_width - 0.001).verdict == "fail"
    assert judged(rows, limit=abs(value) - half_width + 0.001).verdict == "not enough evidence"
    assert judged(rows, limit=abs(value) + 0.001).verdict == "pass"


@pytest.mark.parametrize("symbol", [0, 1])
def test_the_symbol_that_does_worst_counts(symbol: int) -> None:
    said = np.where(NEWEST & (ROWS.symbol == symbol), 1.0 - SAID, SAID)
    found = judged(with_answers("stack", said))
    assert found.verdict == "fail"
    assert "on its worst of 2 symbols" in found.sentence


def test_a_newest_block_that_is_too_short_is_no_evidence() -> None:
    """At five bars, forty bars with a label are the fewest."""
    few = np.flatnonzero(NEWEST)[39 * 2 :]
    up = ROWS.up.copy()
    up[few] = np.nan
    found = judged(replace(ROWS, up=up))
    assert found.verdict == "not enough evidence"
    assert "39 bars with an outcome are too few" in found.sentence


def test_no_blocks_before_it_are_no_evidence() -> None:
    two = ROWS.fold < 2
    cut = {name: getattr(ROWS, name)[two] for name in ("symbol", "known_from_ms", "fold", "up")}
    assert judged(replace(ROWS, probability=ROWS.probability[two], **cut)).verdict == (
        "not enough evidence"
    )


def test_a_stack_that_is_constant_in_one_block_is_no_evidence() -> None:
    flat = with_answers("stack", np.where(NEWEST, 0.5, SAID))
    assert judged(flat).verdict == "not enough evidence"


@pytest.mark.parametrize("one", [damaged_candidate(), candidate(rows=b"none")])
def test_without_rows_there_is_no_evidence(one: Any) -> None:
    found = results(validation_test, one)["validation_test"]
    assert (found.verdict, found.value) == ("not enough evidence", None)
