"""The longer bars are the complete ones of the UTC grid, made from the window alone."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from plugin.candles import CLOSE, HIGH, LOW, OPEN
from plugin.features import LOOKBACK_BARS, SEQUENCE, row_of_newest
from plugin.features.next_timeframe import NAMES
from tests.support.windows import HOUR_MS, MONDAY_MS, random_walk


def longer_row(bars: NDArray[np.float64], open_time_ms: int) -> NDArray[np.float32]:
    out = np.empty(len(SEQUENCE.names), dtype=np.float32)
    assert row_of_newest(bars, bars.shape[1] - 1, open_time_ms, HOUR_MS, out) == 0
    return out[-len(NAMES) :]


def longer_bars(bars: NDArray[np.float64], open_time_ms: int) -> NDArray[np.float64]:
    """High, low, close (3, 127) of the newest complete four-hour bars, put together one by one."""
    open_times = open_time_ms + HOUR_MS * np.arange(1 - LOOKBACK_BARS, 1)
    members: dict[int, list[int]] = {}
    for at, time_ms in enumerate(open_times):
        members.setdefault(int(time_ms) // (4 * HOUR_MS), []).append(at)
    whole = [columns for _, columns in sorted(members.items()) if len(columns) == 4][-127:]
    return np.array([(bars[HIGH, c].max(), bars[LOW, c].min(), bars[CLOSE, c[-1]]) for c in whole]).T


@pytest.mark.parametrize("hour", range(8))
def test_features_agree_with_numpy_at_every_phase_of_the_grid(hour: int) -> None:
    bars = random_walk(LOOKBACK_BARS, seed=hour)
    open_time_ms = MONDAY_MS + hour * HOUR_MS
    high, low, close = longer_bars(bars, open_time_ms)
    logs, returns = np.log(close), np.diff(np.log(close))
    unit = returns[-48:].std()
    moves = np.diff(close)
    gain, loss = moves[:14].clip(0).mean(), (-moves[:14]).clip(0).mean()
    for move in moves[14:]:
        gain, loss = (gain * 13 + max(move, 0)) / 14, (loss * 13 + max(-move, 0)) / 14
    bottom, top = low[-20:].min(), high[-20:].max()
    expected = [(logs[-1] - logs[-1 - k]) / unit / k**0.5 for k in (1, 6, 24)]
    expected += [
        100 * gain / (gain + loss),
        np.log(close[-1] / close[-20:].mean()) / unit / 20**0.5,
        (close[-1] - bottom) / (top - bottom),
        np.log(returns[-6:].std() / unit),
    ]
    np.testing.assert_allclose(longer_row(bars, open_time_ms), expected, rtol=2e-6)


@pytest.mark.parametrize(("hour", "n_incomplete"), [(3, 0), (4, 1), (5, 2), (6, 3), (7, 0)])
def test_bars_of_an_incomplete_longer_bar_are_not_seen(hour: int, n_incomplete: int) -> None:
    bars = random_walk(LOOKBACK_BARS)
    open_time_ms = MONDAY_MS + hour * HOUR_MS
    before = longer_row(bars, open_time_ms)
    bars[OPEN : CLOSE + 1, LOOKBACK_BARS - n_incomplete :] *= 1.01
    assert longer_row(bars, open_time_ms).tobytes() == before.tobytes()
    bars[OPEN : CLOSE + 1, LOOKBACK_BARS - n_incomplete - 1] *= 1.01
    assert longer_row(bars, open_time_ms).tobytes() != before.tobytes()
