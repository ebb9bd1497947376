"""How does the report read on a terminal of 80 columns, for someone who sees it for the first time?"""

from __future__ import annotations

import math
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from shadow.checklist import Check, Luck
from shadow.coverage import Coverage
from shadow.evidence import Evidence, MemberFigures
from shadow.skill import HorizonFigures

_MARKS = {
    "pass": Text("✓", "green"),
    "fail": Text("✗", "bold red"),
    "not enough evidence": Text("?", "yellow"),
}
_VERDICTS = {
    True: Text("READY: every check passes. Whether it has skill stands below.", "bold green"),
    False: Text("NOT READY: at least one check fails.", "bold red"),
    None: Text("NOT ENOUGH EVIDENCE to say whether it is ready.", "bold yellow"),
}
_READING_AID = "Reversal: the naive rule that a move turns back. A constant 0.5: Brier 0.25."
_MAX_SYMBOLS = 8
_MAX_REASONS = 5


def render(
    folder: Path,
    evidence: Evidence,
    checks: list[Check],
    ready: bool | None,
    chance: Luck,
    console: Console | None = None,
) -> None:
    """Print the report; `folder` is named in its head."""
    console = console or Console(highlight=False)
    if evidence.simulated:
        console.print(
            Text(" SIMULATED MARKET: these bars are made up, no figure below is real. ", "bold reverse")
        )
    console.print(
        Text(f"Shadow report of {folder}: {evidence.days} days to {_minute(evidence.now)}", "bold")
    )
    console.print(_VERDICTS[ready])
    console.print(_checks_table(checks))
    if not evidence.bars_recorded:
        console.print(_nothing_recorded(evidence))
        return
    console.print(_coverage_table(evidence.symbols))
    for line in _reason_lines(evidence):
        console.print(line)
    if evidence.members:
        console.print(_members_table(evidence.members))
    if evidence.outcomes:
        console.print(_outcomes_table(evidence.outcomes))
        console.print(Text(_READING_AID, "dim"))
    console.print(Text("Could it be luck? ", "bold").append(chance.says, "not bold"))


def _checks_table(checks: list[Check]) -> Table:
    table = Table.grid(padding=(0, 1))
    for check in checks:
        table.add_row(_MARKS[check.verdict], _plain(check.says))
    return table


def _nothing_recorded(evidence: Evidence) -> Text:
    if evidence.symbols:
        return Text("Records stop before this window. Is the plugin running? `python -m plugin status`")
    return Text(
        "No bar is recorded yet. Start the plugin, or name another folder by --dir or an end by --now."
    )


def _coverage_table(symbols: list[Coverage]) -> Table:
    table = _table("Bars", "expected", "recorded", "with p", "coverage")
    worst_first = sorted(symbols, key=lambda series: series.coverage)
    for series in worst_first[:_MAX_SYMBOLS]:
        table.add_row(
            _plain(f"{series.symbol} {series.timeframe}"),
            str(series.bars_expected),
            str(series.bars_recorded),
            str(series.bars_with_probability),
            _percent(series.coverage),
        )
    if len(symbols) > _MAX_SYMBOLS:
        table.add_row(f"{len(symbols) - _MAX_SYMBOLS} better ones")
    return table


def _reason_lines(evidence: Evidence) -> list[Text]:
    counts = {
        "Bars without a probability": evidence.holes,
        "Stacking inactive": evidence.inactive_reasons,
        "Errors": evidence.errors,
        "Decisions": evidence.decisions,
        "Bundles": evidence.bundles,
    }
    lines = [Text(f"{title}: ").append(_listed(items)) for title, items in counts.items() if items]
    damage = {name: n for name, n in evidence.damage.counts().items() if n}
    if damage:
        lines.append(Text("Damage: ", "red").append(_listed(damage)))
    return lines


def _members_table(members: dict[str, MemberFigures]) -> Table:
    table = _table("Members", "normal", "p50 us", "p99 us", "not normal")
    for name, member in members.items():
        odd = {status: n for status, n in member.statuses.items() if status != "ok"}
        table.add_row(
            _plain(name),
            _percent(member.normal_rate),
            f"{member.latency_us_p50:.0f}",
            f"{member.latency_us_p99:.0f}",
            _listed(odd) if odd else Text("-"),
        )
    return table


def _outcomes_table(outcomes: dict[str, HorizonFigures]) -> Table:
    table = _table("Ahead", "n (worth)", "AUC, 95 %", "reversal", "rank IC (t)", "Brier")
    for horizon, figures in outcomes.items():
        interval = f"{_figure(figures.auc)} [{_figure(figures.auc_low)}, {_figure(figures.auc_high)}]"
        table.add_row(
            horizon,
            f"{_short(figures.n)} ({_short(figures.n_effective)})",
            interval if figures.reason is None else Text("too little to tell", "dim"),
            _figure(figures.reversal_rule_auc),
            f"{_figure(figures.rank_ic)} ({_figure(figures.rank_ic_t, 1)})",
            _figure(figures.brier),
        )
    return table


def _table(*headings: str) -> Table:
    table = Table(box=None, padding=(0, 1), pad_edge=False)
    table.add_column(headings[0])
    for heading in headings[1:]:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _listed(counts: dict[str, int]) -> Text:
    shown = [f"{_plain(name)} {n}" for name, n in list(counts.items())[:_MAX_REASONS]]
    if len(counts) > _MAX_REASONS:
        shown.append(f"and {len(counts) - _MAX_REASONS} more")
    return Text(", ".join(shown))


def _plain(text: str) -> Text:
    """Texts come from the log: no markup, and nothing that moves the cursor."""
    return Text("".join(letter if letter.isprintable() else "·" for letter in text))


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{share:.1%}"


def _figure(value: float, digits: int = 3) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}f}"


def _short(n: float) -> str:
    if math.isnan(n):
        return "-"
    return f"{n:.0f}" if n < 100_000 else f"{n / 1000:.0f}k"


def _minute(utc: str) -> str:
    return f"{utc[:10]} {utc[11:16]} UTC"
