"""How does a gate report look to a person?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gates.base import words
from plugin.manifest import GateReport, GateResult

_COLOUR = {"pass": "green", "fail": "red", "not enough evidence": "yellow"}
_FIT = {
    "none": "fit for nothing: it must not be loaded",
    "shadow": "fit for shadow: it is recorded and does not steer",
    "live": "fit for live: it may steer while ML_ENABLE_STACKING=1",
}
_WIDE = 100  # columns from which on value and limit have columns of their own; sentences hold them, too
_LONGEST = 12


def show_report(console: Console, report: GateReport) -> None:
    """Print every gate with its verdict, then what the bundle is fit for."""
    show_results(console, report.results, report.changed_limits)
    console.print(f"verdict: [bold]{_FIT[report.level]}[/bold]")
    if report.level != "live":
        console.print(f"missing for live: {', '.join(report.missing)}")


def show_results(
    console: Console, results: Sequence[GateResult], changed_limits: Mapping[str, str]
) -> None:
    """Print gates with their verdicts, and below them which limits are not as by default."""
    is_wide = console.width >= _WIDE
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in ("Gate", "Level", "Verdict"):
        table.add_column(heading, no_wrap=True)
    if is_wide:
        table.add_column("Value", justify="right", no_wrap=True)
        table.add_column("Limit", no_wrap=True)
    table.add_column("What was found")
    for result in results:
        colour = _COLOUR[result.verdict]
        verdict = "no evidence" if result.verdict == "not enough evidence" else result.verdict
        measured = (_value(result), _limit(result)) if is_wide else ()
        found = _found(result) if is_wide else result.sentence
        table.add_row(
            result.name,
            result.level,
            f"[{colour}]{verdict}[/{colour}]",
            *measured,
            escape(found),
        )
    console.print(table)
    if changed_limits:
        said = ", ".join(f"{name} {change}" for name, change in changed_limits.items())
        console.print(f"limits changed: {escape(said)}")


def _value(result: GateResult) -> str:
    if not isinstance(result.value, float):
        return ""
    return words(result.value) if abs(result.value) >= 1000 else f"{result.value:.4g}"


def _limit(result: GateResult) -> str:
    """A limit that is a text stands in the sentence."""
    return result.limit if len(result.limit) <= _LONGEST else ""


def _found(result: GateResult) -> str:
    """The sentence without what the columns beside it say."""
    if not isinstance(result.value, float):
        return result.sentence
    return result.sentence.replace(f": expected {result.limit}, was {words(result.value)}", "")
