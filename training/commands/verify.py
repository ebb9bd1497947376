"""`python -m training verify`: tell which stored rows can not be used, and why."""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass

from rich import box
from rich.console import Console
from rich.table import Table

from plugin.bar import Timeframe
from plugin.candle_store import CandleStore
from plugin.clock import SystemClock, utc_minute
from plugin.command_line import add_command, print_json, utc_ms
from plugin.errors import WrongUse
from training.candles import SIMULATED_VENUE, Verification, verify
from training.candles.verification import MAX_UNUSABLE_SHARE, MEANING
from training.commands.shared import add_store

_EPILOG = """\
examples:
  python -m training verify --venue binance_spot
  python -m training verify --symbol BTC/USDT --details

A file must not be used if more of its rows are unusable than the limit allows, if it ends in a
dead stretch, if its rows are out of order or if it has none. Gaps and spikes make no row unusable.
exit codes: 0 all can be used, 1 some must not, 2 wrong use or a file that can not be read
"""


@dataclass(frozen=True)
class _Checked:
    """One file: what was found, or why it could not be read."""

    venue: str
    symbol: str
    found: Verification | None
    why: tuple[str, ...]


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `verify`."""
    parser = add_command(subparsers, "verify", "find gaps and unusable rows in stored bars", _EPILOG)
    add_store(parser)
    parser.add_argument("--venue", help="such as binance_spot (default: all)")
    parser.add_argument("--timeframe", default="1h", help="length of a bar (default: 1h)")
    parser.add_argument("--symbol", nargs="+", metavar="BASE/QUOTE", help="(default: all)")
    parser.add_argument("--now", type=utc_ms, metavar="TIME", help="UTC; bars close before it")
    parser.add_argument(
        "--max-unusable-share",
        type=float,
        default=MAX_UNUSABLE_SHARE,
        help=f"of the rows of a file (default: {MAX_UNUSABLE_SHARE})",
    )
    parser.add_argument("--details", action="store_true", help="list every gap, stretch and spike")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Verify the chosen files and say what was found; 0 when every one can be used."""
    checked = _check_all(args)
    if args.json:
        print_json(_as_json(checked, args))
    else:
        _show(checked, args.details)
    if any(one.found is None for one in checked):
        return 2
    return int(any(one.why for one in checked))


def _check_all(args: argparse.Namespace) -> list[_Checked]:
    store = CandleStore(args.store)
    grid = Timeframe.parse(args.timeframe)
    now_ms = SystemClock().now_ms() if args.now is None else args.now
    checked = []
    for venue, symbol in _chosen(store, args.venue, args.timeframe, args.symbol):
        try:
            found = verify(store.read_raw(venue, args.timeframe, symbol), grid, now_ms)
            checked.append(_Checked(venue, symbol, found, found.failures(args.max_unusable_share)))
        except WrongUse as error:
            # One damaged file must not hide what is wrong with the others.
            checked.append(_Checked(venue, symbol, None, (str(error),)))
    return checked


def _chosen(
    store: CandleStore, venue: str | None, timeframe: str, symbols: list[str] | None
) -> list[tuple[str, str]]:
    venues = store.venues(timeframe) if venue is None else (venue,)
    stored = [(name, symbol) for name in venues for symbol in store.symbols(name, timeframe)]
    if not stored:
        was = f"none in {store.root}" + (f" for {venue}" if venue else "")
        remedy = "correct the path or run `python -m training fetch`"
        raise WrongUse(f"stored {timeframe} bars", was, remedy)
    for symbol in symbols or ():
        if symbol not in {name for _, name in stored}:
            store.read_raw(venues[0], timeframe, symbol)  # raises with the nearest names
    return [pair for pair in stored if symbols is None or pair[1] in symbols]


def _as_json(checked: list[_Checked], args: argparse.Namespace) -> dict[str, object]:
    return {
        "ok": not any(one.why for one in checked),
        "store": str(args.store),
        "timeframe": args.timeframe,
        "max_unusable_share": args.max_unusable_share,
        "symbols": [
            {
                "venue": one.venue,
                "symbol": one.symbol,
                "ok": not one.why,
                "why": one.why,
                **(_found_as_json(one.found) if one.found else {}),
            }
            for one in checked
        ],
    }


def _found_as_json(found: Verification) -> dict[str, object]:
    totals = {
        "n_missing": found.n_missing,
        "n_unusable": found.n_unusable,
        "usable_share": found.usable_share,
        "reasons": found.reasons,
    }
    return {**asdict(found), **totals}


def _show(checked: list[_Checked], details: bool) -> None:
    console = Console()
    for venue in dict.fromkeys(one.venue for one in checked):
        here = [one for one in checked if one.venue == venue]
        console.print(_table(venue, here))
        for one in here:
            _show_faults(console, one)
            if details and one.found:
                _show_details(console, one.symbol, one.found)


def _table(venue: str, checked: list[_Checked]) -> Table:
    simulated = venue == SIMULATED_VENUE
    table = Table(
        title="SIMULATED market: no real prices" if simulated else venue,
        title_style="bold yellow" if simulated else "bold",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=0,
    )
    for name in ("Symbol", "From", "To"):
        table.add_column(name, no_wrap=True)
    for name in ("Bars", "Gaps (bars)", "Usable", "Spikes"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("Verdict", no_wrap=True)
    for one in checked:
        verdict = "[red]not usable[/red]" if one.why else "[green]usable[/green]"
        table.add_row(one.symbol, *(_cells(one.found) if one.found else [""] * 6), verdict)
    return table


def _cells(found: Verification) -> list[str]:
    return [
        *("" if end is None else _time(end)[:10] for end in (found.first_ms, found.last_ms)),
        f"{found.n_rows:,}",
        f"{len(found.gaps):,} ({found.n_missing:,})",
        f"{found.usable_share:.2%}",
        f"{len(found.spikes_ms):,}",
    ]


def _show_faults(console: Console, one: _Checked) -> None:
    if one.why:
        console.print(
            f"{one.symbol}  must not be used: {', '.join(one.why)}", style="red", markup=False
        )
    for reason, n_rows in (one.found.reasons if one.found else {}).items():
        console.print(f"{one.symbol}  {n_rows:,} rows {reason}: {MEANING[reason]}")


def _show_details(console: Console, symbol: str, found: Verification) -> None:
    for gap in found.gaps:
        console.print(f"{symbol}  gap from {_time(gap.first_ms)} on, missing bars: {gap.n_bars}")
    for stretch in found.unusable:
        span = f"{_time(stretch.first_ms)} to {_time(stretch.last_ms)}"
        console.print(f"{symbol}  {stretch.n_bars} rows {stretch.reason}, {span}")
    for spike_ms in found.spikes_ms:
        console.print(f"{symbol}  spike at {_time(spike_ms)}: a jump that the next bar undid")


def _time(time_ms: int) -> str:
    try:
        return utc_minute(time_ms)
    except (ValueError, OverflowError):  # a time in another unit may lie beyond all calendars
        return str(time_ms)
