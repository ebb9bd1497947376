"""`python -m plugin replay`: stored bars as events, one after the other, through the live pipeline."""

from __future__ import annotations

import argparse
import asyncio
import logging
import math
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from plugin.answer import Answer
from plugin.app import App
from plugin.bar import Timeframe
from plugin.candle_store import CandleStore
from plugin.candles import SIMULATED_VENUE
from plugin.clock import ReplayClock, utc_minute, utc_text
from plugin.command_line import NO, YES, add_command, print_json, utc_ms
from plugin.deadlines import REPLAY
from plugin.errors import WrongUse
from plugin.live_flags import LiveFlags
from plugin.logs import configure_logs
from plugin.reloader import Champion
from plugin.settings import load_settings
from plugin.sources.base import BarSource
from plugin.sources.paced import PacedSource
from plugin.sources.replay import ReplaySource

_DAY_MS = 86_400_000
_MAX_DAYS = 36_500
_MAX_PACE = 100_000
Tally: TypeAlias = "Counter[tuple[str, str]]"
"""How often each mode and action was answered."""
_EPILOG = """\
example:
  python -m plugin replay --store data/candles --days 14

The symbols, the timeframe and the folders of models and records are those of .env and the
environment (docs/settings.md). A replay that was stopped goes on with the same command: a bar
that is recorded is not recorded twice. A slow one, with --bars-per-second, can be told to reload
like a live process.
exit codes: 0 replayed, 1 records could not be written, 2 wrong use or no such bars, 130 stopped
"""


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `replay`."""
    parser = add_command(subparsers, "replay", "replay stored bars through the live pipeline", _EPILOG)
    parser.add_argument("--store", type=Path, help="folder of stored bars (default: ML_CANDLES_DIR)")
    parser.add_argument("--venue", default="binance_spot", help="(default: binance_spot)")
    parser.add_argument("--days", type=_days, default=14.0, help="the last so many days (default: 14)")
    parser.add_argument(
        "--since", type=utc_ms, metavar="DATE", help="first bar, UTC, instead of --days"
    )
    parser.add_argument("--until", type=utc_ms, metavar="DATE", help="end, UTC (default: all there is)")
    parser.add_argument(
        "--bars-per-second", type=_pace, metavar="N", help="of each symbol (default: as fast as it can)"
    )
    parser.add_argument("--env", type=Path, default=Path(".env"), help="(default: .env)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Replay and say what was answered."""
    settings = load_settings(args.env, os.environ)
    store = CandleStore(args.store or settings.candles_dir)
    timeframe = settings.timeframe
    first = store.read(args.venue, timeframe.name, settings.symbols[0], until_ms=args.until)
    until_ms = first.first_open_ms + first.n_bars * timeframe.length_ms
    since_ms = args.since if args.since is not None else until_ms - int(args.days * _DAY_MS)
    since_ms = max(since_ms, first.first_open_ms)
    if since_ms >= until_ms:
        was = f"none from {utc_text(since_ms)} to {utc_text(until_ms)}"
        raise WrongUse("a replay of at least one bar", was, "choose an earlier --since")
    clock = ReplayClock(since_ms)
    configure_logs(clock, as_json=args.json, level=logging.WARNING)

    def open_source(symbols: Sequence[str]) -> BarSource:
        candles = [store.read(args.venue, timeframe.name, symbol) for symbol in symbols]
        source = ReplaySource(candles, since_ms, until_ms, clock)
        return source if args.bars_per_second is None else PacedSource(source, args.bars_per_second)

    simulated = args.venue == SIMULATED_VENUE
    exchange = SIMULATED_VENUE if simulated else settings.exchange
    app = App(
        LiveFlags(args.env, os.environ),
        open_source,
        clock,
        exchange,
        deadlines=REPLAY,
        # A fast replay must not be taken for the live process beside it.
        state_folder=settings.socket.parent if args.bars_per_second is not None else None,
    )
    n_bars = (until_ms - since_ms) // timeframe.length_ms * len(settings.symbols)
    tally = _replay(app, n_bars, "SIMULATED bars" if simulated else "bars", quiet=args.json)
    _say(args, app, tally, since_ms, until_ms, simulated)
    return NO if app.writer.errors else YES


def _days(text: str) -> float:
    return _within(text, _MAX_DAYS, "days")


def _pace(text: str) -> float:
    return _within(text, _MAX_PACE, "bars per second")


def _within(text: str, most: int, what: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number <= most:
        raise argparse.ArgumentTypeError(f"expected 0 to {most:,} {what}, was {text!r}")
    return number


def _replay(app: App, n_bars: int, what: str, *, quiet: bool) -> Tally:
    tally: Tally = Counter()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), disable=quiet) as progress:
        task = progress.add_task(f"replaying {what}", total=n_bars)

        def deliver(answers: Sequence[Answer]) -> None:
            tally.update((answer.decision.mode, answer.decision.action) for answer in answers)
            progress.advance(task, len(answers))

        asyncio.run(app.run(deliver))
    return tally


def _say(
    args: argparse.Namespace,
    app: App,
    tally: Tally,
    since_ms: int,
    until_ms: int,
    simulated: bool,
) -> None:
    champion = app.reloader.champion
    settings = app.flags.current
    learnt_until_ms = _learnt_until_ms(champion)
    modes, actions = (_by(tally, place) for place in (0, 1))
    answer = {
        "simulated": simulated,
        "since": utc_text(since_ms),
        "until": utc_text(until_ms),
        "symbols": settings.symbols,
        "answered": tally.total(),
        "modes": modes,
        "actions": actions,
        "bundle": champion.bundle.bundle_id if champion else None,
        "learnt_until": utc_text(learnt_until_ms) if learnt_until_ms else None,
        "record_errors": app.writer.errors,
        "shadow_dir": str(settings.shadow_dir),
    }
    if args.json:
        print_json(answer)
        return
    console = Console(highlight=False)
    if simulated:
        console.print("SIMULATED market: no real prices", style="bold yellow")
    answered = f"{tally.total():,} bars answered in mode {', '.join(modes) or 'none'}"
    console.print(
        f"{answered}: " + (", ".join(f"{n:,} {name}" for name, n in actions.items()) or "none")
    )
    console.print(f"by {answer['bundle'] or 'no bundle'}; records in {settings.shadow_dir}")
    if learnt_until_ms > since_ms:
        seen = f"it learnt from bars up to {utc_minute(learnt_until_ms)}"
        console.print(f"{seen}: what it says of those shows no skill", style="yellow")
    if app.writer.errors:
        console.print(f"{app.writer.errors} records lost: {app.writer.last_error}", style="red")


def _learnt_until_ms(champion: Champion | None) -> int:
    """The close of the last bar that the bundle learnt from; 0 without a bundle."""
    if champion is None:
        return 0
    manifest = champion.bundle.manifest
    length_ms = Timeframe.parse(manifest.timeframe).length_ms
    bars = manifest.bars.values()
    return max((seen.first_open_ms + seen.n_bars * length_ms for seen in bars), default=0)


def _by(tally: Tally, place: int) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for key, n in tally.items():
        counts[key[place]] += n
    return dict(sorted(counts.items()))
