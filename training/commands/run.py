"""`python -m training run`: from stored bars to a judged bundle."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from gates.limits import load_limits
from gates.promotion import Standing
from plugin.candle_store import CandleStore
from plugin.command_line import NO, YES, add_command, print_json
from plugin.errors import WrongUse
from plugin.registry import Registry
from plugin.settings import SEQUENCE_MEMBERS
from training.attempts import BY_COMMAND
from training.commands.shared import DAY_MS, add_bars, add_hold_out, add_models_dir, seed, until_ms
from training.meta_models import META_KINDS
from training.rendering import show_outcome
from training.retrain import Outcome, n_steps, retrain
from training.settings import LONGER_MEMBERS, MEMBERS, TrainingSettings
from training.tuning import read_tuning

_STOPPED = 130
_DEFAULT_MEMBERS = tuple(member.name for member in MEMBERS)
_ROW_MEMBERS = (*_DEFAULT_MEMBERS, *(member.name for member in LONGER_MEMBERS))
_QUICK_DAYS = 180
_QUICK_FOLDS = 2
_DEFAULTS = TrainingSettings(venue="binance_spot")
_BECAME: dict[Standing, str] = {
    "champion": "champion: it serves from now on",
    "challenger": "challenger, beside {champion}; `python -m gates review` says how it does",
    "waiting": "waiting: the challenger's seat is taken by {challenger}",
    "equal": "equal: the champion has learnt the very same; there is nothing to try",
    "unfit": "unfit: a gate of the level shadow did not pass; it is kept and never loaded",
}
_EPILOG = """\
example:
  python -m training run --symbols BTC/USDT ETH/USDT --hold-out-days 14

The bundle is written to models/bundles, a record of the run to models/runs. The first bundle that
is fit for shadow becomes the champion, the next one its challenger. A training that was stopped or
killed goes on with the same command and --resume.
exit codes: 0 fit for shadow or live, 1 fit for nothing, 2 wrong use or unusable bars, 130 stopped
"""


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `run`."""
    parser = add_command(subparsers, "run", "train the ensemble and judge the bundle", _EPILOG)
    add_bars(parser)
    add_hold_out(parser)
    parser.add_argument("--folds", type=int, default=_DEFAULTS.n_folds, help="of the walk-forward")
    parser.add_argument("--seed", type=seed, default=_DEFAULTS.seed, help="(default: %(default)s)")
    add_models_dir(parser)
    parser.add_argument(
        "--tuned",
        type=Path,
        metavar="FILE",
        help="what `tune` found for one of the members (default: default parameters)",
    )
    parser.add_argument(
        "--members",
        nargs="+",
        choices=(*_ROW_MEMBERS, *SEQUENCE_MEMBERS),
        metavar="NAME",
        help=f"of {', '.join((*_ROW_MEMBERS, *SEQUENCE_MEMBERS))} (default: the first"
        f" {len(_DEFAULT_MEMBERS)}; {' and '.join(one.name for one in LONGER_MEMBERS)} look at longer"
        f" bars, the others are networks and take minutes each)",
    )
    parser.add_argument(
        "--meta",
        choices=META_KINDS,
        default=_DEFAULTS.meta,
        help="the kind of the meta-model (default: %(default)s)",
    )
    parser.add_argument(
        "--quick-test",
        action="store_true",
        help="the whole walk in two minutes, to see that it works: the newest half year, two folds,"
        " networks that learn for a moment; the bundle is as good as nothing",
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on where the same training was cut off, if it was"
    )
    parser.add_argument(
        "--trigger", default=BY_COMMAND, metavar="TEXT", help="why it is trained (default: %(default)s)"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Train and say how good it is; 0 where the bundle may at least be recorded."""
    store = CandleStore(args.store)
    end_ms, quick = until_ms(args, store), args.quick_test
    chosen = args.members or (*_DEFAULT_MEMBERS, *(SEQUENCE_MEMBERS if quick else ()))
    settings = TrainingSettings(
        venue=args.venue,
        timeframe=args.timeframe,
        symbols=tuple(dict.fromkeys(args.symbols)),
        since_ms=max(args.since, end_ms - _QUICK_DAYS * DAY_MS) if quick else args.since,
        until_ms=end_ms,
        n_folds=min(args.folds, _QUICK_FOLDS) if quick else args.folds,
        seed=args.seed,
        members=_chosen(chosen, _ROW_MEMBERS),
        networks=_chosen(chosen, SEQUENCE_MEMBERS),
        quick=quick,
        meta=args.meta,
        tuning=read_tuning(args.tuned) if args.tuned else None,
    )
    if not settings.members:
        raise WrongUse(f"at least one of {', '.join(_ROW_MEMBERS)}", " ".join(chosen), "add one")
    trained = (*settings.members, *settings.networks)
    if settings.tuning is not None and settings.tuning.member not in trained:
        remedy = "add it to --members, or leave --tuned out"
        raise WrongUse(f"the member {settings.tuning.member}, as it was tuned", "not trained", remedy)
    try:
        outcome = _train(args, settings, store)
    except KeyboardInterrupt:
        sys.stderr.write("stopped; with --resume the same command goes on from there\n")
        return _STOPPED
    if args.json:
        print_json(outcome.record)
    else:
        console = Console(highlight=False)
        show_outcome(console, outcome)
        _show_role(console, args.models_dir, outcome)
    return NO if outcome.report.level == "none" else YES


def _chosen(names: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for name in known if name in names)


def _train(args: argparse.Namespace, settings: TrainingSettings, store: CandleStore) -> Outcome:
    limits = load_limits()
    columns = (
        TextColumn("training"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=Console(stderr=True), disable=args.json) as progress:
        task = progress.add_task("features", total=n_steps(settings))
        return retrain(
            settings,
            store,
            args.models_dir,
            limits,
            lambda what: progress.update(task, advance=1, description=what),
            trigger=args.trigger,
            resume=args.resume,
            word=lambda what: progress.update(task, description=what),
        )


def _show_role(console: Console, models_dir: Path, outcome: Outcome) -> None:
    """The last words: which candidate it was, what it took over, what became of it."""
    resumed = outcome.record["resumed"]
    if resumed["reused"]:
        console.print(f"resumed: {len(resumed['reused'])} models had been trained before the cut")
    if resumed["damaged"]:
        console.print(f"damaged and made again: {', '.join(resumed['damaged'])}", soft_wrap=True)
    registry = Registry(models_dir)
    champion, challenger = registry.champion(), registry.challenger()
    words = _BECAME[outcome.role].format(
        champion=champion and champion.bundle_id, challenger=challenger and challenger.bundle_id
    )
    console.print(f"candidate number {outcome.record['candidate']} is {words}", soft_wrap=True)
