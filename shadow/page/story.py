"""In which order is the story told, and what stands above it?"""

from __future__ import annotations

import math
from typing import NamedTuple

from shadow.page import what_came, what_changed, what_it_earned, what_was_said, who_said_it
from shadow.page.parts import NO_BREAK, Cell, Column, Plain, Section, Table, Told, verdict_pill
from shadow.skill import PRIMARY_HORIZON
from shadow.tables import value_and_limit
from shadow.texts import count, figure, interval, percent, plain
from shadow.words import Language, check_sentence, luck_sentence


class Fact(NamedTuple):
    """One of the few figures above all."""

    name: str
    value: str
    note: str


def facts(told: Told) -> list[Fact]:
    """What somebody with ten seconds should see."""
    words, findings = told.words, told.findings
    evidence = findings.evidence
    covered = words["fact.coverage.note"].format(
        n=count(evidence.bars_with_probability), all=count(evidence.bars_expected)
    )
    found = [Fact(words["fact.coverage"], percent(evidence.coverage), covered)]
    primary = evidence.outcomes.get(PRIMARY_HORIZON)
    if primary is not None:
        name = words["fact.auc"].format(horizon=PRIMARY_HORIZON)
        note = interval(primary.auc_low, primary.auc_high) or words["too_little"]
        found.append(Fact(name, figure(primary.auc), f"{note} · {words['fact.auc.note']}"))
    if findings.trading.n_bars:
        ensemble = findings.trading.strategies["ensemble"]
        note = interval(100 * ensemble.low, 100 * ensemble.high, 1) or words["too_little"]
        found.append(Fact(words["fact.return"], percent(ensemble.total_return), f"{note} %"))
    if not math.isnan(findings.luck.probability):
        share = findings.luck.probability
        shown = "< 0.5%" if share < 0.005 else percent(share, 0)
        found.append(Fact(words["fact.luck"], shown, words["fact.luck.note"]))
    return found


def checklist(told: Told, language: Language) -> Plain:
    """Each limit, what was measured, and the verdict."""
    words = told.words
    rows: list[tuple[Cell, ...]] = [
        (
            verdict_pill(check.verdict, words),
            plain(check_sentence(check, language)),
            *(text.replace(" ", NO_BREAK) for text in value_and_limit(check)),
        )
        for check in told.findings.checklist
    ]
    columns = Column("", "mark"), Column("", ""), Column(words["value"]), Column(words["limit"])
    changed = [f"{name} {change}" for name, change in told.findings.changed_limits.items()]
    note = f"{words['limits']}: {words['and'].join(changed)}" if changed else ""
    return Table("", columns, rows, note=note)


def story(told: Told, language: Language) -> list[Section]:
    """Every section, the same ones always: one without figures says why."""
    sentence = luck_sentence(told.findings.luck, told.findings.evidence, language)
    return [
        Section("checklist", told.words["checklist"], [checklist(told, language)]),
        what_was_said.coverage(told),
        what_was_said.prices(told),
        what_came.outcomes(told),
        what_came.reliability(told),
        what_came.recalibration(told),
        what_came.fifths(told),
        who_said_it.members(told),
        who_said_it.adds(told),
        who_said_it.agreement(told),
        what_it_earned.trading(told),
        who_said_it.pair(told),
        what_changed.drift(told),
        what_changed.damage(told),
        what_came.luck(told, sentence),
    ]
