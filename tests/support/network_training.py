"""A small training whose ensemble has networks over windows, beside the trees."""

from __future__ import annotations

from pathlib import Path

import msgspec

from gates.limits import LIMITS
from plugin.candle_store import CandleStore
from tests.support.small_training import SETTINGS, SmallTraining
from training.retrain import retrain

NETWORKS = ("lstm", "tft", "tcn", "transformer")
MEMBERS = ("lgb", "xgb")
NETWORK_SETTINGS = msgspec.structs.replace(SETTINGS, members=MEMBERS, networks=NETWORKS, quick=True)


def train_with_networks(small: SmallTraining, folder: Path) -> SmallTraining:
    """Train on the bars of `small`; the champion of the new models folder has networks."""
    models = folder / "models"
    outcome = retrain(NETWORK_SETTINGS, CandleStore(small.store), models, LIMITS, step=lambda _: None)
    return SmallTraining(small.store, models, outcome)
