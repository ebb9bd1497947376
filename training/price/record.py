"""What is kept of a comparison, so that it can be held against the next one?"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from plugin.durable import locked, replace_file
from training.price.comparison import OfSymbol
from training.price.settings import PriceSettings

_LIBRARIES = ("numpy", "scikit-learn", "torch")


def write_record(
    models_dir: Path, settings: PriceSettings, found: Mapping[str, OfSymbol], now_ms: int
) -> tuple[Path, dict[str, Any]]:
    """Write `models/prices/<UTC stamp>.json`; its place, and what stands in it."""
    record = {
        "settings": msgspec.to_builtins(settings),
        "libraries": {name: version(name) for name in _LIBRARIES},
        "symbols": {symbol: msgspec.to_builtins(one) for symbol, one in found.items()},
    }
    folder = models_dir / "prices"
    with locked(folder):
        moment = datetime.fromtimestamp(now_ms // 1000, UTC)
        while (place := folder / f"{moment:%Y%m%dT%H%M%SZ}.json").exists():
            moment += timedelta(seconds=1)
        record = {"id": place.stem, **record}
        replace_file(place, msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n")
    return place, record
