"""Longer bars end with the newest bar, whatever the hour, and their row is the same everywhere."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from plugin.bar import Timeframe
from plugin.candles import ABSENT, CLOSE, HIGH, LOW, OPEN, VOLUME, Candles
from plugin.features import LOOKBACK_BARS, REFUSALS, row_of_newest
from plugin.features.feature_set import BASE, LONGER, MULTIPLES, SEQUENCE
from plugin.features.joined import (
    N_JOINED,
    ROW_NAMES,
    columns_of,
    joined_history,
    lookback_of,
    n_columns_of,
    write_joined_row,
)
from plugin.features.longer import longer_row, longer_rows_of_history
from tests.support.windows import random_walk

HOURLY, HOUR_MS = Timeframe.parse("1h"), 3_600_000
FIRST_MS = 1_700_000_000_000 // HOUR_MS * HOUR_MS
N_BARS = 4 * LOOKBACK_BARS + 30


def candles_of(bars: NDArray[np.float64]) -> Candles:
    return Candles("BTC/USDT", HOURLY, FIRST_MS, np.ascontiguousarray(bars))


def row_at(
    bars: NDArray[np.float64], newest: int, multiple: int = 4
) -> tuple[str, NDArray[np.float32]]:
    out = np.empty(len(BASE.names), dtype=np.float32)
    refusal = longer_row(bars, newest, FIRST_MS + newest * HOUR_MS, HOUR_MS, multiple, out)
    return REFUSALS[refusal], out


@pytest.fixture(scope="module")
def bars() -> NDArray[np.float64]:
    return random_walk(N_BARS, seed=11)


@pytest.mark.parametrize("back", range(9))
def test_the_row_is_the_base_row_of_bars_that_pandas_has_merged(
    bars: NDArray[np.float64], back: int
) -> None:
    newest = N_BARS - 1 - back
    some = bars[:, newest + 1 - 4 * LOOKBACK_BARS : newest + 1]
    group = np.arange(some.shape[1]) // 4
    frame = pd.DataFrame(some.T).groupby(group)
    how = {OPEN: "first", HIGH: "max", LOW: "min", CLOSE: "last", VOLUME: "sum", ABSENT: "min"}
    longer = np.ascontiguousarray(np.array([getattr(frame[row], name)() for row, name in how.items()]))
    expected = np.empty(len(SEQUENCE.names), dtype=np.float32)
    opened = FIRST_MS + (newest - 3) * HOUR_MS
    assert row_of_newest(longer, LOOKBACK_BARS - 1, opened, 4 * HOUR_MS, expected) == 0
    refusal, row = row_at(bars, newest)
    assert refusal == "ok"
    np.testing.assert_allclose(row, expected[: len(BASE.names)], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("multiple", MULTIPLES)
def test_live_rows_have_the_bits_of_the_history(multiple: int) -> None:
    n_bars = multiple * LOOKBACK_BARS + 3 * multiple
    bars = random_walk(n_bars, seed=multiple)
    rows, refusals = longer_rows_of_history(candles_of(bars), multiple)
    first = multiple * LOOKBACK_BARS - 1
    assert (refusals[:first] == REFUSALS.index("warming_up")).all()
    for newest in range(first, n_bars):
        window = np.ascontiguousarray(bars[:, newest - first : newest + 1])
        out = np.empty(len(BASE.names), dtype=np.float32)
        opened = FIRST_MS + newest * HOUR_MS
        assert longer_row(window, first, opened, HOUR_MS, multiple, out) == refusals[newest] == 0
        assert out.tobytes() == rows[newest].tobytes()


def test_later_bars_change_nothing(bars: NDArray[np.float64]) -> None:
    whole, _ = longer_rows_of_history(candles_of(bars), 4)
    for end in range(N_BARS - 6, N_BARS):
        rows, _ = longer_rows_of_history(candles_of(bars[:, :end]), 4)
        assert rows.tobytes() == whole[:end].tobytes()


def test_every_bar_of_the_window_counts(bars: NDArray[np.float64]) -> None:
    """The control of the test above: the newest bar itself is seen at once."""
    changed = bars.copy()
    changed[[HIGH, CLOSE], -1] *= 1.02
    assert row_at(changed, N_BARS - 1)[1].tobytes() != row_at(bars, N_BARS - 1)[1].tobytes()


def test_a_longer_bar_is_absent_where_all_of_its_bars_are(bars: NDArray[np.float64]) -> None:
    for n_absent, expected in ((3, "ok"), (4, "gap")):
        some = bars.copy()
        some[ABSENT, -4 - n_absent : -4] = 1.0
        assert row_at(some, N_BARS - 1)[0] == expected


@pytest.mark.parametrize("row", [OPEN, HIGH, LOW, CLOSE, VOLUME])
def test_a_number_that_is_none_refuses_the_row(bars: NDArray[np.float64], row: int) -> None:
    some = bars.copy()
    some[row, -2] = np.nan
    refusal, out = row_at(some, N_BARS - 1)
    assert refusal == "not_finite"
    assert np.isnan(out).all()


def test_a_short_history_is_refused(bars: NDArray[np.float64]) -> None:
    refusal, out = row_at(bars, 4 * LOOKBACK_BARS - 2)
    assert refusal == "warming_up"
    assert np.isnan(out).all()


def test_another_shape_is_refused(bars: NDArray[np.float64]) -> None:
    with pytest.raises(ValueError):
        longer_row(bars, N_BARS - 1, FIRST_MS, HOUR_MS, 4, np.empty(80, dtype=np.float32))


def test_a_row_has_as_many_columns_as_its_members_look_at() -> None:
    assert n_columns_of(["base", "cross"]) == N_JOINED
    for multiple, longer in LONGER.items():
        n_columns = n_columns_of(["base", longer.name])
        assert ROW_NAMES[:n_columns][-len(BASE.names) :] == longer.names
        assert lookback_of(n_columns) == longer.lookback == multiple * LOOKBACK_BARS
        assert columns_of(longer.name).tolist() == list(range(n_columns - len(BASE.names), n_columns))


def test_a_joined_row_ends_with_the_longer_bars(bars: NDArray[np.float64]) -> None:
    own, others = candles_of(bars), [candles_of(random_walk(N_BARS, seed=seed)) for seed in (1, 2, 3)]
    n_columns = n_columns_of(["base_x4"])
    rows, refused = joined_history(own, others, n_columns)
    narrow, _ = joined_history(own, others)
    newest = N_BARS - 1
    out = np.empty(n_columns, dtype=np.float32)
    windows = [(other.bars, newest) for other in others]
    opened = FIRST_MS + newest * HOUR_MS
    assert write_joined_row((own.bars, newest), windows, opened, HOUR_MS, out) == ""
    assert not refused[newest]
    assert out.tobytes() == rows[newest].tobytes()
    assert out[:N_JOINED].tobytes() == narrow[newest].tobytes()
    assert out[N_JOINED:].tobytes() == row_at(bars, newest)[1].tobytes()
    too_short = 4 * LOOKBACK_BARS - 2
    windows = [(other.bars, too_short) for other in others]
    opened = FIRST_MS + too_short * HOUR_MS
    assert write_joined_row((own.bars, too_short), windows, opened, HOUR_MS, out) == "x4_warming_up"
    assert refused[too_short]
