"""Which features are there, in which order, and how is their definition known by a hash?"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property

from plugin.features import (
    bar_shape,
    calendar_time,
    companion,
    next_timeframe,
    oscillators,
    returns,
    serial,
    trend,
    volatility,
    volume,
)
from plugin.features.window import LOOKBACK_BARS

# Raise this whenever a formula changes: a bundle trained on the old one must be refused.
FEATURES_VERSION = 1

# The order of the families is the order of the row.
BASE_FAMILIES = {
    "returns": returns.NAMES,
    "bar shape": bar_shape.NAMES,
    "trend": trend.NAMES,
    "oscillators": oscillators.NAMES,
    "volatility": volatility.NAMES,
    "volume": volume.NAMES,
    "serial": serial.NAMES,
    "calendar": calendar_time.NAMES,
}


@dataclass(frozen=True)
class FeatureSet:
    """An ordered list of features; `lookback` is the number of bars that a row depends on."""

    name: str
    names: tuple[str, ...]
    lookback: int = LOOKBACK_BARS

    @cached_property
    def schema_hash(self) -> str:
        """sha256 over the version of the formulas, the lookback and the names in order."""
        schema = [FEATURES_VERSION, self.lookback, *self.names]
        return hashlib.sha256(json.dumps(schema).encode()).hexdigest()


_BASE_NAMES = tuple(name for names in BASE_FAMILIES.values() for name in names)
_COMPANION_NAMES = tuple(
    f"companion{number}_{name}"
    for number in range(1, companion.N_COMPANIONS + 1)
    for name in companion.NAMES
)

BASE = FeatureSet("base", _BASE_NAMES)
SEQUENCE = FeatureSet("sequence", _BASE_NAMES + next_timeframe.NAMES)
CROSS = FeatureSet("cross", _BASE_NAMES + _COMPANION_NAMES)
JOINED = FeatureSet("joined", SEQUENCE.names + _COMPANION_NAMES)

MULTIPLES = (4, 16)
"""How many bars make a longer one: of 15 minutes an hour and four, of an hour four and sixteen."""
LONGER = {
    multiple: FeatureSet(
        f"base_x{multiple}",
        tuple(f"x{multiple}_{name}" for name in _BASE_NAMES),
        LOOKBACK_BARS * multiple,
    )
    for multiple in MULTIPLES
}
