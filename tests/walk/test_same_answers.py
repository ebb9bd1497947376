"""Does the live walk, bar by bar, say what training's walk over the history says?"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import pytest
from msgspec.structs import replace as with_fields

from gates.limits import LIMITS
from plugin.candle_store import CandleStore
from plugin.candles import SIMULATED_VENUE, Candles
from plugin.command_line import utc_ms
from plugin.registry import Registry
from shadow.reader import LogReader
from shadow.record import BarRecord
from tests.support.library_answers import library_answers
from tests.support.live import read_records, without_timings
from tests.support.replays import replay
from tests.support.small_training import HELD_OUT_BARS, SETTINGS, SmallTraining
from tests.support.twins import add_other, appoint_challenger
from training.retrain import retrain
from training.settings import REFERENCE_ASSETS, TrainingSettings

TOLERANCE = 1e-6


def largest_difference(
    shadow: Path, bundle: Path, candles: Mapping[str, Candles], expected_bars: int
) -> float:
    """Between the recorded probabilities and those of the libraries on the same bars."""
    said = {symbol: library_answers(bundle, candles, symbol) for symbol in SETTINGS.symbols}
    records = list(LogReader(shadow, BarRecord))
    answered = [record for record in records if record.ml_stacking_mode == "active"]
    assert len(answered) == expected_bars
    return max(
        abs(p - said[record.symbol][record.open_time_ms][horizon])
        for record in answered
        for horizon, p in record.probabilities.items()
    )


def test_a_replay_says_what_the_libraries_say_of_the_whole_history(small_training, undisturbed):
    store = CandleStore(small_training.store)
    candles = {asset: store.read(SIMULATED_VENUE, "1h", asset) for asset in REFERENCE_ASSETS}
    n_bars = HELD_OUT_BARS * len(SETTINGS.symbols)
    bundle = small_training.outcome.bundle
    assert largest_difference(undisturbed, bundle, candles, n_bars) < TOLERANCE


@pytest.mark.market
def test_on_real_bars_too(market, tmp_path):
    since_ms, until_ms = utc_ms("2024-09-01"), utc_ms("2024-12-01")
    settings = TrainingSettings(
        venue="binance_spot",
        symbols=SETTINGS.symbols,
        since_ms=since_ms,
        until_ms=until_ms,
        n_folds=2,
    )
    store, models = CandleStore(market), tmp_path / "models"
    outcome = retrain(settings, store, models, LIMITS, step=lambda _: None)
    registry = Registry(models)
    registry.appoint(outcome.bundle.name, at="2025-01-01T00:00:00Z", who="test", why="fit or not")

    real = SmallTraining(market, models, outcome)
    dates = ("--since", "2024-12-01", "--until", "2024-12-15")
    ended = replay(real, tmp_path / "shadow", "--venue", "binance_spot", *dates, "--json")
    assert ended.returncode == 0, ended.stderr
    candles = {
        asset: store.read("binance_spot", "1h", asset).between(since_ms, utc_ms("2024-12-15"))
        for asset in REFERENCE_ASSETS
    }
    n_bars = 14 * 24 * len(settings.symbols)
    assert largest_difference(tmp_path / "shadow", outcome.bundle, candles, n_bars) < TOLERANCE


def test_two_replays_of_the_same_bars_write_the_same_records(small_training, undisturbed, tmp_path):
    again = tmp_path / "shadow"
    assert replay(small_training, again, "--json").returncode == 0
    first, second = (
        [without_timings(record) for record in read_records(folder)] for folder in (undisturbed, again)
    )
    assert len(first) == 2 * HELD_OUT_BARS
    assert first == second, "to the moment of writing, which is the bars' own"


def test_two_replays_beside_a_challenger_write_the_same_records(small_training, undisturbed, models):
    appoint_challenger(models, add_other(models))
    challenged = dataclasses.replace(small_training, models=models)
    logs = []
    for name in ("one", "two"):
        shadow = models / name / "shadow"
        assert replay(challenged, shadow, "--days", "2", "--json").returncode == 0
        logs.append([without_timings(record) for record in read_records(shadow)])
    assert logs[0] == logs[1]
    assert {record.challenger.reason for record in logs[0]} == {"ok"}
    alone = [without_timings(record) for record in read_records(undisturbed)][-len(logs[0]) :]
    assert [with_fields(one, challenger=None, seq=0) for one in logs[0]] == [
        with_fields(one, seq=0) for one in alone
    ]
