"""A small bundle that learnt from real hourly candles: for tests that need real ones."""

from __future__ import annotations

from pathlib import Path

from gates.limits import LIMITS
from plugin.candle_store import CandleStore
from plugin.clock import utc_text
from plugin.command_line import utc_ms
from plugin.registry import Registry
from tests.support.small_training import SmallTraining
from training.retrain import retrain
from training.settings import TrainingSettings

VENUE = "binance_spot"
HOUR_MS = 3_600_000
LEARNT_FROM, LEARNT_UNTIL = utc_ms("2024-09-01"), utc_ms("2024-12-01")


def train_hourly(market: Path, models: Path, symbols: tuple[str, ...]) -> SmallTraining:
    """Train on the folder of real candles, gate, appoint."""
    settings = TrainingSettings(
        venue=VENUE, symbols=symbols, since_ms=LEARNT_FROM, until_ms=LEARNT_UNTIL, n_folds=2
    )
    outcome = retrain(settings, CandleStore(market), models, LIMITS, step=lambda _: None)
    at = utc_text(LEARNT_UNTIL)
    Registry(models).appoint(outcome.bundle.name, at=at, who="a test", why="fit or not")
    return SmallTraining(market, models, outcome)
