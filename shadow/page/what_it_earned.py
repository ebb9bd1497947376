"""What would each way of trading have brought, and where?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import numpy as np

from shadow.counterfactual import Slice, Strategy
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
from shadow.texts import count, figure, interval, percent

_MOST_SLICES = 12
_STYLES = {"ensemble": 1, "host": 2, "both": 3, "neither": 5, "buy_and_hold": 4}


def trading(told: Told) -> Section:
    """The ways of trading, their capital over time, and the ensemble's result in parts."""
    words, found = told.words, told.findings.trading
    heading = words["trading.heading"]
    if not found.n_bars:
        return Section("trading", heading, [Says(words["trading.none"])])
    return Section(
        "trading",
        heading,
        [
            Beside(((_ways(told),), (_behind(told),))),
            _equity(told),
            _drawdown(told),
            Beside(((_slices(told, "by_regime"),), (_slices(told, "by_symbol"),))),
            _hours(told),
        ],
    )


def _ways(told: Told) -> Plain:
    words, strategies = told.words, told.findings.trading.strategies
    bounds = spread([(one.total_return, one.low, one.high) for one in strategies.values()], [0.0])
    scale = Scale(*bounds, marks=[0.0])
    rows = [
        (
            words[name],
            scale.strip(
                scale.interval(one.low, one.high, f"s{_STYLES[name]}"),
                scale.dot(one.total_return, f"f{_STYLES[name]}"),
            ),
            estimate(percent(one.total_return), interval(100 * one.low, 100 * one.high, 1)),
            percent(one.max_drawdown),
        )
        for name, one in strategies.items()
    ]
    keys = "return", "drawdown"
    columns = Column(words["way"], ""), Column("", "strip"), *(Column(words[key]) for key in keys)
    return Table(words["trading.ways"], columns, [*rows])


def _behind(told: Told) -> Plain:
    words = told.words
    rows = [
        (
            words[name],
            figure(one.sharpe, 2),
            percent(one.deflated_sharpe, 0),
            percent(one.costs),
            percent(one.exposure, 0),
            count(one.n_trades),
            count(one.n_stops),
        )
        for name, one in told.findings.trading.strategies.items()
    ]
    keys = "sharpe", "deflated", "costs", "exposure", "trades", "stops"
    columns = Column(words["way"], ""), *(Column(words[key]) for key in keys)
    return Table(words["trading.behind"], columns, [*rows], note=_terms(told))


def _terms(told: Told) -> str:
    words, found = told.words, told.findings.trading
    says = [
        words["trading.aid"].format(
            fee=found.fee_bps, slippage=found.slippage_bps, trials=found.n_trials
        )
    ]
    if "host" not in found.strategies:
        says.append(words["trading.no_host"])
    if found.n_unstopped:
        says.append(words["trading.unstopped"].format(n=count(found.n_unstopped)))
    return " ".join(says)


def _equity(told: Told) -> Plain:
    words, found = told.words, told.findings.trading
    changes = {name: 100.0 * (np.array(one.equity) - 1.0) for name, one in found.strategies.items()}
    title = words["trading.equity"]
    ends = [f"{words[name]} {percent(one.total_return)}" for name, one in found.strategies.items()]
    says = words["trading.equity.says"].format(ends=words["and"].join(ends))
    across = float(found.time_ms[0]), float(found.time_ms[-1])
    plot = Plot(title, says, across, spread(*changes.values()), "tall")
    plot.times()
    plot.heights("%")
    plot.level(0.0)
    for name, change in changes.items():
        plot.line(found.time_ms, change, f"s{_STYLES[name]} d{_STYLES[name]}")
    marks = [(f"line s{_STYLES[name]} d{_STYLES[name]}", words[name]) for name in changes]
    return Picture(title, plot.svg(), legend(marks))


def _drawdown(told: Told) -> Plain:
    words, found = told.words, told.findings.trading
    ensemble: Strategy = found.strategies["ensemble"]
    equity = np.array(ensemble.equity)
    depth = 100.0 * (equity / np.maximum.accumulate(equity) - 1.0)
    title = words["trading.drawdown"]
    says = words["trading.drawdown.says"].format(most=percent(ensemble.max_drawdown))
    plot = Plot(title, says, (found.time_ms[0], found.time_ms[-1]), spread(depth, [0.0]), "low")
    plot.times()
    plot.heights("%")
    plot.area(found.time_ms, depth, "f1")
    plot.line(found.time_ms, depth, "s1")
    return Picture(title, plot.svg(), note=says)


def _slices(told: Told, key: Literal["by_regime", "by_symbol"]) -> Plain:
    words = told.words
    parts: Mapping[str, Slice] = getattr(told.findings.trading, key)
    worst_first = sorted(parts.items(), key=lambda item: item[1].total_return)
    shown = worst_first[:_MOST_SLICES]
    scale = Scale(*spread([one.total_return for _, one in shown], [0.0]), marks=[0.0])
    rows = [
        (
            short(name),
            scale.strip(scale.bar(0.0, one.total_return, _style_of(one))),
            percent(one.total_return, 2),
            percent(one.hit_rate, 0),
            count(one.n_bars),
        )
        for name, one in shown
    ]
    keys = "return.alone", "earned", "n_bars"
    columns = Column("", ""), Column("", "strip"), *(Column(words[key]) for key in keys)
    left_out = len(worst_first) - len(shown)
    note = words["better_ones"].format(n=left_out) if left_out else ""
    return Table(words[f"part.{key}"], columns, [*rows], note=note)


def _hours(told: Told) -> Plain:
    words, parts = told.words, told.findings.trading.by_hour
    title = words["trading.hours"]
    returns = {hour: 100.0 * one.total_return for hour, one in parts.items()}
    best, worst = max(returns, key=returns.__getitem__), min(returns, key=returns.__getitem__)
    says = words["trading.hours.says"].format(
        best=f"{best}: {returns[best]:.2f} %", worst=f"{worst}: {returns[worst]:.2f} %"
    )
    names = [f"{hour:02d}" for hour in range(24)]
    plot = Plot(title, says, (-0.7, 23.7), spread([*returns.values()], [0.0]), "middle")
    plot.heights("%")
    plot.names(names)
    plot.level(0.0)
    for at, name in enumerate(names):
        value = returns.get(name, math.nan)
        if math.isfinite(value):
            plot.bar(at, 0.7, value, "f1" if value >= 0 else "f2")
    return Picture(title, plot.svg(), note=says)


def _style_of(one: Slice) -> str:
    return "f1" if one.total_return >= 0.0 else "f2"
