"""Have the features moved away from what was learnt, and is the log whole?"""

from __future__ import annotations

import math

from shadow.drift_file import FeatureDrift, OneFeature
from shadow.page.charts import legend
from shadow.page.parts import Beside, Column, Pill, Plain, Says, Section, Strip, Table, Told, short
from shadow.page.strips import Scale
from shadow.texts import count, figure, percent, plain

_MOST_FEATURES = 20
_WIDEST = 4.0
"""Times its limit: what is farther is drawn at the end."""


def drift(told: Told) -> Section:
    """Each feature's distances beside their limits, the farthest first."""
    words, found = told.words, told.findings.drift
    heading = words["drift"]
    if found is None:
        return Section("drift", heading, [Says(words["drift.none"])])
    says = words["drift.summary"].format(
        share=percent(found.share),
        limit=percent(found.limit),
        since=plain(found.since)[:10],
        until=plain(found.until)[:10],
        n=count(found.n_rows),
    )
    look: Plain = Says(says, "unsure" if found.share > found.limit else "")
    return Section("drift", heading, [look, _features(told, found)])


def _features(told: Told, found: FeatureDrift) -> Plain:
    words, shown = told.words, found.features[:_MOST_FEATURES]
    scale = Scale(0.0, _WIDEST, marks=[1.0])
    rows = [
        (
            short(one.name),
            Pill("unsure", "!", words["drift.yes"])
            if one.drifts
            else Pill("muted", "✓", words["drift.no"]),
            _distances(scale, one),
            f"{figure(one.ks)} / {figure(one.ks_limit)}",
            f"{figure(one.psi)} / {figure(one.psi_limit)}",
        )
        for one in shown
    ]
    columns = (
        Column(words["feature"], ""),
        Column("", "mark"),
        Column("", "strip"),
        Column(f"KS / {words['limit']}"),
        Column(f"PSI / {words['limit']}"),
    )
    left_out = len(found.features) - len(shown)
    note = words["drift.more"].format(n=left_out) if left_out else ""
    return Table(
        words["drift.features"], columns, [*rows], legend([("box f1", "KS"), ("box f2", "PSI")]), note
    )


def _distances(scale: Scale, one: OneFeature) -> Strip:
    return scale.strip(
        scale.bar(0.0, _multiple(one.ks, one.ks_limit), "f1", top=2, height=5),
        scale.bar(0.0, _multiple(one.psi, one.psi_limit), "f2", top=9, height=5),
    )


def _multiple(distance: float, limit: float) -> float:
    if limit > 0.0 or math.isnan(distance + limit):
        return distance / limit
    return math.inf if distance > 0.0 else 0.0


def damage(told: Told) -> Section:
    """What of the log was found broken, missing or twice."""
    words, evidence = told.words, told.findings.evidence
    n = evidence.damage.n_total
    says = words["damage.some" if n else "damage.none"].format(
        n=count(n), repairs=count(evidence.n_repairs), revisions=count(evidence.n_revisions)
    )
    parts: list[Plain | Beside] = [Says(says, "bad" if n else "")]
    if n:
        rows = [(name, count(many)) for name, many in evidence.damage.counts().items() if many]
        columns = Column(words["damage.fault"], ""), Column("n")
        parts.append(Table(words["damage"], columns, [*rows]))
    return Section("damage", words["damage.heading"], parts)
