"""The features that TA-Lib does not have mean what docs/features.md says: written out in numpy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from plugin.candles import ABSENT, CLOSE, HIGH, LOW, OPEN, VOLUME
from plugin.features import BASE, LOOKBACK_BARS, SEQUENCE, row_of_newest
from tests.plugin.features.test_against_talib import talib_row
from tests.support.windows import HOUR_MS, MONDAY_MS, deaden, random_walk

N_READ = 200  # no feature compared here reads more bars, but for the rank and the absent share
OPEN_TIME_MS = MONDAY_MS + (4 * 24 + 6) * HOUR_MS  # a Friday, 06:00


def values_of(bars: NDArray[np.float64]) -> dict[str, float]:
    out = np.empty(len(SEQUENCE.names), dtype=np.float32)
    assert row_of_newest(bars, bars.shape[1] - 1, OPEN_TIME_MS, HOUR_MS, out) == 0
    return dict(zip(SEQUENCE.names, map(float, out), strict=True))


def expected_prices(bars: NDArray[np.float64]) -> dict[str, float]:
    open_, high, low, close, volume = bars[: VOLUME + 1, -N_READ:]
    log_close = np.log(close)
    unit = np.diff(log_close)[-72:].std()
    location = ((close - low) - (high - close)) / (high - low)
    top, bottom = np.maximum(open_, close), np.minimum(open_, close)
    typical = (high + low + close) / 3
    vwap = (typical * volume)[-168:].sum() / volume[-168:].sum()
    span = (high - low)[-1]
    return {
        **{
            f"return_{k}": (log_close[-1] - log_close[-1 - k]) / unit / k**0.5
            for k in (1, 2, 3, 4, 5, 6, 8, 12, 24, 48, 72, 168)
        },
        "body": (close - open_)[-1] / span,
        "upper_wick": (high - top)[-1] / span,
        "lower_wick": (bottom - low)[-1] / span,
        "close_location": location[-1],
        "close_location_5": location[-5:].mean(),
        "wick_balance_24": ((bottom - low) - (high - top))[-24:].sum() / (high - low)[-24:].sum(),
        "vwap_distance_168": math.log(close[-1] / vwap) / unit / 168**0.5,
        "efficiency_ratio_24": (close[-1] - close[-25]) / np.abs(np.diff(close[-25:])).sum(),
    }


def expected_volatility(bars: NDArray[np.float64]) -> dict[str, float]:
    returns = np.diff(np.log(bars[CLOSE]))
    up, down, body = (np.log(bars[row, -24:] / bars[OPEN, -24:]) for row in (HIGH, LOW, CLOSE))
    vol_24 = returns[-24:].std()
    parkinson = math.sqrt(np.mean((up - down) ** 2) / (4 * math.log(2)))
    garman_klass = math.sqrt(np.mean(0.5 * (up - down) ** 2 - (2 * math.log(2) - 1) * body**2))
    rogers_satchell = math.sqrt(np.mean(up * (up - body) + down * (down - body)))
    energy = np.lib.stride_tricks.sliding_window_view(returns**2, 24).sum(axis=1)
    falls = returns[-24:].clip(max=0)
    return {
        "realised_vol_20": returns[-20:].std(),
        "vol_ratio_5_72": math.log(returns[-5:].std() / returns[-72:].std()),
        "vol_ratio_24_168": math.log(vol_24 / returns[-168:].std()),
        "vol_rank_24": float(np.mean(energy[:-1] < energy[-1])),
        "parkinson_ratio_24": math.log(parkinson / vol_24),
        "garman_klass_vol_24": garman_klass,
        "rogers_satchell_ratio_24": math.log(rogers_satchell / vol_24),
        "downside_share_24": (falls**2).sum() / (returns[-24:] ** 2).sum(),
        "skew_72": stats.skew(returns[-72:]),
        "kurtosis_72": stats.kurtosis(returns[-72:]),
    }


def expected_volume_and_order(bars: NDArray[np.float64]) -> dict[str, float]:
    _, high, low, close, volume = bars[: VOLUME + 1, -N_READ:]
    returns = np.concatenate([[0.0], np.diff(np.log(close))])
    signed = volume * np.sign(returns)
    dollars = (high + low + close) / 3 * volume
    impact = np.abs(returns) / dollars
    location = ((close - low) - (high - close)) / (high - low)
    late = returns[-72:] - returns[-72:].mean()
    log_close = np.log(close[-169:])
    long = (log_close[4:] - log_close[:-4]) - 4 * returns[-168:].mean()
    direction = np.sign(returns[::-1])
    run = int(np.argmax(direction != direction[0]))
    return {
        "volume_z_72": (volume[-1] - volume[-72:].mean()) / volume[-72:].std(),
        "volume_ratio_5_72": math.log(volume[-5:].mean() / volume[-72:].mean()),
        "signed_volume_5": signed[-5:].sum() / volume[-5:].sum(),
        "signed_volume_24": signed[-24:].sum() / volume[-24:].sum(),
        "obv_slope_24": np.polyfit(np.arange(24), signed[-24:].cumsum(), 1)[0] / volume[-24:].mean(),
        "chaikin_money_flow_20": (location * volume)[-20:].sum() / volume[-20:].sum(),
        "amihud_ratio_12_96": math.log(impact[-12:].mean() / impact[-96:].mean()),
        "autocorrelation_72": (late[1:] * late[:-1]).sum() / (late**2).sum(),
        "variance_ratio_4_168": np.mean(long**2) / 4 / returns[-168:].var() - 1,
        "run_length": direction[0] * run,
        "up_share_24": np.mean(returns[-24:] > 0),
        "hour_sin": 1.0,
        "hour_cos": 0.0,
        "weekday_sin": math.sin(2 * math.pi * 4 / 7),
        "weekday_cos": math.cos(2 * math.pi * 4 / 7),
        "absent_share": bars[ABSENT].mean(),
    }


@pytest.mark.parametrize("seed", range(5))
def test_features_agree_with_numpy(seed: int) -> None:
    bars = random_walk(LOOKBACK_BARS, seed)
    deaden(bars, 100, 103)
    bars[ABSENT, 100:103] = 1.0
    ours = values_of(bars)
    expected = expected_prices(bars) | expected_volatility(bars) | expected_volume_and_order(bars)
    assert {name: ours[name] for name in expected} == pytest.approx(expected, rel=1e-6, abs=1e-7)


def test_every_base_feature_is_compared_with_an_independent_one() -> None:
    bars = random_walk(LOOKBACK_BARS)
    compared = {
        *expected_prices(bars),
        *expected_volatility(bars),
        *expected_volume_and_order(bars),
        *talib_row(bars),
    }
    assert compared == set(BASE.names)


def test_the_run_ends_at_a_bar_without_change() -> None:
    bars = random_walk(LOOKBACK_BARS)
    bars[CLOSE, -4:] = [50.0, 50.0, 49.0, 48.0]
    assert values_of(bars)["run_length"] == -2.0
    bars[CLOSE, -1] = 49.0
    assert values_of(bars)["run_length"] == 0.0


def test_the_rank_of_volatility_reaches_both_ends() -> None:
    calm, wild = random_walk(LOOKBACK_BARS), random_walk(LOOKBACK_BARS)
    calm[CLOSE, -25:] = 100.0 + 1e-6 * np.arange(25)
    wild[CLOSE, -24:] = 100.0 + 50.0 * (np.arange(24) % 2)
    assert values_of(calm)["vol_rank_24"] == 0.0
    assert values_of(wild)["vol_rank_24"] == 1.0


def test_typical_prices_that_differ_by_rounding_alone_are_no_money_flow() -> None:
    bars = random_walk(LOOKBACK_BARS)
    bars[[HIGH, LOW, CLOSE], -15:] = [[97.73], [96.59], [97.33]]
    bars[OPEN, -15:] = 97.0
    bars[[HIGH, LOW, CLOSE], -1] = [97.80, 96.68, 97.17]
    typical = (bars[HIGH] + bars[LOW] + bars[CLOSE]) / 3
    assert typical[-1] != typical[-2]
    assert values_of(bars)["mfi_14"] == 50.0
