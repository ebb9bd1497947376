"""Instruments and bar types of nautilus_trader in shadowgate's words, and the examples of its page.

Run by the Python in which nautilus_trader is installed; see tests/hosts/test_nautilus_words.py.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from nautilus_trader.model.data import BarType
from nautilus_trader.test_kit.providers import TestInstrumentProvider

from plugin.hosts.nautilus_bars import Grid, Unfit, symbol_of

INSTRUMENTS = {
    "pair": TestInstrumentProvider.btcusdt_binance(),
    "perpetual": TestInstrumentProvider.btcusdt_perp_binance(),
    "inverse": TestInstrumentProvider.xbtusd_bitmex(),
    "equity": TestInstrumentProvider.equity(),
    "unknown": None,
}


def symbol(name: str) -> str:
    try:
        return symbol_of(INSTRUMENTS[name])
    except Unfit as unfit:
        return unfit.reason


def grid(specs: list[str]) -> Any:
    try:
        return Grid.of([BarType.from_str(f"BTCUSDT.BINANCE-{spec}") for spec in specs], "close")
    except ValueError as error:
        return str(error)


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    for example in asked["examples"]:
        exec(example, {"__name__": "example"})  # noqa: S102 - what the page shows must run
    grids = [grid(specs) for specs in asked["bar_types"]]
    print(json.dumps({"symbols": {name: symbol(name) for name in INSTRUMENTS}, "grids": grids}))
