"""How every command ends, prints JSON and reads a date."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin.command_line import LazyCommand, add_command, print_json, run_command, utc_ms
from plugin.errors import BundleRefused, WrongUse
from shadow.errors import LogUnusable


def command(run: Callable[[argparse.Namespace], int]) -> ModuleType:
    """The module of a subcommand `try` that does what `run` does."""
    module = ModuleType("a_command")

    def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
        parser = add_command(subparsers, "try", "try it", "example:\n  python -m any try --json\n")
        parser.set_defaults(run=run)

    module.add_arguments = add_arguments  # type: ignore[attr-defined]
    return module


def run_one(run: Callable[[argparse.Namespace], int], *arguments: str) -> int:
    return run_command("python -m any", "It tries.", [command(run)], ["try", *arguments])


def raising(error: BaseException) -> Callable[[argparse.Namespace], int]:
    def run(_: argparse.Namespace) -> int:
        raise error

    return run


@pytest.mark.parametrize("code", [0, 1, 2, 3])
def test_the_answer_of_a_command_is_the_exit_code(code: int) -> None:
    assert run_one(lambda _: code) == code


def test_a_command_knows_whether_json_is_asked_for() -> None:
    assert run_one(lambda args: int(args.json)) == 0
    assert run_one(lambda args: int(args.json), "--json") == 1


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (WrongUse("a", "b", "do c"), 2, "expected a, was b; do c\n"),
        (BundleRefused("f", "a", "b"), 1, "f: expected a, was b; the bundle is refused\n"),
        (LogUnusable("a", "b", "do c"), 1, None),
        (KeyboardInterrupt(), 130, None),
    ],
)
def test_a_mistake_becomes_one_line_and_an_exit_code(
    error: BaseException, code: int, line: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_one(raising(error)) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == line if line else printed.err.count("\n") == 1


def test_our_own_slips_are_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        run_one(lambda _: 1 // 0)


@pytest.mark.parametrize("arguments", [[], ["other"], ["try", "--jsn"]])
def test_a_wrong_word_is_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run_command("python -m any", "It tries.", [command(lambda _: 0)], arguments)
    assert ended.value.code == 2
    assert "usage: python -m any" in capsys.readouterr().err


LAZY = LazyCommand("try", "try it", "a_lazy_command", extra="more")
OTHER = LazyCommand("other", "do something else", "no_such_module", extra="more")


def run_lazy(
    monkeypatch: pytest.MonkeyPatch, run: Callable[[argparse.Namespace], int], *arguments: str
) -> int:
    """With two commands, of which only the first has a module."""
    monkeypatch.setitem(sys.modules, LAZY.module, command(run))
    return run_command("python -m any", "It tries.", [LAZY, OTHER], list(arguments))


def test_a_lazy_command_is_imported_when_it_is_asked_for_and_no_other_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_lazy(monkeypatch, lambda args: 1 + args.json, "try", "--json") == 2
    with pytest.raises(SystemExit) as ended:
        run_lazy(monkeypatch, lambda _: 0, "--help")
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert "try it" in printed
    assert "do something else" in printed


def test_a_lazy_command_reads_its_arguments_from_the_command_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, LAZY.module, command(lambda args: 7 + args.json))
    monkeypatch.setattr(sys, "argv", ["any", "try", "--json"])
    assert run_command("python -m any", "It tries.", [LAZY, OTHER]) == 8


def importing(name: str) -> Callable[[argparse.Namespace], int]:
    def run(_: argparse.Namespace) -> int:
        __import__(name)
        return 0

    return run


def test_where_an_extra_is_missing_it_says_which(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_lazy(monkeypatch, lambda _: 0, "other") == 2
    assert run_lazy(monkeypatch, importing("no_such_module.part"), "try") == 2
    assert capsys.readouterr().err == (
        "expected what `other` needs, was no no_such_module; pip install 'shadowgate[more]'\n"
        "expected what `try` needs, was no no_such_module; pip install 'shadowgate[more]'\n"
    )


@pytest.mark.parametrize("ours", ["plugin.no_such_part", "training.no_such_part"])
def test_a_module_of_our_own_that_is_missing_is_not_hidden(
    monkeypatch: pytest.MonkeyPatch, ours: str
) -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such_part"):
        run_lazy(monkeypatch, importing(ours), "try")


def test_a_missing_module_that_no_extra_would_bring_is_not_hidden() -> None:
    for commands in ([LazyCommand("try", "try it", "no_such_module")], [command(importing("no_such"))]):
        with pytest.raises(ModuleNotFoundError, match="no_such"):
            run_command("python -m any", "It tries.", commands, ["try"])


def test_help_ends_with_the_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run_one(lambda _: 0, "--help")
    assert ended.value.code == 0
    assert capsys.readouterr().out.endswith("example:\n  python -m any try --json\n")


def test_json_is_one_line_and_what_is_no_number_is_null(capsys: pytest.CaptureFixture[str]) -> None:
    answer = {"a": [math.nan, 1.5, (math.inf, -math.inf)], "b": {"c": math.nan}, "d": "é\n", "e": None}
    print_json(answer)
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1
    expected = {"a": [None, 1.5, [None, None]], "b": {"c": None}, "d": "é\n", "e": None}
    assert json.loads(printed) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01", 0),
        ("2021-01-01", 1_609_459_200_000),
        ("2021-01-01T06:00", 1_609_480_800_000),
        ("2021-01-01T06:00:00Z", 1_609_480_800_000),
        ("2021-01-01T06:00:00+02:00", 1_609_473_600_000),
        ("2021-01-01T00:00:00.001", 1_609_459_200_001),
    ],
)
def test_a_date_is_utc_unless_it_says_otherwise(text: str, expected: int) -> None:
    assert utc_ms(text) == expected


@given(st.integers(0, 4_102_444_800_000), st.integers(-14 * 60, 14 * 60))
def test_no_millisecond_is_lost(moment_ms: int, offset_minutes: int) -> None:
    zone = timezone(timedelta(minutes=offset_minutes))
    moment = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=moment_ms)
    assert utc_ms(moment.astimezone(zone).isoformat()) == moment_ms


@pytest.mark.parametrize("text", ["", "yesterday", "2021-13-01", "01.02.2021", "1609459200"])
def test_what_is_no_date_is_said_to_be_none(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="expected a date such as 2021-01-01, was"):
        utc_ms(text)
