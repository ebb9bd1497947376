"""A bundle that looks at longer bars, joined by a small network, through the whole walk."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from gates.limits import LIMITS
from plugin.audit import audit
from plugin.audit_bars import AuditBars
from plugin.bundle import load_bundle
from plugin.candle_store import CandleStore
from plugin.candles import SIMULATED_VENUE
from plugin.features import LOOKBACK_BARS
from plugin.meta_kinds import NetworkModel
from plugin.registry import Registry
from shadow.reader import LogReader
from shadow.record import BarRecord
from tests.support.library_answers import library_answers
from tests.support.live import FIRST, Live, champion_of
from tests.support.replays import replay
from tests.support.small_training import END_MS, HELD_OUT_BARS, HOUR_MS, SETTINGS, SmallTraining
from training.retrain import retrain
from training.settings import REFERENCE_ASSETS

TOLERANCE = 1e-6
MULTIPLE = 4


@pytest.fixture(scope="module")
def longer(small_training: SmallTraining, tmp_path_factory: pytest.TempPathFactory) -> SmallTraining:
    """Trained on the bars of the small training, of which the first 2,047 give no row now."""
    models = tmp_path_factory.mktemp("longer") / "models"
    settings = msgspec.structs.replace(SETTINGS, members=("lgb", "lgb_x4"), meta="network")
    store = CandleStore(small_training.store)
    outcome = retrain(settings, store, models, LIMITS, step=lambda _: None)
    return SmallTraining(small_training.store, models, outcome)


@pytest.fixture(scope="module")
def replayed(longer: SmallTraining, tmp_path_factory: pytest.TempPathFactory) -> Path:
    shadow = tmp_path_factory.mktemp("replayed") / "shadow"
    ended = replay(longer, shadow, "--json")
    assert ended.returncode == 0, ended.stderr
    return shadow


def test_it_is_fit_to_be_recorded(longer: SmallTraining) -> None:
    bundle = load_bundle(longer.outcome.bundle)
    assert longer.outcome.report.level != "none"
    assert all(isinstance(model, NetworkModel) for model in bundle.meta.horizons.values())
    assert Registry(longer.models).champion() is not None


def test_a_replay_says_what_the_libraries_say_of_the_whole_history(
    longer: SmallTraining, replayed: Path
) -> None:
    store = CandleStore(longer.store)
    candles = {asset: store.read(SIMULATED_VENUE, "1h", asset) for asset in REFERENCE_ASSETS}
    records = list(LogReader(replayed, BarRecord))
    assert len(records) == HELD_OUT_BARS * len(SETTINGS.symbols)
    assert {record.ml_stacking_mode for record in records} == {"active"}
    for symbol in SETTINGS.symbols:
        said = library_answers(longer.outcome.bundle, candles, symbol)
        for record in records:
            if record.symbol == symbol:
                expected = said[record.open_time_ms]
                assert record.probabilities == pytest.approx(expected, abs=TOLERANCE)


def test_the_audit_finds_the_recorded_numbers_again_to_the_last_bit(
    longer: SmallTraining, replayed: Path
) -> None:
    bars = AuditBars(CandleStore(longer.store), SIMULATED_VENUE)
    audited = audit(replayed, longer.models, bars, 0, END_MS)
    n_bars = HELD_OUT_BARS * len(SETTINGS.symbols)
    assert (audited.n_bars, audited.n_differences) == (n_bars, 0)


def test_without_enough_history_it_says_so(longer: SmallTraining, tmp_path: Path) -> None:
    live = Live(longer, tmp_path, n_history=MULTIPLE * LOOKBACK_BARS - 2)
    assert live.pipeline.lookback == MULTIPLE * LOOKBACK_BARS
    reasons = [[one.decision.reason for one in live.close(column)] for column in (FIRST, FIRST + 1)]
    assert reasons == [["x4_warming_up"] * 2, ["stacking_off"] * 2]


def test_buffers_make_room_once_for_who_looks_further_back(
    longer: SmallTraining, small_training: SmallTraining, tmp_path: Path
) -> None:
    live = Live(small_training, tmp_path)
    assert not live.pipeline.make_room()
    held = {symbol: buffer.n_bars for symbol, buffer in live.pipeline.buffers.items()}
    live.reloader.champion = champion_of(load_bundle(longer.outcome.bundle))
    assert live.pipeline.make_room()
    assert not live.pipeline.make_room()
    for symbol, buffer in live.pipeline.buffers.items():
        assert buffer.lookback == MULTIPLE * LOOKBACK_BARS
        assert buffer.n_bars == held[symbol]
    assert {one.decision.reason for one in live.close(FIRST)} == {"x4_warming_up"}


def test_it_looks_back_so_far_that_its_first_bars_give_no_row(longer: SmallTraining) -> None:
    bars = longer.outcome.record["bars"]["BTC/USDT"]
    n_bars = bars["n_bars"]
    assert bars["first_open_ms"] + n_bars * HOUR_MS == SETTINGS.until_ms
    oof_rows = longer.outcome.record["metrics"]["5"]["oof_rows"]
    most = (n_bars - MULTIPLE * LOOKBACK_BARS + 1) * (1.0 - SETTINGS.first_train_share)
    assert 0.9 * most < oof_rows / len(SETTINGS.symbols) <= most + 1
