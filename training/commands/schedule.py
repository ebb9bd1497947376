"""`python -m training schedule`: train by the calendar and by triggers, and review the roles."""

from __future__ import annotations

import argparse
import math
import os
import signal
import threading
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from plugin.candle_store import CandleStore
from plugin.clock import SystemClock, utc_text
from plugin.command_line import YES, add_command, print_json
from plugin.logs import configure_logs
from plugin.registry import Registry
from plugin.settings import Settings, load_settings
from training.attempts import attempts
from training.background import RunLimits
from training.job_store import read_plan
from training.reasons import days_since_good, look
from training.schedule import JOBS, Schedule, ScheduleOptions
from training.scheduled_run import RunOptions, failures_in_a_row, free_from_ms
from training.triggers import Watch

_GIB = 2**30
_LEAST_GIB = 4  # of address space: the check of a bundle asks for as much
_SHOWN_ATTEMPTS = 10
_EPILOG = """\
examples:
  python -m training schedule
  python -m training schedule --status
  python -m training schedule -- --folds 8 --hold-out-days 14

What stands behind -- goes to `python -m training run`. The flags ML_RETRAIN_CRON, ML_AUTO_PROMOTE and
those of markets and folders are read from .env, the first two again and again. docs/retraining.md has
the rules.
exit codes: 0 stopped by a signal or nothing more to do, 2 wrong use
"""


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `schedule`."""
    parser = add_command(
        subparsers, "schedule", "train by the calendar and by triggers, and review the roles", _EPILOG
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--once", action="store_true", help="do what is due now and end")
    what.add_argument("--status", action="store_true", help="say what is planned and what has been")
    parser.add_argument("--env", type=Path, default=Path(".env"), help="(default: .env)")
    parser.add_argument(
        "--job-store",
        metavar="URL",
        help="such as postgresql://host/base (default: schedule.sqlite among the models)",
    )
    parser.add_argument("--venue", help="of the bars (default: spot at ML_EXCHANGE)")
    parser.add_argument(
        "--since",
        default="2018-01-01",
        metavar="DATE",
        help="first bar to fetch (default: %(default)s)",
    )
    parser.add_argument("--no-fetch", action="store_true", help="another process fills the store")
    parser.add_argument(
        "--max-age-days",
        type=_positive,
        default=30.0,
        metavar="DAYS",
        help="without new bars in what serves (default: 30)",
    )
    parser.add_argument(
        "--max-hours", type=_positive, default=6.0, metavar="HOURS", help="for one command (default: 6)"
    )
    parser.add_argument(
        "--max-memory-gib",
        type=_memory,
        default=16.0,
        metavar="GIB",
        help="of address space (default: 16)",
    )
    parser.add_argument("run_arguments", nargs="*", metavar="ARGUMENT", help=argparse.SUPPRESS)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the schedule, or say how it stands."""
    settings = load_settings(args.env, os.environ)
    if args.status:
        return _status(args, settings)
    configure_logs(SystemClock(), as_json=args.json)
    stop = threading.Event()
    schedule = Schedule(_options(args, settings), settings, SystemClock(), stop)
    asked = False

    def ask_to_stop(_signal: int, _frame: object) -> None:
        nonlocal asked
        asked = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask_to_stop)
    schedule.run(once=args.once, asked_to_stop=lambda: asked)
    return YES


def _options(args: argparse.Namespace, settings: Settings) -> ScheduleOptions:
    return ScheduleOptions(
        env_file=args.env,
        environ=dict(os.environ),
        job_store=_job_store(args, settings),
        max_age_days=args.max_age_days,
        run=RunOptions(
            venue=args.venue,
            since=None if args.no_fetch else args.since,
            more=tuple(args.run_arguments),
            limits=RunLimits(args.max_hours * 3600, int(args.max_memory_gib * _GIB)),
        ),
    )


def _job_store(args: argparse.Namespace, settings: Settings) -> str:
    return args.job_store or f"sqlite:///{settings.models_dir.absolute() / 'schedule.sqlite'}"


def _status(args: argparse.Namespace, settings: Settings) -> int:
    now_ms = SystemClock().now_ms()
    known = attempts(settings.models_dir)
    registry = Registry(settings.models_dir)
    watch = Watch(CandleStore(settings.candles_dir), registry, args.max_age_days)
    plan = read_plan(_job_store(args, settings), JOBS)
    free_ms = free_from_ms(known)
    hours = days_since_good(known, now_ms) * 24
    status = {
        "jobs": {name: msgspec.to_builtins(planned) for name, planned in plan.items()},
        "hours_since_the_last_good_training": hours if math.isfinite(hours) else None,
        "failures_in_a_row": failures_in_a_row(known),
        "not_before": None if free_ms is None else utc_text(free_ms),
        "triggers": [msgspec.to_builtins(one) for one in look(watch, registry, known, now_ms)],
        "attempts": [msgspec.to_builtins(one) for one in known[-_SHOWN_ATTEMPTS:]],
    }
    if args.json:
        print_json(status)
    else:
        _show(status)
    return YES


def _show(status: dict[str, Any]) -> None:
    console = Console(highlight=False)
    jobs = _table("Jobs", "Job", "Cron", "Next run (UTC)")
    for name, planned in status["jobs"].items():
        told = planned or {"cron": "", "next_run": "not planned yet"}
        jobs.add_row(name, told["cron"], told["next_run"][:19])
    triggers = _table("Triggers", "Trigger", "Value", "Limit", "Fires", "Why")
    for one in status["triggers"]:
        numbers = ("-" if one[key] is None else f"{one[key]:.3g}" for key in ("value", "limit"))
        triggers.add_row(one["name"], *numbers, "yes" if one["fires"] else "no", one["sentence"])
    trainings = _table("Trainings", "Began (UTC)", "Trigger", "Outcome", "Bundle or reason")
    for one in status["attempts"]:
        ended = one["ended"] or {"outcome": "under way", "bundle_id": "", "reason": None}
        what = ended["bundle_id"] or ended["reason"] or ""
        trainings.add_row(one["began"]["at"][:19], one["began"]["trigger"], ended["outcome"], what)
    for table in (jobs, triggers, trainings):
        console.print(table)
    hours = status["hours_since_the_last_good_training"]
    told = "none yet" if hours is None else f"{hours:.1f}"
    console.print(f"hours since the last good training: {told}")
    if status["failures_in_a_row"]:
        console.print(
            f"{status['failures_in_a_row']} failures in a row: not before {status['not_before']}"
        )


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    for name in columns:
        table.add_column(name)
    return table


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number above 0, was {text!r}")
    return value


def _memory(text: str) -> float:
    if _positive(text) < _LEAST_GIB:
        raise argparse.ArgumentTypeError(f"expected at least {_LEAST_GIB} GiB, was {text!r}")
    return float(text)
