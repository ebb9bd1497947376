"""How does a gate report look to a person?"""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from plugin.manifest import GateReport

_COLOUR = {"pass": "green", "fail": "red", "not enough evidence": "yellow"}
_FIT = {
    "none": "fit for nothing: it must not be loaded",
    "shadow": "fit for shadow: it is recorded and does not steer",
    "live": "fit for live: it may steer while ML_ENABLE_STACKING=1",
}


def show_report(console: Console, report: GateReport) -> None:
    """Print every gate with its verdict, then what the bundle is fit for."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("Gate", no_wrap=True)
    table.add_column("Verdict", no_wrap=True)
    table.add_column("What was found")
    for result in report.results:
        colour = _COLOUR[result.verdict]
        verdict = "no evidence" if result.verdict == "not enough evidence" else result.verdict
        table.add_row(result.name, f"[{colour}]{verdict}[/{colour}]", escape(result.sentence))
    console.print(table)
    console.print(f"verdict: [bold]{_FIT[report.level]}[/bold]")
    if report.level != "live":
        console.print(f"missing for live: {', '.join(report.missing)}")
