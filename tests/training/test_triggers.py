"""Each trigger from both sides of its limit, and with too little to say anything."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from plugin.candle_store import CandleStore
from plugin.registry import Registry
from shadow.drift import DriftLimits, limits_of, reference_of
from tests.support.small_training import END_MS, HELD_OUT_BARS, HOUR_MS, SmallTraining
from training import triggers
from training.dataset import build_dataset
from training.drift import measure_drift
from training.settings import companions_of
from training.triggers import (
    DAY_MS,
    REGIME_DAYS,
    REGIME_MARGIN,
    Trigger,
    Watch,
    age_trigger,
    drift_trigger,
    regime_trigger,
)

N_FEATURES = 101
WEEK = np.full(REGIME_DAYS * 24, 0.5, dtype=np.float32)


def by_name(found: tuple[Trigger, ...]) -> dict[str, Trigger]:
    return {trigger.name: trigger for trigger in found}


@pytest.mark.parametrize(("days", "fires"), [(29.9, False), (30.0, False), (30.1, True)])
def test_a_champion_is_old_beyond_the_limit(days: float, fires: bool) -> None:
    trigger = age_trigger(END_MS, END_MS + int(days * DAY_MS), 30.0)
    assert (trigger.fires, trigger.value) == (fires, pytest.approx(days))


@pytest.mark.parametrize(("n_shifted", "fires"), [(0, False), (20, False), (21, True), (101, True)])
def test_more_drifting_features_than_the_limit_fire(n_shifted: int, fires: bool) -> None:
    rows = np.random.default_rng(2).standard_normal((720, N_FEATURES)).astype(np.float32)
    reference = reference_of(rows)
    block = rows.copy()
    block[:, :n_shifted] += 3.0
    limits = DriftLimits(np.full(N_FEATURES, 0.1), np.full(N_FEATURES, 0.1), 20 / N_FEATURES)
    trigger = drift_trigger(measure_drift("one", reference, limits, block, 0, 1), 720)
    assert (trigger.fires, trigger.value) == (fires, pytest.approx(n_shifted / N_FEATURES))
    assert f"{n_shifted} of 101 features drift" in trigger.sentence


@pytest.mark.parametrize(("n_rows", "is_judged"), [(0, False), (359, False), (360, True)])
def test_half_of_the_block_must_be_there(n_rows: int, is_judged: bool) -> None:
    rows = np.random.default_rng(2).standard_normal((720, N_FEATURES)).astype(np.float32)
    limits = DriftLimits(np.full(N_FEATURES, 0.1), np.full(N_FEATURES, 0.1), 0.2)
    block = rows[:n_rows] + np.float32(9.0)
    measured = measure_drift("one", reference_of(rows), limits, block, 0, 1) if n_rows else None
    trigger = drift_trigger(measured, 720)
    assert trigger.fires is is_judged
    assert (trigger.value is None) is not is_judged


def ranks(*by_day: float) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """24 ranks a day, the newest day first, in the order of time."""
    age_days = np.repeat(np.arange(len(by_day)), 24)[::-1]
    return np.asarray(by_day, dtype=np.float32)[age_days], age_days


HIGH = 2 / 3 + REGIME_MARGIN + 0.01
LOW = 1 / 3 - REGIME_MARGIN - 0.01


@pytest.mark.parametrize(
    ("by_day", "away"),
    [
        ((HIGH,) * 6 + (0.5,), 6),
        ((HIGH,) * 7, 7),
        ((LOW,) * 7, 7),
        ((LOW, HIGH) * 4, 8),
        ((2 / 3 + REGIME_MARGIN - 0.01,) * 7, 0),
        ((0.5,) + (HIGH,) * 7, 0),
        ((HIGH,) * 3 + (np.nan,) + (HIGH,) * 7, 3),
        ((), 0),
    ],
)
def test_a_regime_is_another_one_after_a_whole_week(by_day: tuple[float, ...], away: int) -> None:
    trigger = regime_trigger(WEEK, *ranks(*by_day), 24, np.inf)
    assert trigger.value == away
    assert trigger.fires is (away >= REGIME_DAYS)


@pytest.mark.parametrize(("days_since_training", "fires"), [(0.5, False), (2.9, False), (3.1, True)])
def test_one_change_of_regime_begins_one_training(days_since_training: float, fires: bool) -> None:
    """After ten days in another regime the change was complete three days ago."""
    trigger = regime_trigger(WEEK, *ranks(*(HIGH,) * 10), 24, days_since_training)
    assert trigger.fires is fires


def test_a_day_with_half_of_its_bars_is_no_evidence_of_another_regime() -> None:
    newest, age_days = ranks(*(HIGH,) * 7)
    kept = (age_days != 4) | (np.arange(age_days.size) % 2 == 0)
    assert regime_trigger(WEEK, newest[kept], age_days[kept], 24, np.inf).value == 4


@pytest.mark.parametrize("trained", [WEEK[:0], WEEK[: 7 * 12]])
def test_too_little_of_the_last_week_of_training_is_no_regime(trained: NDArray[np.float32]) -> None:
    trigger = regime_trigger(trained, *ranks(*(HIGH,) * 7), 24, np.inf)
    assert (trigger.fires, trigger.value) == (False, None)


def test_a_watch_reads_what_the_champion_learnt_from(
    small_training: SmallTraining, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(triggers, "LEAST_BLOCKS", 5)
    watch = Watch(CandleStore(small_training.store), Registry(small_training.models), 10.0)
    found = by_name(watch.look(END_MS, np.inf))
    assert found["age"].value == HELD_OUT_BARS / 24
    assert found["age"].fires
    assert found["drift"].value is not None
    assert found["drift"].fires is (found["drift"].value > (found["drift"].limit or 0.0))
    assert found["regime"].value is not None
    assert 0 <= found["regime"].value <= HELD_OUT_BARS / 24
    earlier = by_name(watch.look(END_MS - 10 * 24 * HOUR_MS, np.inf))
    assert earlier["age"].value == HELD_OUT_BARS / 24 - 10
    assert not earlier["age"].fires


def test_too_short_a_history_and_bars_that_are_not_there_never_fire(
    small_training: SmallTraining, tmp_path: Path
) -> None:
    registry = Registry(small_training.models)
    found = by_name(Watch(CandleStore(small_training.store), registry, 30.0).look(END_MS, np.inf))
    assert (found["drift"].fires, found["drift"].value) == (False, None)
    for store, now_ms in ((tmp_path, END_MS), (small_training.store, END_MS + 400 * DAY_MS)):
        found = by_name(Watch(CandleStore(store), registry, 30.0).look(now_ms, np.inf))
        assert found["age"].value is not None
        for name in ("drift", "regime"):
            assert (found[name].fires, found[name].value) == (False, None), name


def test_nobody_serving_is_a_reason_and_a_damaged_champion_is_none(
    models: Path, small_training: SmallTraining, tmp_path: Path
) -> None:
    store = CandleStore(small_training.store)
    [nobody] = Watch(store, Registry(tmp_path / "empty"), 30.0).look(END_MS, np.inf)
    assert nobody.fires
    (models / "champion").write_text("{")
    damaged = Watch(store, Registry(models), 30.0).look(END_MS + 400 * DAY_MS, np.inf)
    assert [trigger.fires for trigger in damaged] == [False, False, False]
    shutil.copy(small_training.models / "champion", models / "champion")
    assert Watch(store, Registry(models), 30.0).look(END_MS + 400 * DAY_MS, np.inf)[0].fires


@pytest.mark.market
def test_on_real_bars_few_months_drift_and_other_features_do(market: Path) -> None:
    """BTC until 2022 against the 42 blocks after; the same with features half as large again."""
    store, symbol = CandleStore(market), "BTC/USDT"
    names = (symbol, *companions_of(symbol))
    candles = {name: store.read("binance_spot", "1h", name) for name in names}
    dataset = build_dataset(candles, (symbol,), {symbol: companions_of(symbol)}, (), 0)
    is_past = dataset.known_from_ms <= 1_640_995_200_000  # 2022-01-01
    past, later = dataset.rows[is_past], dataset.rows[~is_past]
    reference = reference_of(past)
    limits = limits_of(reference, [past[a : a + 720] for a in range(0, len(past) - 720, 480)])
    months = [later[first : first + 720] for first in range(0, len(later) - 720, 720)]

    def fires(month: NDArray[np.float32]) -> bool:
        return drift_trigger(measure_drift("one", reference, limits, month, 0, 1), 720).fires

    fired = [fires(month) for month in months]
    assert len(fired) == 42
    assert 0 < sum(fired) <= 6
    larger = [fires(1.5 * month) for month in months]
    assert sum(larger) >= 40
