"""A live node of the real engine, run by the Python in which nautilus_trader is installed.

Its venue is a data client that has a history, and sends the bars of the hour that closed last when it
is told to. Reads one JSON object from standard input, see tests/hosts/test_nautilus_live.py, and prints
one: the decisions that came, and how often the loop could turn while the first was awaited.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from typing import Any, ClassVar

from nautilus_backtest import bar_type, pair  # lies beside this file
from nautilus_trader.common.providers import InstrumentProvider
from nautilus_trader.config import (
    LiveDataClientConfig,
    LiveExecEngineConfig,
    LoggingConfig,
    TradingNodeConfig,
)
from nautilus_trader.live.data_client import LiveMarketDataClient
from nautilus_trader.live.factories import LiveDataClientFactory
from nautilus_trader.live.node import TradingNode
from nautilus_trader.model.data import Bar
from nautilus_trader.model.identifiers import ClientId, Venue
from nautilus_trader.model.objects import Price, Quantity
from nautilus_trader.trading.strategy import Strategy

from plugin.hosts.nautilus import Shadowgate, ShadowgateConfig

_HOUR_NS = 3_600_000_000_000
_N_HISTORY = 520
_TURN_S = 0.01
_PATIENCE_S = 60.0
NEWEST_CLOSE_NS = time.time_ns() // _HOUR_NS * _HOUR_NS


def bar(asset: str, closed_ns: int, *, close: str = "11.0", is_revision: bool = False) -> Bar:
    prices = (Price.from_str(text) for text in ("10.0", "12.0", "9.0", close))
    return Bar(bar_type(asset), *prices, Quantity.from_str("5.0"), closed_ns, closed_ns, is_revision)


class Exchange(LiveMarketDataClient):
    """Nothing but bars."""

    async def _connect(self) -> None:
        pass

    async def _disconnect(self) -> None:
        pass

    async def _subscribe_bars(self, command: Any) -> None:
        pass

    async def _request_bars(self, request: Any) -> None:
        asset = request.bar_type.instrument_id.symbol.value.removesuffix("USDT")
        # The hour that is still open comes along, as with some venues.
        bars = [bar(asset, NEWEST_CLOSE_NS - n * _HOUR_NS) for n in range(_N_HISTORY, -2, -1) if n]
        self._handle_bars_py(
            request.bar_type, bars, request.id, request.start, request.end, request.params
        )

    def send(self, one: Bar) -> None:
        self._handle_data_py(one)


class Factory(LiveDataClientFactory):
    made: ClassVar[list[Exchange]] = []

    @staticmethod
    def create(loop: Any, name: str, config: Any, msgbus: Any, cache: Any, clock: Any) -> Exchange:
        venue = Venue("BINANCE")
        provider = InstrumentProvider()
        client = Exchange(loop, ClientId(name), venue, msgbus, cache, clock, provider)
        Factory.made.append(client)
        return client


class Asks(Strategy):
    """Notes what comes, and in which thread."""

    def __init__(self, settings: ShadowgateConfig) -> None:
        super().__init__()
        self.shadowgate = Shadowgate(self, settings, self.on_decision)
        self.seen: list[dict[str, Any]] = []

    def on_start(self) -> None:
        self.shadowgate.start()

    def on_stop(self) -> None:
        self.shadowgate.stop()

    def on_historical_data(self, data: Any) -> None:
        self.shadowgate.take_history(data)

    def on_bar(self, one: Bar) -> None:
        self.shadowgate.take(one, host_signal="long")

    def on_decision(self, one: Bar, decision: Any) -> None:
        told = self.shadowgate.decision_for(one)
        self.seen.append(
            {
                **vars(decision),
                "follows": self.shadowgate.follows(decision),
                "is_told": told == decision,
                "in_main_thread": threading.current_thread() is threading.main_thread(),
            }
        )


async def run(node: TradingNode, strategy: Asks, asked: dict[str, Any]) -> dict[str, Any]:
    running = asyncio.create_task(node.run_async())
    await until(lambda: strategy.is_running)
    await asyncio.sleep(asked["pause_s"])  # for the history to come
    (exchange,) = Factory.made
    over = threading.Event()
    for _ in range(asked["n_busy"]):
        strategy.run_in_executor(over.wait)
    n_turns = 0
    for one in asked["bars"]:
        closed_ns = NEWEST_CLOSE_NS + one.pop("hours", 0) * _HOUR_NS
        exchange.send(bar(one.pop("asset"), closed_ns, **one))
    until_s = time.monotonic() + _PATIENCE_S
    while len(strategy.seen) < asked["n_decisions"] and time.monotonic() < until_s:
        await asyncio.sleep(_TURN_S)
        n_turns += 1
    await asyncio.sleep(asked["pause_s"])  # for what must not come
    said = {"decisions": list(strategy.seen), "n_turns": n_turns, "close_ns": NEWEST_CLOSE_NS}
    over.set()
    await until(lambda: not strategy.has_any_tasks())
    await node.stop_async()
    await running
    return said


async def until(holds: Any) -> None:
    until_s = time.monotonic() + _PATIENCE_S
    while not holds() and time.monotonic() < until_s:
        await asyncio.sleep(_TURN_S)


def main(asked: dict[str, Any]) -> dict[str, Any]:
    settings = ShadowgateConfig(
        bar_types=(bar_type("BTC"),),
        companions=(bar_type("ETH"),),
        socket=asked["socket"],
        deadline_s=asked["deadline_s"],
        companions_s=asked["companions_s"],
    )
    node = TradingNode(
        TradingNodeConfig(
            logging=LoggingConfig(log_level="ERROR"),
            exec_engine=LiveExecEngineConfig(reconciliation=False),
            data_clients={"BINANCE": LiveDataClientConfig()},
            timeout_connection=5.0,
            timeout_disconnection=1.0,
            timeout_post_stop=0.1,
        )
    )
    node.add_data_client_factory("BINANCE", Factory)
    for asset in ("BTC", "ETH"):
        node.kernel.cache.add_instrument(pair(asset))
    strategy = Asks(settings)
    node.trader.add_strategy(strategy)
    node.build()
    node.kernel.loop.set_debug(True)  # which refuses to be touched by another thread
    try:
        return node.kernel.loop.run_until_complete(run(node, strategy, asked))
    finally:
        node.dispose()


if __name__ == "__main__":
    print(json.dumps(main(json.load(sys.stdin))), flush=True)
