"""Nothing that a model learns from may touch what it is judged on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from plugin.errors import WrongUse
from tests.support.small_training import HOUR_MS
from training.splits import Fold, apart, chronological, fold_boundaries, walk_forward


@dataclass(frozen=True)
class Rows:
    """Rows of some symbols in time order, and a walk-forward to make of them."""

    known_from_ms: NDArray[np.int64]
    label_end_ms: NDArray[np.int64]
    first_test_ms: int
    n_folds: int
    embargo_ms: int

    @property
    def end_ms(self) -> int:
        return int(self.known_from_ms[-1]) + HOUR_MS

    def boundaries_ms(self) -> list[int]:
        return fold_boundaries(self.first_test_ms, self.end_ms, self.n_folds, HOUR_MS)

    def folds(self) -> list[Fold]:
        return walk_forward(
            self.known_from_ms, self.label_end_ms, self.boundaries_ms(), self.embargo_ms
        )


@st.composite
def some_rows(draw: st.DrawFn) -> Rows:
    """Gaps in every symbol, equal times between symbols, a label horizon of its own for each row."""
    n_bars, n_symbols = draw(st.integers(80, 160)), draw(st.integers(1, 3))
    embargo_bars, horizon = draw(st.integers(0, 10)), draw(st.integers(1, 12))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    present = random.random((n_symbols, n_bars)) < draw(st.floats(0.7, 1.0))
    # A symbol without a gap, so that no side of a fold can be empty.
    present[0] = True
    bar = np.sort(np.nonzero(present)[1])
    known_from_ms = (bar + 1) * HOUR_MS
    label_end_ms = known_from_ms + random.integers(1, horizon + 1, bar.size) * HOUR_MS
    n_folds = draw(st.integers(1, 6))
    first_test_ms = (embargo_bars + horizon + draw(st.integers(4, 40))) * HOUR_MS
    return Rows(known_from_ms, label_end_ms, first_test_ms, n_folds, embargo_bars * HOUR_MS)


def for_any_rows(test: Callable[..., None]) -> Callable[..., None]:
    """Run the test on many walk-forwards; a busy machine makes none of them fail."""
    return settings(deadline=None)(given(rows=some_rows())(test))


def check_nothing_touches(folds: Sequence[Fold], rows: Rows) -> None:
    """No training row's [known, label end] meets a test block widened by the embargo on both sides."""
    for fold in folds:
        opens = fold.test_start_ms - rows.embargo_ms
        closes = fold.test_end_ms + rows.embargo_ms
        for row in fold.train.tolist():
            ends_before = rows.label_end_ms[row] < opens
            begins_after = rows.known_from_ms[row] > closes
            assert ends_before or begins_after, f"row {row} meets the test block of fold {fold.number}"


@for_any_rows
def test_no_training_row_meets_its_test_block(rows: Rows) -> None:
    check_nothing_touches(rows.folds(), rows)


@for_any_rows
def test_the_check_itself_finds_a_splitter_that_does_not_purge(rows: Rows) -> None:
    unpurged = [
        replace(fold, train=np.flatnonzero(rows.known_from_ms < fold.test_start_ms))
        for fold in rows.folds()
    ]
    with pytest.raises(AssertionError, match="meets the test block"):
        check_nothing_touches(unpurged, rows)


@for_any_rows
def test_the_check_itself_finds_a_splitter_without_an_embargo(rows: Rows) -> None:
    # Further than any label reaches, so that the last row before the block is sure to be met.
    widened = replace(rows, embargo_ms=rows.embargo_ms + 14 * HOUR_MS)
    folds = walk_forward(rows.known_from_ms, rows.label_end_ms, rows.boundaries_ms(), 0)
    with pytest.raises(AssertionError, match="meets the test block"):
        check_nothing_touches(folds, widened)


@for_any_rows
def test_every_row_that_is_clear_and_earlier_is_learnt_from(rows: Rows) -> None:
    for fold in rows.folds():
        clear = rows.label_end_ms + rows.embargo_ms < fold.test_start_ms
        np.testing.assert_array_equal(fold.train, np.flatnonzero(clear))


@for_any_rows
def test_every_row_from_the_first_block_on_is_tested_exactly_once(rows: Rows) -> None:
    folds = rows.folds()
    tested = np.concatenate([fold.test for fold in folds])
    np.testing.assert_array_equal(tested, np.flatnonzero(rows.known_from_ms >= rows.first_test_ms))
    for fold in folds:
        times = rows.known_from_ms[fold.test]
        assert fold.test_start_ms <= times.min() and times.max() < fold.test_end_ms


@for_any_rows
def test_blocks_are_as_many_as_asked_in_order_and_without_a_hole(rows: Rows) -> None:
    folds = rows.folds()
    assert [fold.number for fold in folds] == list(range(rows.n_folds))
    assert folds[0].test_start_ms == rows.first_test_ms
    assert folds[-1].test_end_ms == rows.end_ms
    for earlier, later in pairwise(folds):
        assert earlier.test_end_ms == later.test_start_ms


@for_any_rows
def test_training_blocks_expand(rows: Rows) -> None:
    folds = rows.folds()
    for earlier, later in pairwise(folds):
        assert set(earlier.train) < set(later.train)


@settings(deadline=None)
@given(first=st.integers(0, 500), n_bars=st.integers(1, 500), n_folds=st.integers(1, 20))
def test_blocks_are_equal_but_for_one_bar(first: int, n_bars: int, n_folds: int) -> None:
    if n_bars < n_folds:
        with pytest.raises(WrongUse, match="longer history or fewer folds"):
            fold_boundaries(first * HOUR_MS, (first + n_bars) * HOUR_MS, n_folds, HOUR_MS)
        return
    boundaries = fold_boundaries(first * HOUR_MS, (first + n_bars) * HOUR_MS, n_folds, HOUR_MS)
    bars = np.diff(boundaries) / HOUR_MS
    assert (boundaries[0], boundaries[-1]) == (first * HOUR_MS, (first + n_bars) * HOUR_MS)
    assert set(bars) <= {n_bars // n_folds, n_bars // n_folds + 1}


@pytest.mark.parametrize("n_folds", [0, -1])
def test_less_than_one_fold_is_wrong_use(n_folds: int) -> None:
    with pytest.raises(WrongUse):
        fold_boundaries(0, 100 * HOUR_MS, n_folds, HOUR_MS)


def test_a_history_that_ends_before_the_first_block_is_wrong_use() -> None:
    with pytest.raises(WrongUse, match="was 0 bars after the first training block"):
        fold_boundaries(200 * HOUR_MS, 100 * HOUR_MS, 1, HOUR_MS)


def test_a_label_that_ends_as_the_embargo_begins_is_purged_and_one_that_ends_before_is_not() -> None:
    known, end = np.array([0, 0, 0, 90]), np.array([39, 40, 41, 95])
    np.testing.assert_array_equal(
        apart(known, end, test_start_ms=50, test_end_ms=60, embargo_ms=10), [True, False, False, True]
    )


def test_a_row_after_the_test_block_waits_for_the_embargo() -> None:
    known = np.array([59, 60, 70, 71])
    np.testing.assert_array_equal(
        apart(known, known + 5, test_start_ms=50, test_end_ms=60, embargo_ms=10),
        [False, False, False, True],
    )


def test_a_label_that_spans_the_whole_test_block_is_purged() -> None:
    assert not apart(np.array([0]), np.array([1000]), 50, 60, 0).any()


@pytest.mark.parametrize(
    ("boundaries_ms", "was"),
    [
        ([5, 20, 40], "0 and 15 in fold 0"),
        ([20, 40, 400, 500], "0 in fold 2"),
    ],
)
def test_a_fold_with_an_empty_side_is_wrong_use(boundaries_ms: list[int], was: str) -> None:
    times = np.arange(100)
    with pytest.raises(WrongUse, match=was):
        walk_forward(times, times + 5, boundaries_ms, embargo_ms=0)


def test_a_history_eaten_up_by_the_embargo_is_wrong_use() -> None:
    times = np.arange(100)
    with pytest.raises(WrongUse, match="use a longer history"):
        walk_forward(times, times + 5, [50, 100], embargo_ms=60)


def test_unordered_rows_are_wrong_use() -> None:
    times = np.array([1, 2, 4, 3, 5])
    with pytest.raises(WrongUse, match="unordered rows"):
        walk_forward(times, times + 1, [4, 6], embargo_ms=0)


SHARES = [(0.7, 0.15, 0.15), (0.6, 0.1, 0.3)]
Three = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]


def four_times(rows: Rows) -> Rows:
    """The rows once more, three times: a block of a tenth holds what purge and embargo take of it."""
    shifts = np.arange(4)[:, None] * int(rows.end_ms - rows.known_from_ms[0])
    return replace(
        rows,
        known_from_ms=(shifts + rows.known_from_ms).ravel(),
        label_end_ms=(shifts + rows.label_end_ms).ravel(),
    )


def check_blocks_are_clear(blocks: Three, rows: Rows) -> None:
    """No label of an earlier block ends within the embargo before the next one, or later."""
    for earlier, later in pairwise(blocks):
        opens = rows.known_from_ms[later].min() - rows.embargo_ms
        assert (rows.label_end_ms[earlier] < opens).all(), "a label meets the next block"


@pytest.mark.parametrize("shares", SHARES)
@for_any_rows
def test_of_three_blocks_none_reaches_into_the_next(
    shares: tuple[float, float, float], rows: Rows
) -> None:
    rows = four_times(rows)
    blocks = chronological(rows.known_from_ms, rows.label_end_ms, shares, rows.embargo_ms)
    check_blocks_are_clear(blocks, rows)


@for_any_rows
def test_the_check_itself_finds_three_blocks_without_a_purge(rows: Rows) -> None:
    instant = chronological(rows.known_from_ms, rows.known_from_ms, SHARES[0], 0)
    with pytest.raises(AssertionError, match="meets the next block"):
        check_blocks_are_clear(instant, rows)


@pytest.mark.parametrize("shares", SHARES)
def test_three_blocks_have_the_shares_that_were_asked_for_but_for_the_purge(
    shares: tuple[float, float, float],
) -> None:
    times = np.arange(1000) * HOUR_MS
    train, validation, test = chronological(times, times + 3 * HOUR_MS, shares, 2 * HOUR_MS)
    ends = [round(1000 * shares[0]), round(1000 * (shares[0] + shares[1]))]
    # Labels of 3 bars and an embargo of 2: the last five rows before a block are left out.
    np.testing.assert_array_equal(train, np.arange(ends[0] - 5))
    np.testing.assert_array_equal(validation, np.arange(ends[0], ends[1] - 5))
    np.testing.assert_array_equal(test, np.arange(ends[1], 1000))


def test_rows_of_one_time_stay_in_one_of_three_blocks() -> None:
    times = np.repeat(np.arange(50), 3) * HOUR_MS
    blocks = chronological(times, times, SHARES[0], 0)
    found = [set(times[block].tolist()) for block in blocks]
    assert not (found[0] & found[1] or found[1] & found[2] or found[0] & found[2])
    assert sum(len(block) for block in blocks) > 140


@pytest.mark.parametrize("shares", [(0.7, 0.15, 0.1), (0.8, 0.2, 0.0), (1.2, -0.1, -0.1)])
def test_shares_that_are_none_are_wrong_use(shares: tuple[float, float, float]) -> None:
    times = np.arange(100)
    with pytest.raises(WrongUse, match="add up to 1"):
        chronological(times, times, shares, 0)


@pytest.mark.parametrize(("n_rows", "embargo_ms"), [(0, 0), (2, 0), (100, 20), (100, 90)])
def test_too_few_rows_for_three_blocks_are_wrong_use(n_rows: int, embargo_ms: int) -> None:
    times = np.arange(n_rows)
    with pytest.raises(WrongUse, match="longer history"):
        chronological(times, times, SHARES[0], embargo_ms)


def test_unordered_rows_can_not_be_cut_in_three() -> None:
    with pytest.raises(WrongUse, match="unordered rows"):
        chronological(np.array([1, 3, 2, 4]), np.array([2, 4, 3, 5]), SHARES[0], 0)
