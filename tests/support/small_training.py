"""A whole training in seconds, on a simulated market: a real bundle for tests that need one."""

from dataclasses import dataclass
from pathlib import Path

from gates.limits import LIMITS
from plugin.candle_store import CandleStore
from plugin.candles import SIMULATED_VENUE
from training.candles import simulate
from training.retrain import Outcome, retrain
from training.settings import REFERENCE_ASSETS, TrainingSettings

HOUR_MS = 3_600_000
END_MS = 1_735_689_600_000  # 2025-01-01
N_BARS = 4_000
HELD_OUT_BARS = 14 * 24
SETTINGS = TrainingSettings(
    venue=SIMULATED_VENUE,
    symbols=("BTC/USDT", "ETH/USDT"),
    until_ms=END_MS - HELD_OUT_BARS * HOUR_MS,
    n_folds=2,
)


@dataclass(frozen=True)
class SmallTraining:
    """`store` holds the reference assets at the venue `simulated`, 1h, up to END_MS; the training saw
    all but the last HELD_OUT_BARS of them. `models` is a models folder whose champion is `outcome`."""

    store: Path
    models: Path
    outcome: Outcome

    def environment(self, shadow: Path) -> dict[str, str]:
        """ML_ variables for a process that serves this bundle and records into `shadow`."""
        return {
            "ML_MODELS_DIR": str(self.models),
            "ML_SHADOW_DIR": str(shadow),
            "ML_CANDLES_DIR": str(self.store),
            "ML_SYMBOLS": ",".join(SETTINGS.symbols),
            "ML_STACKING_MIN_SAMPLES": "100",
        }


def train_small(folder: Path) -> SmallTraining:
    """Simulate, train, gate, appoint."""
    store, models = folder / "candles", folder / "models"
    simulate(store, REFERENCE_ASSETS, "1h", N_BARS, seed=1, end_ms=END_MS)
    outcome = retrain(SETTINGS, CandleStore(store), models, LIMITS, step=lambda _: None)
    return SmallTraining(store, models, outcome)
