"""A backtest in the real engine, run by the Python in which nautilus_trader is installed.

Reads a list of JSON objects from standard input, see `Backtest` in tests/support/nautilus_bot.py, and
prints an object for each: the trades, and the decisions that the strategy saw.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from nautilus_trader.backtest.config import BacktestEngineConfig
from nautilus_trader.backtest.engine import BacktestEngine
from nautilus_trader.config import LoggingConfig
from nautilus_trader.model.currencies import USDT
from nautilus_trader.model.data import Bar, BarType
from nautilus_trader.model.enums import AccountType, OmsType
from nautilus_trader.model.identifiers import InstrumentId, Symbol, Venue
from nautilus_trader.model.instruments import CurrencyPair
from nautilus_trader.model.objects import Currency, Money, Price, Quantity

from plugin.hosts.nautilus import (
    DECISIONS,
    ShadowgateActor,
    ShadowgateActorConfig,
    ShadowgateConfig,
)

_VENUE = Venue("BINANCE")
_HOUR_NS = 3_600_000_000_000
_DECIMALS = 8


def bar_type(asset: str) -> BarType:
    return BarType.from_str(f"{asset}USDT.BINANCE-1-HOUR-LAST-EXTERNAL")


def pair(asset: str) -> CurrencyPair:
    smallest = f"{10**-_DECIMALS:.{_DECIMALS}f}"
    symbol = Symbol(f"{asset}USDT")
    return CurrencyPair(
        instrument_id=InstrumentId(symbol, _VENUE),
        raw_symbol=symbol,
        base_currency=Currency.from_str(asset),
        quote_currency=USDT,
        price_precision=_DECIMALS,
        size_precision=_DECIMALS,
        price_increment=Price.from_str(smallest),
        size_increment=Quantity.from_str(smallest),
        ts_event=0,
        ts_init=0,
    )


def bars(store: Path, asset: str, stamp_ns: int, absent_ms: list[int]) -> Iterator[Bar]:
    """Stored bars as nautilus has them: known from their close on, stamped `stamp_ns` after it."""
    table = pq.read_table(store / f"{asset}-USDT.parquet").to_pydict()
    columns = (table[name] for name in ("ts", "open", "high", "low", "close", "volume"))
    for opened_ms, *prices, volume in zip(*columns, strict=True):
        if opened_ms in absent_ms:
            continue
        closed_ns = opened_ms * 1_000_000 + _HOUR_NS
        yield Bar(
            bar_type(asset),
            *(Price(price, _DECIMALS) for price in prices),
            Quantity(volume, _DECIMALS),
            closed_ns + stamp_ns,
            closed_ns,
        )


def example(path: Path) -> Any:
    """The strategy of the documentation, as a module."""
    spec = importlib.util.spec_from_file_location("example", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["example"] = module
    spec.loader.exec_module(module)
    return module


def main(asked: dict[str, Any]) -> dict[str, Any]:
    seen: list[tuple[Bar, Any, float]] = []
    module = example(Path(asked["example"]))

    class Watched(module.Trend):
        """The example, with a note of what it saw; alone, it trades on its bars at once."""

        def on_start(self) -> None:
            super().on_start()
            if asked["strategy"] == "listens":
                self.subscribe_data(DECISIONS)

        def on_bar(self, bar: Bar) -> None:
            if asked["strategy"] == "asks":
                super().on_bar(bar)
            elif bar.bar_type == self.config.bar_type:
                self.closes.append(float(bar.close))
                if asked["strategy"] == "alone":
                    self.trade(bar, 1.0)

        def on_data(self, data: Any) -> None:
            seen.append((data.bar, data.decision, data.ts_init))
            self.trade(data.bar, 1.0)

        def on_decision(self, bar: Bar, decision: Any) -> None:
            seen.append((bar, decision, self.clock.timestamp_ns()))
            if len(seen) == asked["signal_after"]:
                os.kill(*asked["signal"])
            super().on_decision(bar, decision)

    settings = ShadowgateConfig(
        bar_types=tuple(bar_type(asset) for asset in asked["assets"]),
        companions=tuple(bar_type(asset) for asset in asked["companions"]),
        socket=asked["socket"],
        deadline_s=asked["deadline_s"],
        stamped=asked["stamped"],
    )
    engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(log_level="ERROR")))
    engine.add_venue(_VENUE, OmsType.NETTING, AccountType.CASH, [Money(1_000_000, USDT)])
    for asset in (*asked["assets"], *asked["companions"]):
        engine.add_instrument(pair(asset))
        absent_ms = asked["absent"].get(asset, [])
        engine.add_data(list(bars(Path(asked["store"]), asset, asked["stamp_ns"], absent_ms)))
    if asked["strategy"] == "listens":
        engine.add_actor(ShadowgateActor(ShadowgateActorConfig(shadowgate=settings)))
    first = bar_type(asked["assets"][0])
    engine.add_strategy(Watched(module.TrendConfig(bar_type=first, shadowgate=settings)))
    engine.run()
    fills = engine.trader.generate_order_fills_report()
    engine.dispose()
    trades = [
        [str(fill.ts_last), fill.side, str(fill.filled_qty), str(fill.avg_px)]
        for fill in fills.itertuples()
    ]
    return {"trades": trades, "decisions": [_said(*one) for one in seen]}


def _said(bar: Bar, decision: Any, answered_ns: int) -> dict[str, Any]:
    closed_ns = bar.ts_init
    return {
        **vars(decision),
        "bar": str(bar.bar_type),
        "closed_ns": closed_ns,
        "answered_ns": answered_ns,
    }


if __name__ == "__main__":
    print(json.dumps([main(asked) for asked in json.load(sys.stdin)]))
