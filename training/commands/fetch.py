"""`python -m training fetch`: download bars into the store, or simulate a market."""

from __future__ import annotations

import argparse
import os
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from plugin.bar import Timeframe
from plugin.clock import SystemClock
from plugin.command_line import add_command, print_json, utc_ms
from training.candles import (
    SIMULATED_VENUE,
    CandleWriter,
    Fetched,
    fetch,
    open_exchange,
    simulate,
)
from training.commands.fetch_progress import FetchBars
from training.commands.shared import add_store

_EPILOG = """\
example:
  python -m training fetch --symbols BTC/USDT ETH/USDT --since 2021-01-01

Only what the store lacks is downloaded; stopped at any moment, the same command goes on from there.
ML_EXCHANGE_URL=https://host sends the requests to a mirror or a reverse proxy of the exchange.
exit codes: 0 done, 1 the exchange gives no usable answer, 2 wrong use, 130 stopped by Ctrl-C
"""


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `fetch`."""
    parser = add_command(
        subparsers, "fetch", "download bars into the store, or simulate a market", _EPILOG
    )
    parser.add_argument("--symbols", nargs="+", required=True, metavar="BASE/QUOTE")
    parser.add_argument("--since", type=utc_ms, required=True, metavar="DATE", help="first bar, UTC")
    parser.add_argument("--until", type=utc_ms, metavar="DATE", help="end, UTC (default: now)")
    parser.add_argument("--exchange", default="binance", help="name in ccxt (default: binance)")
    parser.add_argument("--timeframe", default="1h", help="length of a bar (default: 1h)")
    parser.add_argument("--simulate", action="store_true", help="write a simulated market, no network")
    parser.add_argument("--seed", type=int, default=1, help="of the simulated market (default: 1)")
    add_store(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Fetch or simulate, then say what is stored; 0 when all of it is."""
    fetched = _simulate(args) if args.simulate else _download(args)
    if args.json:
        print_json({"simulated": args.simulate, "symbols": [asdict(one) for one in fetched]})
    else:
        Console().print(_table(fetched, "SIMULATED market: no real prices" if args.simulate else None))
    return 0


def _download(args: argparse.Namespace) -> list[Fetched]:
    store = CandleWriter(args.store)
    with FetchBars() as bars:
        exchange = open_exchange(args.exchange, os.environ.get("ML_EXCHANGE_URL"), bars.waiting)
        # A misspelt name should not show after the first symbols took minutes.
        for symbol in args.symbols:
            exchange.market(symbol)
        return [
            fetch(exchange, symbol, args.timeframe, args.since, args.until, store, bars)
            for symbol in args.symbols
        ]


def _simulate(args: argparse.Namespace) -> list[Fetched]:
    end_ms = SystemClock().now_ms() if args.until is None else args.until
    n_bars = (end_ms - args.since) // Timeframe.parse(args.timeframe).length_ms
    store = simulate(args.store, args.symbols, args.timeframe, n_bars, args.seed, end_ms)
    paths = {name: store.path(SIMULATED_VENUE, args.timeframe, name) for name in args.symbols}
    return [
        Fetched(SIMULATED_VENUE, name, n_bars, 0, n_bars, str(path)) for name, path in paths.items()
    ]


def _table(fetched: list[Fetched], title: str | None) -> Table:
    table = Table(title=title, title_style="bold yellow")
    table.add_column("Venue")
    table.add_column("Symbol")
    for name in ("New bars", "Revised", "Stored"):
        table.add_column(name, justify="right")
    for one in fetched:
        counts = (f"{count:,}" for count in (one.n_new, one.n_revised, one.n_bars))
        table.add_row(one.venue, one.symbol, *counts)
    return table
