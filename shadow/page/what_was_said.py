"""Was there a probability for every bar, and how do the probabilities look beside the price?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shadow.columns import SeriesRows
from shadow.page.calendar import calendar, count_hours
from shadow.page.charts import Plot, legend, spread
from shadow.page.parts import Beside, Column, Picture, Plain, Says, Section, Table, Told, short
from shadow.page.thinning import thinned
from shadow.skill import PRIMARY_HORIZON
from shadow.texts import count, figure, percent, plain

_MOST_SERIES = 6
_MOST_ROWS = 12
_MOST_COUNTED = 6
_N_STROKES = 600
_ROOM = 0.46, 0.54


def coverage(told: Told) -> Section:
    """A calendar of what is there, and why the rest is not."""
    return Section(
        "coverage",
        told.words["coverage.heading"],
        [Beside(((_calendar(told),), (_holes(told), _series(told), _counts(told))))],
    )


def _calendar(told: Told) -> Plain:
    words, evidence = told.words, told.findings.evidence
    hours = count_hours(told.window)
    says = words["coverage.says"].format(n=evidence.bars_with_probability, all=evidence.bars_expected)
    title = words["coverage.calendar"]
    marks = ("full", "box q4"), ("part", "box q1"), ("none", "cross lost"), ("idle", "dot idle")
    row = words["coverage.row"].format(n=hours.n_days) if hours.n_days > 1 else ""
    return Picture(
        title,
        calendar(hours, title, says),
        legend([(mark, words[f"coverage.{key}"]) for key, mark in marks]),
        f"{says} {row}",
    )


def _holes(told: Told) -> Plain:
    words, holes = told.words, told.findings.evidence.holes
    if not holes:
        return Says(words["coverage.whole"])
    rows = [
        (plain(words.get(f"hole.{reason}", reason)), count(n))
        for reason, n in list(holes.items())[:_MOST_ROWS]
    ]
    columns = Column(words["reason"], ""), Column(words["n_bars"])
    left_out = len(holes) - len(rows)
    note = words["and_more"].format(n=left_out) if left_out else ""
    return Table(words["coverage.holes"], columns, [*rows], note=note)


def _counts(told: Told) -> Plain:
    words, evidence = told.words, told.findings.evidence
    counted = {
        "decisions": evidence.decisions,
        "bundles": evidence.bundles,
        "inactive": evidence.inactive_reasons,
        "errors": evidence.errors,
    }
    rows = [
        (words[key], plain(text), count(n))
        for key, counts in counted.items()
        for text, n in list(counts.items())[:_MOST_COUNTED]
    ]
    columns = Column("", ""), Column("", ""), Column(words["n_bars"])
    return Table(words["coverage.counted"], columns, [*rows])


def _series(told: Told) -> Plain:
    words = told.words
    worst_first = sorted(told.findings.evidence.symbols, key=lambda one: one.coverage)
    keys = "expected", "recorded", "with_p", "coverage"
    left_out = len(worst_first) - _MOST_ROWS
    return Table(
        words["coverage.series"],
        (Column(words["symbol"], ""), *(Column(words[key]) for key in keys)),
        [
            (
                short(f"{one.symbol} {one.timeframe}"),
                count(one.bars_expected),
                count(one.bars_recorded),
                count(one.bars_with_probability),
                percent(one.coverage),
            )
            for one in worst_first[:_MOST_ROWS]
        ],
        note=words["better_ones"].format(n=left_out) if left_out > 0 else "",
    )


def prices(told: Told) -> Section:
    """Price, probability and decisions of the series that a reader should see first."""
    words = told.words
    said = np.array(told.window.columns.probabilities.get(PRIMARY_HORIZON, ()), dtype=np.float64)
    with_p = [rows for rows in told.window.rows if said.size and np.isfinite(said[_own(rows)]).any()]
    if not with_p:
        none = words["price.none"].format(horizon=PRIMARY_HORIZON)
        return Section("prices", words["price.heading"], [Says(none)])
    shown = _worst_first(told, with_p)[:_MOST_SERIES]
    parts: list[Plain | Beside] = [_price(told, rows, said) for rows in shown]
    note = words["price.note"]
    if len(shown) < len(with_p):
        note = f"{words['price.most'].format(n=len(shown), all=len(with_p))} {note}"
    return Section("prices", words["price.heading"], [Says(note, "muted"), *parts])


def _own(rows: SeriesRows) -> NDArray[np.int64]:
    return rows.row[rows.in_window]


def _worst_first(told: Told, series: list[SeriesRows]) -> list[SeriesRows]:
    covered = {(one.symbol, one.timeframe): one.coverage for one in told.findings.evidence.symbols}
    earned = told.findings.trading.by_symbol

    def rank(rows: SeriesRows) -> tuple[float, float]:
        own = earned.get(rows.symbol)
        return round(covered[rows.series], 2), own.total_return if own is not None else 0.0

    return sorted(series, key=rank)


def _price(told: Told, rows: SeriesRows, said: NDArray[np.float64]) -> Picture:
    words, columns = told.words, told.window.columns
    name = short(f"{rows.symbol} {rows.timeframe}")
    time_ms = rows.open_time_ms[rows.in_window] + rows.length_ms
    close, p = rows.close[rows.in_window], said[_own(rows)]
    actions = np.array([kind.action for kind in columns.kinds])
    action = actions[np.array(columns.kind)[_own(rows)]]
    sides = {side: time_ms[action == side] for side in ("long", "short")}
    says = words["price.says"].format(
        name=name,
        low=close.min(),
        high=close.max(),
        p_low=figure(float(np.nanmin(p))),
        p_high=figure(float(np.nanmax(p))),
        n_long=sides["long"].size,
        n_short=sides["short"].size,
    )
    number = (time_ms - time_ms[0]) // rows.length_ms
    across = float(time_ms[0]), float(time_ms[-1])
    plots = (
        Plot(name, says, across, spread(close), "middle"),
        Plot(f"{name}: p", says, across, spread(p, _ROOM), "low"),
    )
    for plot, values, style in zip(plots, (close, p), ("s1", "s4"), strict=True):
        kept = thinned(number, values)
        plot.times(labelled=False)
        plot.heights()
        plot.line(time_ms[0] + kept.at * rows.length_ms, kept.value, style, kept.run)
    plots[1].level(0.5)
    lanes = _lanes(name, says, across, sides)
    marks = (
        ("line s1", words["price.close"]),
        (
            "line s4",
            words["price.p"].format(horizon=PRIMARY_HORIZON),
        ),
    )
    return Picture(name, plots[0].svg() + plots[1].svg() + lanes.svg(), legend(marks), says)


def _lanes(
    name: str, says: str, across: tuple[float, float], sides: dict[str, NDArray[np.int64]]
) -> Plot:
    """When decisions were long, and below it when they were short: at most 600 marks each."""
    plot = Plot(f"{name}: long, short", says, across, (0.0, 2.0), "lanes")
    plot.times()
    stretch_ms = max((across[1] - across[0]) / _N_STROKES, 1.0)
    for side, low in (("long", 1.0), ("short", 0.0)):
        _, first = np.unique((sides[side] - across[0]) // stretch_ms, return_index=True)
        plot.height(low + 0.5, side)
        plot.strokes(sides[side][first], low + 0.1, low + 0.9, side)
    return plot
