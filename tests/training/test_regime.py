"""The regime of the next bars: its label sees 24 bars and no more, and its figures are true."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin.candle_store import CandleStore
from plugin.candles import SIMULATED_VENUE
from plugin.command_line import utc_ms
from plugin.features import LOOKBACK_BARS
from plugin.features.joined import N_JOINED, ROW_NAMES, columns_of, write_joined_row
from plugin.predictors.lightgbm_text import read_lightgbm
from plugin.regime import QUESTIONS, RegimeClassifier, most_likely, regime_of
from tests.support.small_dataset import HOUR_MS, dataset_of, folds_of
from training.checkpoint import make_anew
from training.dataset import Dataset
from training.labels import label_regime, thirds
from training.regime import (
    AS_NOW,
    CLASSIFIER,
    CLASSIFIERS,
    HORIZON_BARS,
    MOST_FREQUENT,
    Forecast,
    LearntRegime,
    judge,
    learn_regime,
    naive_forecasts,
)
from training.settings import REFERENCE_ASSETS, TrainingSettings, companions_of
from training.splits import Fold

SETTINGS = TrainingSettings(venue=SIMULATED_VENUE)
AHEAD_MS = HORIZON_BARS * HOUR_MS
VOL_RANK = ROW_NAMES.index("vol_rank_24")
ORDER = ("low", "mid", "high")


def label_of(dataset: Dataset) -> np.ndarray:
    rank = dataset.rows[:, VOL_RANK]
    return label_regime(rank, dataset.symbol, dataset.known_from_ms, AHEAD_MS)


def learnt(dataset: Dataset, folds: Sequence[Fold] | None = None) -> LearntRegime:
    blocks = folds or folds_of(dataset, HORIZON_BARS)
    with ThreadPoolExecutor(2) as pool:
        return learn_regime(SETTINGS, dataset, blocks, pool, make_anew, lambda _: None)


@given(st.floats(0, 1))
def test_thirds_are_those_of_the_live_side(rank: float) -> None:
    assert ORDER[int(thirds(np.array([rank]))[0])] == regime_of(rank)


def test_the_label_is_the_third_of_the_row_24_bars_later_of_the_same_symbol(dataset: Dataset) -> None:
    label = label_of(dataset)
    for number in range(len(dataset.symbols)):
        own = np.flatnonzero(dataset.symbol == number)
        later = thirds(dataset.rows[own[HORIZON_BARS:], VOL_RANK])
        np.testing.assert_array_equal(label[own[:-HORIZON_BARS]], later)
        assert np.isnan(label[own[-HORIZON_BARS:]]).all()


def test_bars_after_the_24th_change_no_label(candles) -> None:
    """The rows are computed again from bars that end there, or that become ten times as wild."""
    own = candles["BTC/USDT"]
    cut = own.first_open_ms + 2_000 * HOUR_MS
    shorter = {name: one.between(one.first_open_ms, cut) for name, one in candles.items()}
    whole, early = (dataset_of(one, ("BTC/USDT",), n_judged=1) for one in (candles, shorter))
    labels, known = label_of(whole), label_of(early)
    seen = whole.known_from_ms[: early.n_rows] + AHEAD_MS <= cut
    np.testing.assert_array_equal(known[seen], labels[: early.n_rows][seen])
    assert not np.isnan(known[seen]).any()
    assert np.isnan(known[~seen]).all()
    assert (~seen).sum() == HORIZON_BARS


def test_a_missing_row_is_an_unknown_label_and_not_the_next_row_s(dataset: Dataset) -> None:
    btc = np.flatnonzero(dataset.symbol == 0)
    hole = btc[500]
    holed = dataset.only(np.delete(np.arange(dataset.n_rows), hole))
    label, before = label_of(holed), np.delete(label_of(dataset), hole)
    [changed] = np.flatnonzero(np.isnan(label) & ~np.isnan(before))
    assert changed == btc[500 - HORIZON_BARS]
    others = np.delete(np.arange(label.size), changed)
    np.testing.assert_array_equal(label[others], before[others])


def test_honest_features_know_little_and_those_of_the_future_too_much(dataset: Dataset) -> None:
    """The rank that the label is made of stays where it is; all else is that of 24 bars later."""
    rows = dataset.rows.copy()
    for number in range(len(dataset.symbols)):
        own = np.flatnonzero(dataset.symbol == number)
        rows[own[:-HORIZON_BARS]] = dataset.rows[own[HORIZON_BARS:]]
    rows[:, VOL_RANK] = dataset.rows[:, VOL_RANK]
    honest, leaked = (
        learnt(one).figures["symbols"]["BTC/USDT"][CLASSIFIER]
        for one in (dataset, replace(dataset, rows=rows))
    )
    assert honest["accuracy"] < 0.6
    assert leaked["accuracy"] > 0.7
    assert leaked["rps"] < 0.6 * honest["rps"]


def test_figures_are_those_of_the_rows_that_all_were_judged_on(dataset: Dataset) -> None:
    folds, label = folds_of(dataset, HORIZON_BARS), label_of(dataset)
    now = thirds(dataset.rows[:, VOL_RANK])
    naive = naive_forecasts(now, label, folds)
    tested = np.concatenate([fold.test for fold in folds])
    perfect = np.where(np.isnan(label)[:, None], 0.5, label[:, None] > np.arange(2))
    perfect[np.setdiff1d(np.arange(label.size), tested)] = np.nan
    told = judge(dataset, label, {CLASSIFIER: Forecast(label, perfect), **naive}, HOUR_MS)
    rows = tested[~np.isnan(label[tested]) & (dataset.symbol[tested] == 0)]
    figures = told["symbols"]["BTC/USDT"]
    assert figures[CLASSIFIER] == {
        "n": rows.size,
        "accuracy": 1.0,
        "balanced_accuracy": 1.0,
        "rps": 0.0,
    }
    assert figures[AS_NOW]["accuracy"] == pytest.approx((now[rows] == label[rows]).mean())
    table = np.array(told["confusion"]["BTC/USDT"])
    assert np.trace(table) == pytest.approx(1.0)
    expected = 1.0 - (now[rows] == label[rows]).mean()
    assert told["over_now"]["BTC/USDT"]["estimate"] == pytest.approx(expected)
    assert figures[MOST_FREQUENT]["rps"] > figures[AS_NOW]["rps"] > 0.0


def test_naive_frequencies_know_no_test_row(dataset: Dataset) -> None:
    [fold, _] = folds_of(dataset, HORIZON_BARS)
    label, now = label_of(dataset), thirds(dataset.rows[:, VOL_RANK])
    spoilt = label.copy()
    spoilt[np.setdiff1d(np.arange(label.size), fold.train)] = 2.0
    for name in (AS_NOW, MOST_FREQUENT):
        honest, other = (naive_forecasts(now, one, [fold])[name] for one in (label, spoilt))
        np.testing.assert_array_equal(honest.reached, other.reached)
        np.testing.assert_array_equal(honest.third, other.third)


def test_a_training_leaves_one_model_for_each_question_and_the_same_ones_each_time(
    dataset: Dataset,
) -> None:
    one, other = learnt(dataset), learnt(dataset)
    assert len(one.models) == len(QUESTIONS) == len(CLASSIFIERS)
    assert [model.content() for model in one.models] == [model.content() for model in other.models]
    assert msgspec.json.encode(one.figures) == msgspec.json.encode(other.figures)


def test_constant_features_teach_nothing_and_are_refused(dataset: Dataset) -> None:
    constant = replace(dataset, rows=np.full_like(dataset.rows, 0.4))
    with pytest.raises(Exception, match="regime_mid_or_high to tell bars apart"):
        learnt(constant)


@pytest.mark.market
def test_live_answers_on_real_bars_are_those_of_training_to_the_last_bit(market: Path) -> None:
    store = CandleStore(market)
    since_ms, until_ms = utc_ms("2023-12-01"), utc_ms("2024-12-01")
    names = dict.fromkeys(("BTC/USDT", *companions_of("BTC/USDT"), *REFERENCE_ASSETS))
    candles = {name: store.read("binance_spot", "1h", name, since_ms, until_ms) for name in names}
    dataset = dataset_of(candles, ("BTC/USDT",), n_judged=1)
    middle_ms = int(dataset.known_from_ms[dataset.n_rows // 2])
    models = learnt(dataset, folds_of(dataset, HORIZON_BARS, first_test_ms=middle_ms)).models
    names_of_base = tuple(ROW_NAMES[column] for column in columns_of("base"))
    trees = [read_lightgbm("", one.content(), names_of_base, columns_of("base")) for one in models]
    classifier = RegimeClassifier((trees[0], trees[1]))
    of_history = classifier.probabilities(dataset.rows)
    own = np.ascontiguousarray(dataset.rows[:, columns_of("base")])
    of_library = np.stack([model.predict(own) for model in models], axis=1)
    np.testing.assert_allclose(of_history, of_library, rtol=0, atol=1e-12)
    assert [most_likely(*one) for one in of_history] == [most_likely(*one) for one in of_library]
    row = np.empty((1, N_JOINED), dtype=np.float32)
    for number in range(0, dataset.n_rows, 97):
        opened = int(dataset.known_from_ms[number]) - HOUR_MS
        first = opened - (LOOKBACK_BARS - 1) * HOUR_MS
        windows = [
            (candles[name].between(first, opened + HOUR_MS).bars, LOOKBACK_BARS - 1)
            for name in ("BTC/USDT", *companions_of("BTC/USDT"))
        ]
        assert write_joined_row(windows[0], windows[1:], opened, HOUR_MS, row[0]) == ""
        assert classifier.probabilities(row).tobytes() == of_history[number].tobytes()
