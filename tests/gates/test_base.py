"""Every comparison from both sides of its limit, and what is no number never passes."""

import math
from collections.abc import Callable

import pytest

from gates.base import above, at_least, at_most, below, not_known
from plugin.manifest import GateResult

Comparison = Callable[..., GateResult]
LIMIT = 0.5
JUST_BELOW, JUST_ABOVE = math.nextafter(LIMIT, 0.0), math.nextafter(LIMIT, 1.0)


@pytest.mark.parametrize(
    ("comparison", "low", "equal", "high"),
    [
        (at_least, "fail", "pass", "pass"),
        (above, "fail", "fail", "pass"),
        (below, "pass", "fail", "fail"),
        (at_most, "pass", "pass", "fail"),
    ],
)
def test_both_sides_of_a_limit(comparison: Comparison, low: str, equal: str, high: str) -> None:
    said = [comparison("any", "live", value, LIMIT, "it") for value in (JUST_BELOW, LIMIT, JUST_ABOVE)]
    assert [result.verdict for result in said] == [low, equal, high]
    assert [result.value for result in said] == [JUST_BELOW, LIMIT, JUST_ABOVE]


@pytest.mark.parametrize("comparison", [at_least, above, below, at_most])
@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_no_evidence(comparison: Comparison, value: float | None) -> None:
    result = comparison("any", "shadow", value, LIMIT, "share of rain")
    assert (result.verdict, result.value) == ("not enough evidence", None)
    assert result.sentence == "share of rain: not measured"


@pytest.mark.parametrize("comparison", [at_least, above, below, at_most])
def test_why_a_value_is_not_known_is_said(comparison: Comparison) -> None:
    result = comparison("any", "live", None, LIMIT, "share of rain", "it did not rain")
    assert result.sentence == "share of rain: it did not rain"


@pytest.mark.parametrize(
    ("comparison", "limit"),
    [(at_least, ">= 0.5"), (above, "> 0.5"), (below, "< 0.5"), (at_most, "<= 0.5")],
)
def test_a_result_says_what_was_expected_and_what_was_found(comparison: Comparison, limit: str) -> None:
    result = comparison("rain", "shadow", 0.25, 0.5, "share of rain")
    assert (result.name, result.level, result.limit) == ("rain", "shadow", limit)
    assert result.sentence == f"share of rain: expected {limit}, was 0.25"


def test_large_numbers_are_written_for_people() -> None:
    assert at_least("rows", "live", 3720, 20_000, "rows").sentence == (
        "rows: expected >= 20,000, was 3,720"
    )


def test_nothing_to_judge_is_no_evidence() -> None:
    result = not_known("any", "live", "a limit", "why")
    assert (result.verdict, result.value, result.sentence) == ("not enough evidence", None, "why")
