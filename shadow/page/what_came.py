"""What came of the probabilities, did they mean what they say, and could it be luck?"""

from __future__ import annotations

import math

from shadow.page.charts import Plot, legend, spread
from shadow.page.parts import (
    Beside,
    Column,
    Picture,
    Plain,
    Says,
    Section,
    Table,
    Told,
    estimate,
    short,
)
from shadow.page.strips import Scale
from shadow.skill import PRIMARY_HORIZON, HorizonFigures
from shadow.texts import count, figure, interval, percent, plain

_COIN = 0.45, 0.55
_N_WINDOWS, _N_ACROSS = 200, 20


def outcomes(told: Told) -> Section:
    """The AUC of each horizon beside one half and the reversal rule."""
    words, horizons = told.words, told.findings.evidence.outcomes
    heading = words["outcomes.heading"]
    if not any(one.n for one in horizons.values()):
        return Section("outcomes", heading, [Says(words["outcomes.none"])])
    return Section("outcomes", heading, [_areas(told), _behind(told)])


def _areas(told: Told) -> Plain:
    words, horizons = told.words, told.findings.evidence.outcomes
    values = [(one.auc, one.auc_low, one.auc_high, one.reversal_rule_auc) for one in horizons.values()]
    scale = Scale(*spread(values, _COIN), marks=[0.5])
    rows = [
        (
            short(horizon),
            scale.strip(
                scale.interval(one.auc_low, one.auc_high, "s1"),
                scale.dot(one.auc, "f1"),
                scale.dot(one.reversal_rule_auc, "hollow s2"),
            ),
            estimate(figure(one.auc), interval(one.auc_low, one.auc_high)),
            figure(one.reversal_rule_auc),
        )
        for horizon, one in horizons.items()
    ]
    columns = (
        Column(words["horizon"], ""),
        Column("", "strip"),
        Column(words["auc"]),
        Column(words["reversal"]),
    )
    marks = ("dot f1", words["ensemble"]), ("dot hollow s2", words["reversal"])
    reasons = {one.reason for one in horizons.values() if one.reason is not None}
    note = " ".join(words["none_yet"].format(reason=plain(reason)) for reason in sorted(reasons))
    return Table(words["outcomes.area"], columns, [*rows], legend(marks), note)


def _behind(told: Told) -> Plain:
    words, horizons = told.words, told.findings.evidence.outcomes
    rows = [
        (
            short(horizon),
            f"{count(one.n)} ({count(one.n_effective)})",
            count(one.n_waiting),
            count(one.n_missing),
            f"{figure(one.ic)} ({figure(one.ic_t, 1)})",
            f"{figure(one.rank_ic)} ({figure(one.rank_ic_t, 1)})",
            figure(one.brier, 4),
        )
        for horizon, one in horizons.items()
    ]
    headings = (
        words["n_worth"],
        words["outcomes.waiting"],
        words["outcomes.missing"],
        "IC (t)",
        words["rank_ic"],
        words["brier"],
    )
    columns = Column(words["horizon"], ""), *(Column(heading) for heading in headings)
    return Table(words["outcomes.more"], columns, [*rows], note=words["outcomes.aid"])


def reliability(told: Told) -> Section:
    """What was said against what came."""
    words, heading = told.words, told.words["reliability.heading"]
    primary = told.findings.evidence.outcomes.get(PRIMARY_HORIZON)
    if primary is None or not primary.reliability_curve:
        return Section("reliability", heading, [Says(words["outcomes.none"])])
    brier = words["reliability.brier"].format(
        score=figure(primary.brier, 4),
        reliability=figure(primary.brier_reliability, 4),
        resolution=figure(primary.brier_resolution, 4),
        uncertainty=figure(primary.brier_uncertainty, 4),
    )
    rows = [
        (
            figure(one.mean_p),
            estimate(figure(one.up_share), interval(one.low, one.high)),
            count(one.n),
        )
        for one in primary.reliability_curve
    ]
    columns = Column(words["said"], ""), Column(words["came"]), Column(words["n_bars"])
    table = Table(words["figures"], columns, [*rows], note=brier)
    return Section("reliability", heading, [Beside(((_curve(told, primary),), (table,)))])


def _curve(told: Told, primary: HorizonFigures) -> Plain:
    words, curve = told.words, primary.reliability_curve
    title = words["reliability.caption"]
    most = max(abs(one.mean_p - one.up_share) for one in curve)
    says = words["reliability.says"].format(n=len(curve), most=figure(most))
    said = spread([one.mean_p for one in curve], _COIN, margin=0.1)
    came = spread([(one.up_share, one.low, one.high) for one in curve], _COIN)
    plot = Plot(title, says, said, came, "square")
    plot.heights()
    plot.numbers()
    plot.diagonal()
    largest = max(one.n for one in curve)
    for one in curve:
        plot.whisker(one.mean_p, one.low, one.high, "s1")
        plot.dot(one.mean_p, one.up_share, "f1", 3.0 + 5.0 * math.sqrt(one.n / largest))
    return Picture(title, plot.svg(), note=f"{says} {words['reliability.note']}")


def recalibration(told: Told) -> Section:
    """What was said beside how outcomes say to read it, and the evidence that this is better."""
    words, found = told.words, told.findings.recalibration
    heading = words["recalibrated.heading"]
    if not found:
        return Section("recalibration", heading, [Says(words["recalibrated.none"])])
    level = next(iter(found.values())).level
    scale = Scale(0.1, level * 20.0, marks=[level], is_log=True)
    rows = [
        (
            short(horizon),
            count(one.n_rows),
            figure(one.brier, 4),
            figure(one.recalibrated_brier, 4),
            scale.strip(scale.bar(0.1, better, "f1" if better >= level else "f5")),
            figure(better, 2),
            words["yes" if one.acts else "no"],
        )
        for horizon, one in found.items()
        for better in (one.evidence.better,)
    ]
    columns = (
        Column(words["horizon"], ""),
        Column("n"),
        Column(words["brier"]),
        Column(words["recalibrated.brier"]),
        Column("", "strip"),
        Column(words["recalibrated.better"]),
        Column(words["recalibrated.acts"]),
    )
    note = words["recalibrated.aid"].format(level=level)
    return Section(
        "recalibration", heading, [Table(words["recalibrated.caption"], columns, [*rows], note=note)]
    )


def fifths(told: Told) -> Section:
    """The mean return of each fifth of the probabilities."""
    words, heading = told.words, told.words["fifths.heading"]
    primary = told.findings.evidence.outcomes.get(PRIMARY_HORIZON)
    if primary is None or not primary.quantiles:
        return Section("fifths", heading, [Says(words["fifths.none"])])
    rows = [
        (
            str(number),
            figure(one.mean_p),
            percent(one.up_share),
            estimate(percent(one.mean_return, 3), interval(100 * one.low, 100 * one.high)),
            count(one.n),
        )
        for number, one in enumerate(primary.quantiles, start=1)
    ]
    keys = "mean_p", "up", "mean_return", "n_bars"
    columns = Column(words["fifth"], ""), *(Column(words[key]) for key in keys)
    table = Table(words["figures"], columns, [*rows])
    return Section("fifths", heading, [Beside(((_bars(told, primary),), (table,)))])


def _bars(told: Told, primary: HorizonFigures) -> Plain:
    words, groups = told.words, primary.quantiles
    title = words["fifths.caption"].format(horizon=PRIMARY_HORIZON)
    means = [100 * one.mean_return for one in groups]
    says = words["fifths.says"].format(means=words["and"].join(f"{mean:.3f}" for mean in means))
    bounds = [(100 * one.low, 100 * one.high) for one in groups]
    plot = Plot(title, says, (-0.6, len(groups) - 0.4), spread(means, bounds, [0.0]), "square")
    plot.heights()
    plot.names(str(number) for number in range(1, len(groups) + 1))
    plot.level(0.0)
    for at, (mean, (low, high)) in enumerate(zip(means, bounds, strict=True)):
        plot.bar(at, 0.6, mean, "f1 pale")
        plot.whisker(at, low, high, "ink")
    return Picture(title, plot.svg(), note=says)


def luck(told: Told, sentence: str) -> Section:
    """200 windows without skill, and how many of them look as good."""
    words, probability = told.words, told.findings.luck.probability
    parts: list[Plain | Beside] = [Says(sentence)]
    if not math.isnan(probability):
        n_filled = round(probability * _N_WINDOWS)
        title, says = words["luck.caption"], words["luck.says"].format(n=n_filled)
        parts.append(Picture(title, _windows(n_filled, f"{title}. {says}"), note=says))
    return Section("luck", words["luck"], parts)


def _windows(n_filled: int, says: str) -> str:
    dots = "".join(
        f'<circle class="{"f2" if number < n_filled else "hollow faint"}"'
        f' cx="{8 + number % _N_ACROSS * 16}" cy="{8 + number // _N_ACROSS * 16}" r="5"/>'
        for number in range(_N_WINDOWS)
    )
    size = f'viewBox="0 0 {_N_ACROSS * 16} {_N_WINDOWS // _N_ACROSS * 16}"'
    return f'<svg class="windows" {size} role="img"><title>{says}</title>{dots}</svg>'
