"""What is trained, by which libraries, on which bars, judged how?"""

from __future__ import annotations

from importlib.metadata import version

import msgspec
import xgboost

from plugin.features.feature_set import LONGER
from plugin.features.joined import n_columns_of
from training.meta_models import MetaKind
from training.models.base import Member
from training.models.lgb import LightGBMMember
from training.models.xgb import XGBoostMember
from training.tuning import Tuning

TUNABLE = LightGBMMember("lgb", "base")
MEMBERS: tuple[Member, ...] = (
    TUNABLE,
    XGBoostMember("xgb", "joined"),
    LightGBMMember("cross", "cross"),
)
LONGER_MEMBERS: tuple[Member, ...] = tuple(
    LightGBMMember(f"lgb_x{multiple}", longer.name) for multiple, longer in LONGER.items()
)
"""Members that look at longer bars, four or sixteen of a training's own; see docs/timeframes.md."""
# The assets with the longest history among the most traded. Every model learns from their rows as well,
# and a symbol's companions are the first three of them that it is not itself.
REFERENCE_ASSETS = ("BTC/USDT", "ETH/USDT", "XRP/USDT", "LTC/USDT")
BLOCKS_PER_FIT = 2
"""A network learns anew only for so many test blocks together."""


class TrainingSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One training run. Times are milliseconds UTC; horizons and embargo are bars.

    `symbols` are served and judged; the models learn from the rows of `also_learn_from`, too. The first
    `first_train_share` of the time is only learnt from; the rest is cut into `n_folds` test blocks.
    `members` answer one row each, `networks` windows of rows. A `quick` training is a trial of the
    whole walk: its networks learn next to nothing. `meta` is the kind of the meta-model.
    `tuning` is what a study found for one member; those of all others are the defaults.
    """

    venue: str
    timeframe: str = "1h"
    symbols: tuple[str, ...] = ("BTC/USDT",)
    also_learn_from: tuple[str, ...] = REFERENCE_ASSETS
    since_ms: int = 0
    until_ms: int | None = None
    horizons: tuple[int, ...] = (5, 12, 24)
    primary_horizon: int = 5
    first_train_share: float = 0.4
    n_folds: int = 5
    embargo_bars: int = 24
    seed: int = 7
    members: tuple[str, ...] = tuple(member.name for member in MEMBERS)
    networks: tuple[str, ...] = ()
    quick: bool = False
    meta: MetaKind = "logistic"
    tuning: Tuning | None = None

    @property
    def row_members(self) -> tuple[Member, ...]:
        """The members over rows, in their own order, the tuned one with its parameters."""
        tuning = self.tuning
        changed = tuning.parameters if tuning and tuning.member == TUNABLE.name else {}
        known = (*MEMBERS, *LONGER_MEMBERS)
        own = (TUNABLE.with_parameters(changed) if one is TUNABLE else one for one in known)
        return tuple(member for member in own if member.name in self.members)

    @property
    def n_columns(self) -> int:
        """How many columns the rows have that its members look at."""
        return n_columns_of(member.feature_set for member in self.row_members)

    @property
    def learnt_symbols(self) -> tuple[str, ...]:
        """All symbols whose rows are learnt from, the judged ones first."""
        return tuple(dict.fromkeys((*self.symbols, *self.also_learn_from)))


def companions_of(symbol: str) -> tuple[str, ...]:
    """The three assets that `symbol` is seen against."""
    return tuple(other for other in REFERENCE_ASSETS if other != symbol)[:3]


def library_versions() -> dict[str, str]:
    """The versions that decide the bytes of what is learnt."""
    # The distribution of XGBoost has one name on Linux and another elsewhere.
    versions = {name: version(name) for name in ("lightgbm", "numpy", "scikit-learn")}
    return versions | {"xgboost": str(xgboost.__version__)}
