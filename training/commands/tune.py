"""`python -m training tune`: parameters of one member, chosen inside the training block."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from plugin.candle_store import CandleStore
from plugin.clock import utc_minute
from plugin.command_line import NO, YES, add_command, print_json
from plugin.errors import WrongUse
from training.commands.shared import add_bars, add_hold_out, add_models_dir, seed, until_ms
from training.dataset import Dataset
from training.learning import check_installed
from training.material import read_candles, rows_and_labels
from training.oof import Step
from training.search import Searched, search, study_name
from training.settings import TUNABLE, TrainingSettings
from training.trials import Subject, lightgbm_subject, open_block
from training.tuning import TUNABLE_MEMBERS, write_tuning

_DEFAULTS = TrainingSettings(venue="binance_spot")
_EPILOG = """\
example:
  python -m training tune --symbols BTC/USDT --until 2021-01-01 --trials 50
  python -m training run --symbols BTC/USDT --until 2021-01-01 --tuned models/studies/<name>.json
  python -m training tune --symbols BTC/USDT --until 2021-01-01 --member lstm --trials 8

Trials are judged by a walk-forward inside the block that a training only learns from; its test blocks
stay unseen. The first trial is the default parameters. A study that was stopped or killed goes on with
the same command, and with more --trials it goes on from where it ended.
exit codes: 0 better parameters than the defaults, 1 the defaults are the best, 2 wrong use or unusable
bars, 130 stopped
"""


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `tune`."""
    parser = add_command(
        subparsers, "tune", "search parameters of a member in the training block", _EPILOG
    )
    add_bars(parser)
    add_hold_out(parser)
    parser.add_argument(
        "--member",
        choices=TUNABLE_MEMBERS,
        default=TUNABLE.name,
        metavar="NAME",
        help=f"of {', '.join(TUNABLE_MEMBERS)} (default: {TUNABLE.name}; the others are networks, of"
        " which a trial takes minutes)",
    )
    parser.add_argument("--trials", type=_count, default=50, help="of the whole study (default: 50)")
    parser.add_argument(
        "--horizon",
        type=int,
        choices=_DEFAULTS.horizons,
        default=_DEFAULTS.primary_horizon,
        help="bars ahead (default: %(default)s)",
    )
    parser.add_argument(
        "--folds", type=_count, default=4, help="of the walk-forward inside the block (default: 4)"
    )
    parser.add_argument("--seed", type=seed, default=_DEFAULTS.seed, help="(default: %(default)s)")
    add_models_dir(parser)
    parser.add_argument(
        "--study", type=Path, metavar="FILE", help="(default: studies/<name>.db in the models folder)"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Search and say what was found; 0 where it is better than the defaults."""
    if args.study is not None and args.study.suffix == ".json":
        remedy = "give the study another ending, such as .db"
        raise WrongUse("a file beside which the result can stand as .json", args.study, remedy)
    store = CandleStore(args.store)
    settings = TrainingSettings(
        venue=args.venue,
        timeframe=args.timeframe,
        symbols=tuple(dict.fromkeys(args.symbols)),
        since_ms=args.since,
        until_ms=until_ms(args, store),
        n_folds=args.folds,
        seed=args.seed,
        networks=() if args.member == TUNABLE.name else (args.member,),
    )
    candles = read_candles(settings, store)
    columns = (
        TextColumn("tuning"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=Console(stderr=True), disable=args.json) as progress:
        task, best_yet = progress.add_task("features", total=args.trials), "defaults"

        def told(n_trials: int, best: float) -> None:
            nonlocal best_yet
            best_yet = "defaults" if math.isnan(best) else f"best AUC {best:.4f}"
            progress.update(task, completed=n_trials, description=best_yet)

        def epoch(what: str) -> None:
            progress.update(task, description=f"{best_yet}; {what}")

        subject = _subject(settings, rows_and_labels(settings, candles), args.horizon, epoch)
        name = study_name(settings, candles, subject)
        place = args.study or args.models_dir / "studies" / f"{name}.db"
        searched = search(place, name, subject, args.trials, told)
    result = place.with_suffix(".json")
    write_tuning(result, searched.tuning)
    if args.json:
        print_json(_as_json(searched, subject.defaults, place, result))
    else:
        _show(Console(highlight=False), searched, subject.defaults, place, result)
    return YES if searched.tuning.auc > searched.tuning.default_auc else NO


def _subject(settings: TrainingSettings, dataset: Dataset, horizon: int, epoch: Step) -> Subject:
    if not settings.networks:
        return lightgbm_subject(open_block(settings, dataset, horizon))
    check_installed()
    from training.network_trials import network_subject  # torch takes seconds to import

    return network_subject(settings, dataset, horizon, epoch)


def _as_json(
    searched: Searched, defaults: Mapping[str, float], place: Path, result: Path
) -> dict[str, Any]:
    where = {"study_file": str(place), "result_file": str(result), "default_parameters": defaults}
    more = {"folds": searched.folds, "importance": searched.importance}
    return {**msgspec.to_builtins(searched.tuning), **where, **more}


def _show(
    console: Console, searched: Searched, defaults: Mapping[str, float], place: Path, result: Path
) -> None:
    tuning = searched.tuning
    table = _table("parameter", "best", "default", "importance")
    for name, value in tuning.parameters.items():
        share = searched.importance.get(name)
        told = "" if share is None else f"{share:.0%}"
        table.add_row(name, f"{value:.4g}", f"{defaults[name]:.4g}", told)
    console.print(table, "")
    table = _table(f"AUC, {tuning.horizon} bars ahead, tested from", "best", "default", "rows")
    for fold in searched.folds:
        start, n_rows = utc_minute(int(fold["test_start_ms"]))[:10], f"{fold['n_test']:,}"
        table.add_row(start, f"{fold['auc']:.4f}", f"{fold['default_auc']:.4f}", n_rows)
    table.add_row("mean", f"{tuning.auc:.4f}", f"{tuning.default_auc:.4f}", "", style="bold")
    console.print(table, "")
    console.print(
        f"The best of {tuning.trials} trials ever run in this study, the defaults among them: the more"
        " trials, the better the best looks by luck alone. Only blocks that no trial saw say what it is"
        f" worth: `python -m training run --tuned {result}`",
        soft_wrap=True,
        markup=False,
    )
    console.print(f"study: {place}", soft_wrap=True, markup=False)


def _table(first: str, *headings: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column(first, no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number from 1 on, was {text!r}")
    return int(text)
