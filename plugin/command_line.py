"""What do all commands have in common: how they start, end, print JSON and read a date?"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import ModuleType

import plugin.runtimes  # noqa: F401  (before any command imports what it configures)
from plugin.errors import ShadowgateError, WrongUse

YES, NO, WRONG_USE, NOT_ENOUGH_EVIDENCE = 0, 1, 2, 3
_OURS = ("training", "gates", "plugin", "shadow")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class LazyCommand:
    """A subcommand whose module is imported only when it is the one that was asked for.

    `summary` is its line in the list of all; `extra` is what must be installed for it, None where the
    base install will do.
    """

    name: str
    summary: str
    module: str
    extra: str | None = None


def run_command(
    program: str,
    description: str,
    commands: Sequence[ModuleType | LazyCommand],
    arguments: list[str] | None = None,
) -> int:
    """Run one subcommand; the only place where an error becomes a line and an exit code.

    Each of `commands` is a module with `add_arguments(subparsers)`, which sets the default `run`: a
    function of the parsed arguments that returns the exit code; or a LazyCommand that names one.
    """
    given = sys.argv[1:] if arguments is None else arguments
    asked_for = next((word for word in given if not word.startswith("-")), None)
    parser = argparse.ArgumentParser(prog=program, description=description)
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    extra = None
    try:
        for command in commands:
            if isinstance(command, ModuleType):
                command.add_arguments(subparsers)
            elif command.name == asked_for:
                extra = command.extra
                importlib.import_module(command.module).add_arguments(subparsers)
            else:
                subparsers.add_parser(command.name, help=command.summary)
        chosen = parser.parse_args(given)
        return int(chosen.run(chosen))
    except ModuleNotFoundError as error:
        # A module of our own that is missing is our own slip.
        if extra is None or (error.name or "").partition(".")[0] in _OURS:
            raise
        remedy = f"pip install 'shadowgate[{extra}]'"
        sys.stderr.write(f"{WrongUse(f'what `{asked_for}` needs', f'no {error.name}', remedy)}\n")
        return WRONG_USE
    except ShadowgateError as error:
        sys.stderr.write(f"{error}\n")
        return WRONG_USE if isinstance(error, WrongUse) else NO
    except KeyboardInterrupt:
        sys.stderr.write("stopped; what was done is saved, the same command goes on from there\n")
        return 130


def add_command(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    summary: str,
    epilog: str,
) -> argparse.ArgumentParser:
    """A subcommand whose help ends with `epilog`, line by line, and that has --json."""
    parser = subparsers.add_parser(
        name,
        help=summary,
        description=summary,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    return parser


def print_json(answer: object) -> None:
    """Print the answer of a command for programs. What is not a number becomes null: JSON has none."""
    sys.stdout.write(json.dumps(_without_nan(answer), allow_nan=False) + "\n")


def _without_nan(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _without_nan(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(one) for one in value]
    return value


def utc_ms(text: str) -> int:
    """A date or time in UTC such as 2021-01-01 or 2021-01-01T06:00, as milliseconds."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected a date such as 2021-01-01, was {text!r}") from error
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(milliseconds=1)
