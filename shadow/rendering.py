"""How does the report read on a terminal of 80 columns, for someone who sees it for the first time?"""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from shadow import tables
from shadow.checklist import Check
from shadow.evidence import Evidence
from shadow.findings import Findings
from shadow.texts import minute, plain
from shadow.words import WORDS, Language, check_sentence, luck_sentence

_MARKS = {
    "pass": Text("✓", "green"),
    "fail": Text("✗", "bold red"),
    "not enough evidence": Text("?", "yellow"),
}
_STYLES = {True: "bold green", False: "bold red", None: "bold yellow"}
_MAX_REASONS = 5


def render(findings: Findings, language: Language, console: Console | None = None) -> None:
    """Print the report."""
    console = console or Console(highlight=False)
    for part in _parts(findings, language):
        console.print(part)


def _parts(findings: Findings, language: Language) -> list[RenderableType]:
    words, evidence = WORDS[language], findings.evidence
    parts: list[RenderableType] = []
    if evidence.simulated:
        parts.append(Text(words["simulated"], "bold reverse"))
    folder, now = plain(findings.folder), minute(evidence.now)
    parts += [
        Text(words["title"].format(folder=folder, days=evidence.days, now=now), "bold"),
        Text(words[f"verdict.{findings.ready}"], _STYLES[findings.ready]),
        _checks(findings.checklist, words, language),
    ]
    if evidence.bars_recorded:
        parts += _story(findings, words)
        parts.append(
            Text(f"{words['luck']} ", "bold").append(
                luck_sentence(findings.luck, evidence, language), "not bold"
            )
        )
    else:
        parts.append(Text(words["stopped" if evidence.symbols else "empty"]))
    if findings.changed_limits:
        said = ", ".join(f"{name} {change}" for name, change in findings.changed_limits.items())
        parts.append(Text(f"{words['limits']}: {said}"))
    return parts


def _story(findings: Findings, words: Mapping[str, str]) -> list[RenderableType]:
    evidence = findings.evidence
    parts: list[RenderableType] = [tables.coverage(evidence.symbols, words)]
    parts += _reasons(evidence, words)
    if evidence.members:
        parts.append(tables.members(evidence.members, words))
    if evidence.outcomes:
        parts += tables.outcomes(evidence.outcomes, words)
    if findings.contributions:
        parts += tables.contributions(findings.contributions, words)
    if findings.agreement is not None:
        parts += tables.agreement(findings.agreement, words)
    parts += tables.trading(findings.trading, words)
    if findings.comparison is not None:
        parts += tables.comparison(findings.comparison, words)
    if findings.recalibration:
        parts += tables.recalibration(findings.recalibration, words)
    parts.append(tables.drift(findings.drift, words))
    return parts


def _checks(checks: list[Check], words: Mapping[str, str], language: Language) -> Table:
    table = Table(box=None, padding=(0, 1), pad_edge=False)
    table.add_column("")
    table.add_column(words["checklist"])
    table.add_column(words["value"], justify="right", no_wrap=True)
    table.add_column(words["limit"], justify="right", no_wrap=True)
    for check in checks:
        sentence = plain(check_sentence(check, language))
        table.add_row(_MARKS[check.verdict], sentence, *tables.value_and_limit(check))
    return table


def _reasons(evidence: Evidence, words: Mapping[str, str]) -> list[Text]:
    counts = {
        "holes": evidence.holes,
        "inactive": evidence.inactive_reasons,
        "errors": evidence.errors,
        "decisions": evidence.decisions,
        "bundles": evidence.bundles,
    }
    lines = [Text(f"{words[key]}: {listed(items, words)}") for key, items in counts.items() if items]
    damage = {name: n for name, n in evidence.damage.counts().items() if n}
    if damage:
        lines.append(Text(f"{words['damage']}: ", "red").append(listed(damage, words)))
    return lines


def listed(counts: Mapping[str, int], words: Mapping[str, str]) -> str:
    """The most frequent ones, and how many more there are."""
    shown = [f"{plain(name)} {n}" for name, n in list(counts.items())[:_MAX_REASONS]]
    if len(counts) > _MAX_REASONS:
        shown.append(words["and_more"].format(n=len(counts) - _MAX_REASONS))
    return ", ".join(shown)
