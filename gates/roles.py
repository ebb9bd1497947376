"""What do the commands that look at roles have in common: their arguments, their clock, their name?"""

from __future__ import annotations

import argparse
import getpass
import os
from collections.abc import Callable
from pathlib import Path

from gates.limits import load_limits
from gates.view import View
from plugin.clock import SystemClock
from plugin.command_line import utc_ms
from plugin.errors import WrongUse
from plugin.registry import Registry
from shadow.window import replayed_until

MAX_DAYS = 3650


def add_models_dir(parser: argparse.ArgumentParser) -> None:
    """The argument --models-dir."""
    parser.add_argument(
        "--models-dir",
        type=Path,
        default=Path(os.environ.get("ML_MODELS_DIR", "models")),
        help="(default: ML_MODELS_DIR, or else models)",
    )


def add_evidence(parser: argparse.ArgumentParser) -> None:
    """The arguments --shadow-dir, --days, --now and --limits: which records count, and for what."""
    parser.add_argument(
        "--shadow-dir",
        type=Path,
        default=Path(os.environ.get("ML_SHADOW_DIR", "data/shadow")),
        help="(default: ML_SHADOW_DIR, or else data/shadow)",
    )
    parser.add_argument(
        "--days", type=whole("days", MAX_DAYS), default=14, help="that must be well (default: 14)"
    )
    parser.add_argument(
        "--now", type=utc_ms, metavar="TIME", help="UTC (default: now, or where a replay stopped)"
    )
    parser.add_argument("--limits", type=Path, metavar="FILE", help="limits in TOML (limits.toml)")


def whole(unit: str, most: int) -> Callable[[str], int]:
    """How argparse reads a whole number from 1 to `most`."""

    def read(text: str) -> int:
        if not text.isdecimal() or not 1 <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"expected 1 to {most} whole {unit}, was {text!r}")
        return int(text)

    return read


def registry_of(args: argparse.Namespace) -> Registry:
    """The registry that --models-dir names. Raises WrongUse where there is no such folder."""
    if not args.models_dir.is_dir():
        remedy = "train first, or name another one by --models-dir"
        raise WrongUse("a folder of models", str(args.models_dir), remedy)
    return Registry(args.models_dir)


def view_of(args: argparse.Namespace) -> View:
    """What the arguments name. Raises WrongUse for a folder or a limit that can not be used."""
    return View(registry_of(args), args.shadow_dir, args.days, now_ms(args), load_limits(args.limits))


def now_ms(args: argparse.Namespace) -> int:
    """What --now says; else where the replay in --shadow-dir stopped; else the time of day."""
    if args.now is not None:
        return int(args.now)
    replayed_ms = replayed_until(args.shadow_dir) if args.shadow_dir else None
    return SystemClock().now_ms() if replayed_ms is None else replayed_ms


def by_command() -> str:
    """Who moves a pointer by hand, for the history."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as in containers
        name = f"user {os.getuid()}"
    return f"{name} by command"
