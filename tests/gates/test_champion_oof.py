"""Not worse than the champion on the bars that both were judged on, pair by pair."""

import math
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from gates.base import Incumbent
from gates.champion_oof import not_worse
from gates.limits import LIMITS
from gates.out_of_fold import OutOfFoldRows
from plugin.manifest import GateResult
from shadow.statistics import mean_interval
from tests.support.candidates import (
    answers_of,
    candidate,
    champion,
    damaged_candidate,
    good_rows,
    results,
    with_answers,
)
from tests.support.records import HOUR_MS, START_MS

ROWS = good_rows()
COMMON = ROWS.fold > 0
SAID = answers_of("stack")
UP = ROWS.up[:, 0].astype(float)
RANDOM = np.random.default_rng(8)
NOISY = with_answers("stack", np.clip(SAID + RANDOM.normal(0.0, 0.05, SAID.size), 0.0, 1.0))
MARGIN = LIMITS.oof_brier_margin


def judged(
    beside: Incumbent | None, rows: OutOfFoldRows | None = None, margin: float = MARGIN
) -> GateResult:
    limits = msgspec.structs.replace(LIMITS, oof_brier_margin=margin)
    found = results(not_worse, candidate(rows=rows, champion=beside), limits)["not_worse"]
    assert (found.level, found.limit) == ("live", f"<= {margin:.6g}")
    return found


def interval(candidate_says: OutOfFoldRows) -> tuple[float, float]:
    own = candidate_says.probability[COMMON, 0, -1].astype(float)
    difference = (own - UP[COMMON]) ** 2 - (SAID[COMMON] - UP[COMMON]) ** 2
    found = mean_interval(difference, 5, ROWS.known_from_ms[COMMON] // HOUR_MS)
    return found.low, found.high


def only(rows: OutOfFoldRows, which: np.ndarray[Any, Any]) -> OutOfFoldRows:
    cut = {name: getattr(rows, name)[which] for name in ("symbol", "known_from_ms", "fold", "up")}
    return replace(rows, probability=rows.probability[which], **cut)


def test_without_a_champion_there_is_nobody_to_be_worse_than() -> None:
    found = judged(None)
    assert (found.verdict, found.sentence) == ("pass", "there is no champion to be worse than")


def test_without_rows_there_is_no_evidence_even_where_nobody_serves() -> None:
    for one in (damaged_candidate(), candidate(rows=b"none")):
        assert results(not_worse, one)["not_worse"].verdict == "not enough evidence"


def test_the_same_answers_are_not_worse() -> None:
    found = judged(champion(), margin=0.0)
    assert (found.verdict, found.value) == ("pass", 0.0)


def test_both_ends_of_the_interval_against_the_margin() -> None:
    low, high = interval(NOISY)
    assert 0.0 < low < high
    assert judged(champion(), NOISY, high + 1e-9).verdict == "pass"
    assert judged(champion(), NOISY, high - 1e-9).verdict == "not enough evidence"
    assert judged(champion(), NOISY, low + 1e-9).verdict == "not enough evidence"
    assert judged(champion(), NOISY, low - 1e-9).verdict == "fail"
    assert judged(champion(), NOISY).value == pytest.approx(high)


def test_a_better_candidate_passes() -> None:
    found = judged(champion(rows=NOISY))
    assert found.verdict == "pass"
    assert isinstance(found.value, float)
    assert found.value < 0.0


def test_only_bars_that_both_were_judged_on_count() -> None:
    """The champion's history ends before the last block, and it has the symbols turned round."""
    earlier = ROWS.fold < 3
    loud = with_answers("stack", np.where(ROWS.fold == 3, 1.0 - SAID, SAID))
    assert judged(champion(rows=only(ROWS, earlier)), loud, margin=0.0).verdict == "pass"
    turned = np.arange(SAID.size) ^ 1
    swapped = replace(only(ROWS, turned), symbol=ROWS.symbol, symbols=ROWS.symbols[::-1])
    assert judged(champion(rows=swapped), margin=0.0).value == 0.0


def test_a_symbol_that_only_one_of_them_serves_does_not_count() -> None:
    other = replace(ROWS, symbols=np.array(["SOL/USDT", "ETH/USDT"]))
    loud = with_answers("stack", np.where((ROWS.symbol == 0) & COMMON, 1.0 - SAID, SAID))
    assert judged(champion(rows=other), loud, margin=0.0).verdict == "pass"


def test_rows_whose_labels_differ_do_not_count() -> None:
    mended = np.arange(SAID.size) % 100 == 50
    up = np.where(mended[:, None], 1.0 - ROWS.up, ROWS.up).astype(np.float32)
    assert judged(champion(rows=replace(ROWS, up=up)), margin=0.0).value == 0.0


@pytest.mark.parametrize(
    ("beside", "why"),
    [
        (Incumbent(candidate().folder, None, "lgb_h5.txt: other bytes"), "lgb_h5.txt: other bytes"),
        (champion(rows=b"none"), "can not be used"),
        (
            champion(rows=replace(ROWS, known_from_ms=ROWS.known_from_ms + 20_000 * HOUR_MS)),
            "no row that both",
        ),
        (champion(rows=replace(ROWS, symbols=np.array(["A/B", "C/D"]))), "no row that both"),
        (champion(rows=replace(ROWS, horizons=np.array([7, 12]))), "does not look 5 bars ahead"),
    ],
)
def test_a_champion_that_can_not_be_compared_is_no_evidence(beside: Incumbent, why: str) -> None:
    found = judged(beside)
    assert (found.verdict, found.value) == ("not enough evidence", None)
    assert why in found.sentence


def test_bars_of_another_length_are_not_compared() -> None:
    slow = replace(ROWS, known_from_ms=START_MS + 2 * (ROWS.known_from_ms - START_MS))
    found = judged(champion(rows=slow, timeframe="2h"))
    assert "bars are of another length" in found.sentence


@pytest.mark.parametrize("rows", [NOISY, None])
def test_few_common_rows_are_no_evidence(rows: OutOfFoldRows | None) -> None:
    """At five bars, forty bars are the fewest: also for answers that are all the same."""
    last = np.arange(SAID.size)[-39 * 2 :]
    up = np.full_like(ROWS.up, np.nan)
    up[last] = ROWS.up[last]
    found = judged(champion(rows=replace(ROWS, up=up)), rows, margin=math.inf)
    assert found.verdict == "not enough evidence"
    assert "39 bars" in found.sentence
