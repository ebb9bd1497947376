"""What a label says, and when nobody can know it yet."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugin.candles import Candles, on_grid
from tests.support.windows import HOUR_MS, HOURLY, MONDAY_MS
from training.labels import label_direction


def candles_at(closes: dict[int, float]) -> Candles:
    """Flat bars at these closes; the slots between that have none are absent."""
    slots = np.array(sorted(closes), dtype=np.int64)
    close = np.array([closes[slot] for slot in slots.tolist()])
    ohlcv = np.stack([close, close, close, close, np.ones(close.size)])
    return on_grid("TEST/USDT", HOURLY, MONDAY_MS + slots * HOUR_MS, ohlcv)


def closes(*values: float) -> Candles:
    return candles_at(dict(enumerate(values)))


def test_a_label_compares_the_close_with_the_one_h_bars_later() -> None:
    labels = label_direction(closes(100.0, 101.0, 102.0, 99.0, 103.0), horizon=2)
    np.testing.assert_array_equal(labels.up, [1.0, 0.0, 1.0, np.nan, np.nan])
    np.testing.assert_allclose(
        labels.forward_return[:3], [np.log(1.02), np.log(99 / 101), np.log(103 / 102)]
    )
    np.testing.assert_array_equal(labels.known, [True, True, True, False, False])


def test_an_equal_close_is_not_up() -> None:
    labels = label_direction(closes(100.0, 100.0, 100.0), horizon=1)
    np.testing.assert_array_equal(labels.up[:2], [0.0, 0.0])
    np.testing.assert_array_equal(labels.forward_return[:2], [0.0, 0.0])


def test_a_label_ends_when_the_later_bar_closes() -> None:
    labels = label_direction(closes(100.0, 101.0, 102.0), horizon=2)
    opened = MONDAY_MS + HOUR_MS * np.arange(3)
    np.testing.assert_array_equal(labels.label_end_ms, opened + 2 * HOUR_MS + HOUR_MS)


def test_an_absent_bar_has_no_label_and_gives_none() -> None:
    with_gap = candles_at({0: 100.0, 1: 101.0, 3: 103.0, 4: 104.0})
    np.testing.assert_array_equal(label_direction(with_gap, 1).up, [1, np.nan, np.nan, 1, np.nan])
    np.testing.assert_array_equal(label_direction(with_gap, 2).up, [np.nan, 1, np.nan, np.nan, np.nan])
    forward_return = label_direction(with_gap, 1).forward_return
    np.testing.assert_array_equal(np.isnan(forward_return), [False, True, True, False, True])


@pytest.mark.parametrize("horizon", [1, 5, 24, 30, 31, 100])
def test_the_last_h_bars_are_unknown(horizon: int) -> None:
    n_bars = 30
    labels = label_direction(closes(*(100.0 + np.arange(n_bars))), horizon)
    n_known = max(0, n_bars - horizon)
    np.testing.assert_array_equal(labels.known, np.arange(n_bars) < n_known)
    np.testing.assert_array_equal(np.isnan(labels.forward_return), ~labels.known)


@pytest.mark.parametrize("horizon", [0, -1])
def test_a_horizon_below_one_bar_is_refused(horizon: int) -> None:
    with pytest.raises(ValueError, match=f"at least one bar, was {horizon}"):
        label_direction(closes(100.0, 101.0), horizon)


@settings(deadline=None)
@given(
    values=st.lists(st.sampled_from([99.0, 100.0, 101.0]), min_size=1, max_size=40),
    absent=st.sets(st.integers(1, 38)),
    horizon=st.integers(1, 6),
)
def test_labels_agree_with_the_definition_bar_by_bar(
    values: list[float], absent: set[int], horizon: int
) -> None:
    present = {slot: value for slot, value in enumerate(values) if slot not in absent}
    labels = label_direction(candles_at(present), horizon)
    for slot in range(max(present) + 1):
        if slot in present and slot + horizon in present:
            assert labels.up[slot] == float(present[slot + horizon] > present[slot])
        else:
            assert np.isnan(labels.up[slot])


@settings(deadline=None)
@given(cut=st.integers(10, 60), horizon=st.integers(1, 9))
def test_a_known_label_never_changes_when_bars_arrive(cut: int, horizon: int) -> None:
    random = np.random.default_rng(cut)
    path = 100.0 + np.cumsum(random.normal(size=60))
    before, after = (
        label_direction(closes(*path[:cut]), horizon),
        label_direction(closes(*path), horizon),
    )
    np.testing.assert_array_equal(before.up[before.known], after.up[:cut][before.known])
