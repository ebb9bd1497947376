"""Does the live walk, bar by bar, say what training's walk over the history says?"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace as with_fields

from gates.limits import LIMITS
from plugin.audit import audit
from plugin.audit_bars import AuditBars
from plugin.bundle import load_bundle
from plugin.candle_store import CandleStore
from plugin.candles import SIMULATED_VENUE, Candles
from plugin.command_line import utc_ms
from plugin.registry import Registry
from shadow.evidence import weigh
from shadow.reader import LogReader
from shadow.record import BarRecord
from shadow.statistics import auc_interval, rank_ic
from shadow.window import read_window
from tests.support.bars import HOURLY
from tests.support.library_answers import library_answers
from tests.support.live import read_records, without_timings
from tests.support.replays import replay
from tests.support.small_training import HELD_OUT_BARS, SETTINGS, SmallTraining
from tests.support.twins import add_other, appoint_challenger
from training.dataset import build_dataset
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
    bars = AuditBars(store, "binance_spot")
    audited = audit(tmp_path / "shadow", models, bars, until_ms, utc_ms("2024-12-15"))
    assert (audited.n_bars, audited.n_differences) == (n_bars, 0), "and to the last bit once more"
    for symbol in settings.symbols:
        reported = reported_figures(tmp_path / "shadow", symbol, utc_ms("2024-12-15"))
        evaluated = evaluated_figures(outcome.bundle, candles, symbol, utc_ms("2024-12-01"))
        assert reported == pytest.approx(evaluated, abs=1e-9)


def reported_figures(shadow: Path, symbol: str, now_ms: int) -> dict[str, float]:
    """What the shadow report says of a replay."""
    figures = weigh(read_window(shadow, now_ms, 14, frozenset([symbol]))).outcomes["5"]
    assert figures.n_waiting == 5, "the labels that training does not know either"
    return {name: getattr(figures, name) for name in ("n", "auc", "auc_low", "rank_ic", "up_share")}


def evaluated_figures(
    bundle: Path, candles: Mapping[str, Candles], symbol: str, since_ms: int
) -> dict[str, float]:
    """What training says of the same bars: its own rows, labels, libraries and evaluation."""
    companions = load_bundle(bundle).manifest.companions
    dataset = build_dataset(candles, [symbol], companions, (5,), since_ms)
    said = library_answers(bundle, candles, symbol)
    known = ~np.isnan(dataset.labels[5].up)
    up, forward_return = dataset.labels[5].up[known], dataset.labels[5].forward_return[known]
    close_ms = dataset.known_from_ms[known]
    p = [said[time_ms - HOURLY.length_ms]["5"] for time_ms in close_ms.tolist()]
    area = auc_interval(p, up, 5, close_ms // HOURLY.length_ms)
    ranked = rank_ic(p, forward_return, 5, close_ms // HOURLY.length_ms)
    return {
        "n": area.n,
        "auc": area.estimate,
        "auc_low": area.low,
        "rank_ic": ranked.estimate,
        "up_share": float(up.mean()),
    }


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
