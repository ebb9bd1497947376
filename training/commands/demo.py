"""`python -m training demo`: the whole product on one screen, each step as a person would type it."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from plugin.bar import Timeframe
from plugin.candle_store import CandleStore
from plugin.candles import SIMULATED_VENUE
from plugin.clock import utc_text
from plugin.command_line import NO, YES
from plugin.env_file import PREFIX
from training.candles import open_exchange
from training.settings import REFERENCE_ASSETS, TrainingSettings

_DAYS = 14
_TIMEFRAME = "1h"
_EXCHANGE = "binance"
_VENUE = "binance_spot"
_SINCE = "2018-01-01"
_URL_FLAG = "ML_EXCHANGE_URL"
_EPILOG = """\
example:
  python -m training demo

Bars come from the store that MARKET_DATA names, else from the exchange, else, without a network,
from a simulated market. Everything is written to the folder demo, which is emptied first.
"""


@dataclass(frozen=True)
class _Market:
    """Where the demo's bars lie; `fetch` are the arguments that bring them there, if they must be."""

    store: Path
    venue: str
    fetch: tuple[str, ...] = ()


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `demo`."""
    parser = subparsers.add_parser(
        "demo",
        help="train, gate, replay and report, from real bars, in a few minutes",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--folder", type=Path, default=Path("demo"), help="(default: demo)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run every step; the first one that fails ends the demo."""
    started = time.monotonic()
    console = Console(highlight=False)
    for part in ("models", "shadow"):
        shutil.rmtree(args.folder / part, ignore_errors=True)
    market = _choose_market(console, args.folder)
    folders = {
        "ML_MODELS_DIR": str(args.folder / "models"),
        "ML_SHADOW_DIR": str(args.folder / "shadow"),
        "ML_CANDLES_DIR": str(market.store),
    }
    step = _Steps(console, folders)
    where = ("--venue", market.venue)
    own_settings = ("--env", str(args.folder / ".env"))  # of which there is none: the defaults
    if market.fetch and not step("Fetch the bars", "training", "fetch", *market.fetch):
        return NO
    steps_succeeded = (
        step("Are the bars fit for use?", "training", "verify", *where, "--symbol", *REFERENCE_ASSETS)
        and step(
            f"Train and judge the ensemble; the last {_DAYS} days stay unseen",
            *("training", "run", *where, "--hold-out-days", str(_DAYS)),
        )
        and step("Is every member well?", "plugin", "health", "--skip-live", *own_settings)
        and step(
            f"Replay those {_DAYS} days, bar by bar, through the live pipeline in shadow",
            *("plugin", "replay", *where, "--days", str(_DAYS), *own_settings),
        )
        and step(
            "Do stored bars give every recorded number again?",
            *("shadow.audit", *where, "--days", str(_DAYS), *own_settings),
        )
    )
    if not steps_succeeded:
        return NO
    now = utc_text(_end_ms(market))
    page = ("--html", str(args.folder / "report.html"))
    report = ("--days", str(_DAYS), "--dir", folders["ML_SHADOW_DIR"], "--now", now, *page)
    step("What did the shadow records show?", "shadow.report", *report, may_say_no=True)
    _say_what_next(console, folders, market, now, time.monotonic() - started)
    return YES


def _choose_market(console: Console, folder: Path) -> _Market:
    if os.environ.get("MARKET_DATA"):
        return _Market(Path(os.environ["MARKET_DATA"]), _VENUE)
    store = folder / "candles"
    bars = ("--symbols", *REFERENCE_ASSETS, "--since", _SINCE, "--store", str(store))
    if open_exchange(_EXCHANGE, os.environ.get(_URL_FLAG)).answers():
        return _Market(store, _VENUE, bars)
    console.print(f"{_EXCHANGE} can not be reached: a SIMULATED market stands in", style="bold yellow")
    return _Market(store, SIMULATED_VENUE, (*bars, "--simulate"))


class _Steps:
    """Runs commands as a person would type them, and shows what was typed."""

    def __init__(self, console: Console, folders: dict[str, str]) -> None:
        self._console = console
        # What is set here for a bot is not for the demo: it may follow other symbols.
        kept = {key: text for key, text in os.environ.items() if not key.startswith(PREFIX)}
        self._environment = {**kept, _URL_FLAG: os.environ.get(_URL_FLAG, ""), **folders}
        self._number = 0

    def __call__(self, title: str, module: str, *arguments: str, may_say_no: bool = False) -> bool:
        """True where the command succeeded, or may answer "no" and did not break."""
        self._number += 1
        self._console.rule(f"{self._number}. {title}", align="left")
        self._console.print(f"$ python -m {module} {' '.join(arguments)}", style="bold", soft_wrap=True)
        ended = subprocess.run(
            [sys.executable, "-m", module, *arguments], env=self._environment, check=False
        )
        return ended.returncode == 0 or (may_say_no and ended.returncode in (1, 3))


def _end_ms(market: _Market) -> int:
    candles = CandleStore(market.store).read(
        market.venue, _TIMEFRAME, TrainingSettings(venue="").symbols[0]
    )
    return candles.first_open_ms + candles.n_bars * Timeframe.parse(_TIMEFRAME).length_ms


def _say_what_next(
    console: Console, folders: dict[str, str], market: _Market, now: str, seconds: float
) -> None:
    console.rule("What next?", align="left")
    if market.venue == SIMULATED_VENUE:
        console.print("All of this was a SIMULATED market: no real prices", style="bold yellow")
    exports = " ".join(f"{name}={value}" for name, value in folders.items())
    console.print(f"The demo took {seconds / 60:.1f} minutes. To look closer, type:\n", soft_wrap=True)
    activated = "VIRTUAL_ENV" in os.environ or sys.prefix == sys.base_prefix
    activate = () if activated else (f"source {os.path.relpath(sys.prefix)}/bin/activate",)
    for line in (
        *activate,
        f"export {exports}",
        f"python -m shadow.report --days 2 --now {now}",
        f"python -m shadow.dashboard --days {_DAYS}",
        "python -m plugin health --skip-live",
        f"python -m gates check {folders['ML_MODELS_DIR']}/bundles/* "
        f"--shadow-dir {folders['ML_SHADOW_DIR']} --now {now}",
        f"python -m training run --venue {market.venue} --symbols ETH/USDT",
    ):
        console.print(f"  {line}", soft_wrap=True)
    page = Path(folders["ML_SHADOW_DIR"]).parent / "report.html"
    console.print(f"\n{page} is the report in pictures. README.md tells what each command does.")
