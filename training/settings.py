"""What is trained, on which bars, judged how?"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from training.models.base import Member
from training.models.lgb import LightGBMMember
from training.models.xgb import XGBoostMember

MEMBERS: tuple[Member, ...] = (
    LightGBMMember("lgb", "base"),
    XGBoostMember("xgb", "sequence"),
    LightGBMMember("cross", "cross"),
)
# The assets with the longest history among the most traded. Every model learns from their rows, too, and
# a symbol's companions are the first three of them that it is not itself.
REFERENCE_ASSETS = ("BTC/USDT", "ETH/USDT", "XRP/USDT", "LTC/USDT")


class TrainingSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One training run. Times are milliseconds UTC; horizons, blocks and embargo are bars."""

    venue: str
    timeframe: str = "1h"
    symbols: tuple[str, ...] = ("BTC/USDT",)
    since_ms: int = int(datetime(2021, 1, 1, tzinfo=UTC).timestamp() * 1000)
    until_ms: int | None = None
    horizons: tuple[int, ...] = (5, 12, 24)
    primary_horizon: int = 5
    first_train_bars: int = 12_000
    n_folds: int = 8
    embargo_bars: int = 24
    seed: int = 7


def companions_of(symbol: str) -> tuple[str, ...]:
    """The three assets that `symbol` is seen against."""
    return tuple(other for other in REFERENCE_ASSETS if other != symbol)[:3]
