"""Are the members sound, what does each add, and how do they stand beside the bot and a challenger?"""

from __future__ import annotations

import math

from shadow.agreement import Agreement
from shadow.compare import Comparison
from shadow.page.charts import legend, spread
from shadow.page.parts import (
    Beside,
    Column,
    Plain,
    Says,
    Section,
    Table,
    Told,
    estimate,
    short,
    verdict_pill,
)
from shadow.page.strips import Scale
from shadow.texts import count, figure, interval, percent, plain

_COIN = 0.45, 0.55
_ACTIONS = "long", "flat", "short"
_MOST_SIGNALS = 10
_CLAIMS = "not_inferior", "better", "worse", "worse_by_margin"


def members(told: Told) -> Section:
    """How often they answer normally, and how fast."""
    words, heading = told.words, told.words["members.heading"]
    if not told.findings.evidence.members:
        return Section("members", heading, [Says(words["members.none"])])
    return Section("members", heading, [Beside(((_health(told),), (_latency(told),)))])


def _health(told: Told) -> Plain:
    words = told.words
    checks = {check.name: check.verdict for check in told.findings.checklist}
    rows = []
    for name, one in told.findings.evidence.members.items():
        odd = [f"{status} {count(n)}" for status, n in one.statuses.items() if status != "ok"]
        verdict = verdict_pill(checks.get(f"members.{name}"), words)
        rows.append(
            (
                short(name),
                verdict,
                percent(one.normal_rate),
                count(one.n),
                words["and"].join(odd) or "-",
            )
        )
    columns = (
        Column(words["member"], ""),
        Column("", "mark"),
        Column(words["normal"]),
        Column(words["n_answers"]),
        Column(words["not_normal"], ""),
    )
    return Table(words["members.health"], columns, [*rows])


def _latency(told: Told) -> Plain:
    words, members = told.words, told.findings.evidence.members
    least = min(one.latency_us_p50 for one in members.values())
    most = max(one.latency_us_p99 for one in members.values())
    scale = Scale(max(least, 0.1) / 1.5, max(most, 0.2) * 1.5, is_log=True)
    rows = [
        (
            short(name),
            scale.strip(
                scale.interval(one.latency_us_p50, one.latency_us_p99, "s1"),
                scale.dot(one.latency_us_p50, "f1"),
                scale.dot(one.latency_us_p90, "hollow s1"),
                scale.tick(one.latency_us_p99, "s1"),
            ),
            count(one.latency_us_p50),
            count(one.latency_us_p90),
            count(one.latency_us_p99),
        )
        for name, one in members.items()
    ]
    columns = (
        Column(words["member"], ""),
        Column("", "strip"),
        *(Column(heading) for heading in ("p50", "p90", "p99")),
    )
    marks = ("dot f1", "p50"), ("dot hollow s1", "p90"), ("tick s1", "p99")
    return Table(words["members.latency"], columns, [*rows], legend(marks))


def adds(told: Told) -> Section:
    """Each member alone, and what leaving it out costs."""
    words, found = told.words, told.findings.contributions
    heading = words["adds.heading"]
    if not any(one.n for one in found.values()):
        return Section("adds", heading, [Says(words["adds.none"])])
    reasons = sorted({one.reason for one in found.values() if one.reason is not None})
    says = [Says(words["none_yet"].format(reason=plain(reason))) for reason in reasons]
    areas = {name: (one.auc, one.auc_low, one.auc_high) for name, one in found.items()}
    gains = {
        name: (1000 * one.gain, 1000 * one.gain_low, 1000 * one.gain_high)
        for name, one in found.items()
    }
    alone = _forest(told, areas, 0.5, _COIN, words["adds.alone"], words["auc"], 3)
    gain = _forest(told, gains, 0.0, (-0.1, 0.1), words["adds.gain"], words["gain"], 2)
    return Section("adds", heading, [Beside(((alone,), (gain,))), *says])


def _forest(
    told: Told,
    figures: dict[str, tuple[float, float, float]],
    mark: float,
    room: tuple[float, float],
    caption: str,
    heading: str,
    n_digits: int,
) -> Plain:
    """Estimates with their intervals, one below the other."""
    scale = Scale(*spread([*figures.values()], room), marks=[mark])
    rows = [
        (
            short(name),
            scale.strip(scale.interval(low, high, "s1"), scale.dot(value, "f1")),
            estimate(figure(value, n_digits), interval(low, high, n_digits)),
        )
        for name, (value, low, high) in figures.items()
    ]
    columns = Column(told.words["member"], ""), Column("", "strip"), Column(heading)
    return Table(caption, columns, [*rows])


def agreement(told: Told) -> Section:
    """How often the ensemble and the bot's own signal say the same."""
    words, found = told.words, told.findings.agreement
    heading = words["agreement"]
    if found is None:
        return Section("agreement", heading, [Says(words["trading.no_host"])])
    says: Plain = Says(words["agreement.none"])
    if found.n:
        shares = {
            "same": found.n_same,
            "neutral": found.n - found.n_same - found.n_opposed,
            "opposed": found.n_opposed,
        }
        says = _shares(told, shares, found.n)
    parts: list[Plain | Beside] = [Beside(((says,), (_by_signal(told, found),)))]
    if found.not_understood:
        odd = [f"{short(name)} {count(n)}" for name, n in list(found.not_understood.items())[:5]]
        parts.append(Says(f"{words['agreement.odd']}: {words['and'].join(odd)}", "unsure"))
    return Section("agreement", heading, parts)


def _shares(told: Told, counts: dict[str, int], n: int) -> Plain:
    words = told.words
    styles = {"same": "f3", "neutral": "f5", "opposed": "f2"}
    scale = Scale(0.0, n)
    rows = [
        (
            words[f"agreement.{key}"],
            scale.strip(scale.bar(0.0, n_bars, styles[key])),
            percent(n_bars / n),
            count(n_bars),
        )
        for key, n_bars in counts.items()
    ]
    columns = Column("", ""), Column("", "strip"), Column(""), Column(words["n_bars"])
    says = words["agreement.says"].format(
        n=count(n), share=percent(counts["same"] / n), opposed=percent(counts["opposed"] / n)
    )
    return Table(says, columns, [*rows])


def _by_signal(told: Told, found: Agreement) -> Plain:
    words = told.words
    rows = [
        (short(signal), *(count(row.get(action, 0)) for action in _ACTIONS))
        for signal, row in list(found.table.items())[:_MOST_SIGNALS]
    ]
    columns = Column(words["signal"], ""), *(Column(action) for action in _ACTIONS)
    return Table(words["agreement.table"], columns, [*rows])


def pair(told: Told) -> Section:
    """Champion and challenger on the same bars, and what is known of the claims about them."""
    words, found = told.words, told.findings.comparison
    heading = words["challenger"]
    if found is None:
        return Section("pair", heading, [Says(words["challenger.none"])])
    reason = found.evidence.reason
    if reason is not None:
        says = Says(words["none_yet"].format(reason=plain(reason)))
        return Section("pair", heading, [says, _scores(told, found)])
    return Section("pair", heading, [Beside(((_claims(told, found),), (_scores(told, found),)))])


def _claims(told: Told, found: Comparison) -> Plain:
    words = told.words
    values = {claim: float(getattr(found.evidence, claim)) for claim in _CLAIMS}
    scale = Scale(0.1, found.level * 20.0, marks=[found.level], is_log=True)
    rows = [
        (
            words[f"pair.{claim}"],
            scale.strip(scale.bar(0.1, value, "f1" if value >= found.level else "f5")),
            "-" if math.isnan(value) else f"{value:.2f}" if value < 1000 else f"{value:.0e}",
        )
        for claim, value in values.items()
    ]
    columns = Column(words["claim"], ""), Column("", "strip"), Column(words["evidence"])
    needed = found.evidence.bars_needed
    more = words["pair.unknown"] if needed is None else words["pair.more"].format(n=count(needed))
    caption = words["pair.evidence"].format(level=found.level)
    return Table(caption, columns, [*rows], note="" if needed == 0 else more)


def _scores(told: Told, found: Comparison) -> Plain:
    words = told.words
    rows = [
        (
            f"{words['pair.champion']} {short(found.champion)}",
            figure(found.champion_brier, 4),
            figure(found.champion_clipped_brier, 4),
        ),
        (
            f"{words['pair.challenger']} {short(found.challenger)}",
            figure(found.challenger_brier, 4),
            figure(found.challenger_clipped_brier, 4),
        ),
    ]
    columns = Column(words["bundle"], ""), Column(words["brier"]), Column(words["pair.clipped"])
    note = words["pair.bars"].format(
        n=count(found.n_bars), rows=count(found.n_rows), alone=count(found.n_only_champion)
    )
    return Table(words["pair.scores"], columns, [*rows], note=note)
