"""How far a network looks back follows the bars that it is trained on."""

from pathlib import Path

import pytest

from gates.limits import LIMITS
from plugin.buffer import LONGEST_WINDOW
from plugin.candle_store import CandleStore
from plugin.candles import SIMULATED_VENUE
from tests.support.bundles import read_manifest
from tests.support.small_training import END_MS
from training.candles import simulate
from training.network_members import NETWORKS, chosen
from training.retrain import retrain
from training.settings import REFERENCE_ASSETS, TrainingSettings


@pytest.mark.parametrize(("timeframe", "rows"), [("1h", 48), ("15m", 192), ("4h", 48), ("1m", 48)])
def test_a_window_is_two_days_at_1h_and_at_15m(timeframe: str, rows: int) -> None:
    settings = TrainingSettings(venue="", timeframe=timeframe, networks=tuple(NETWORKS))
    assert [member.n_steps for member in chosen(settings)] == [rows] * len(NETWORKS)
    assert rows <= LONGEST_WINDOW


@pytest.mark.slow
def test_a_network_over_the_longest_window_is_trained_exported_and_asked(tmp_path: Path) -> None:
    simulate(tmp_path / "store", REFERENCE_ASSETS, "15m", 2_400, seed=3, end_ms=END_MS)
    settings = TrainingSettings(
        venue=SIMULATED_VENUE,
        timeframe="15m",
        until_ms=END_MS,
        horizons=(5,),
        n_folds=2,
        members=("lgb",),
        networks=("lstm",),
        quick=True,
    )
    outcome = retrain(
        settings, CandleStore(tmp_path / "store"), tmp_path / "models", LIMITS, step=lambda _: None
    )
    verdicts = {one.name: one.verdict for one in outcome.report.results}
    assert (verdicts["integrity"], verdicts["parity"]) == ("pass", "pass"), verdicts
    assert read_manifest(outcome.bundle).n_earlier_rows == 191
