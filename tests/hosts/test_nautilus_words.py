"""plugin/hosts/nautilus_bars.py with real instruments, and the examples of docs/hosts/nautilus.md."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.nautilus_bot import examples, run_in_engine

pytestmark = pytest.mark.slow  # the first test makes an environment
HOUR_MS = 3_600_000


def test_instruments_and_bar_types_in_our_words(tmp_path: Path) -> None:
    bar_types = [
        ["1-HOUR-LAST-EXTERNAL"],
        ["15-MINUTE-LAST-INTERNAL@1-MINUTE-EXTERNAL"],
        ["1-DAY-LAST-EXTERNAL", "1-DAY-LAST-INTERNAL"],
        ["1-HOUR-LAST-EXTERNAL", "4-HOUR-LAST-EXTERNAL"],
        ["1-HOUR-MID-INTERNAL"],
        ["100-TICK-LAST-INTERNAL"],
        [],
    ]
    asked = {"examples": examples(), "bar_types": bar_types}
    said = run_in_engine("nautilus_words.py", tmp_path, asked)
    assert said["symbols"] == {
        "pair": "BTC/USDT",
        "perpetual": "BTC/USDT:USDT",
        "inverse": "BTC/USD:BTC",
        "equity": "symbol_unknown",
        "unknown": "symbol_unknown",
    }
    hour, quarter, day, *refused = said["grids"]
    assert hour == ["1h", HOUR_MS, "close"]
    assert quarter == ["15m", HOUR_MS // 4, "close"]
    assert day == ["1d", 24 * HOUR_MS, "close"]
    was = [text.rpartition(", was ")[2] for text in refused]
    assert was == ["1-HOUR-LAST, 4-HOUR-LAST", "1-HOUR-MID", "100-TICK-LAST", "none"]
