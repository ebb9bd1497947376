"""One-minute bars for walks in real time: real ones with a bundle trained on them, and made-up ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gates.limits import LIMITS
from plugin.bar import Timeframe
from plugin.candle_store import CandleStore, RawBars
from plugin.candles import Candles, on_grid
from plugin.features import LOOKBACK_BARS
from tests.support.raw_bars import START_MS, raw_bars, write_raw
from training.retrain import retrain
from training.settings import TrainingSettings

MINUTE = Timeframe.parse("1m")
SERVED = ("BTC/USDT", "ETH/USDT")
# A bundle compares with three assets, and two are recorded: these are the two of a fortnight before.
_STAND_INS = {"XRP/USDT": "BTC/USDT", "LTC/USDT": "ETH/USDT"}
_FORTNIGHT_MS = 14 * 86_400_000
_TRAINING_BARS = 4_000


@dataclass(frozen=True)
class MinuteMarket:
    """`candles` of every symbol that the champion in `models` needs. It has learnt from those that open
    before `live_from_ms`, where LOOKBACK_BARS of each lie behind."""

    candles: Mapping[str, Candles]
    models: Path
    live_from_ms: int

    def environment(self, shadow: Path) -> dict[str, str]:
        """ML_ variables for a process that serves both symbols and records into `shadow`."""
        return {
            "ML_MODELS_DIR": str(self.models),
            "ML_SHADOW_DIR": str(shadow),
            "ML_SYMBOLS": ",".join(SERVED),
            "ML_TIMEFRAME": MINUTE.name,
            "ML_STACKING_MIN_SAMPLES": "100",
            "ML_DECISION_TIMEOUT_MS": "60000",  # how fast this machine is, is asked elsewhere
        }


def minute_market(market: Path, folder: Path) -> MinuteMarket:
    """Train, gate and appoint on the first bars of the folder of real candles."""
    recorded, store = CandleStore(market), CandleStore(folder / "candles")
    raw = {symbol: recorded.read_raw("binance_spot", MINUTE.name, symbol) for symbol in SERVED}
    for name, original in _STAND_INS.items():
        raw[name] = RawBars(raw[original].open_time_ms + _FORTNIGHT_MS, raw[original].ohlcv)
    for name, bars in raw.items():
        write_raw(store.path("binance_spot", MINUTE.name, name), bars)
    candles = {name: store.read("binance_spot", MINUTE.name, name) for name in raw}
    first_ms = max(one.first_open_ms for one in candles.values())
    until_ms = first_ms + _TRAINING_BARS * MINUTE.length_ms
    settings = TrainingSettings(
        venue="binance_spot",
        timeframe=MINUTE.name,
        symbols=SERVED,
        since_ms=first_ms,
        until_ms=until_ms,
        n_folds=2,
    )
    retrain(settings, store, folder / "models", LIMITS, step=lambda _: None)
    return MinuteMarket(candles, folder / "models", until_ms + LOOKBACK_BARS * MINUTE.length_ms)


def made_up_minutes(symbol: str, n_bars: int, seed: int) -> Candles:
    """A random walk from START_MS on."""
    times = START_MS + np.arange(n_bars, dtype=np.int64) * MINUTE.length_ms
    return on_grid(symbol, MINUTE, times, raw_bars(n_bars, seed).ohlcv)
