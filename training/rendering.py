"""How does a training read on a terminal of 80 columns?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from rich.columns import Columns
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gates.out_of_fold import STACK
from gates.rendering import show_report
from plugin.candles import SIMULATED_VENUE
from training.evaluate import NAIVE, REVERSAL
from training.regime import CLASSIFIER, HORIZON_BARS, SOURCES
from training.retrain import Outcome

_N_IMPORTANT = 10
_SIMULATED = Text(" SIMULATED MARKET: these bars are made up, no figure here is real. ", "bold reverse")
_READING_AID = (
    "All figures are out of fold. Within a table all are judged on the same rows, but for the mean of "
    "folds: it is taken over all served symbols, and lacks the first fold for the stack, which learns "
    "from it. (t) allows for the overlap of labels. Reversal, class prior and constant need no model: "
    "one that does not beat them has no skill."
)


def show_outcome(console: Console, outcome: Outcome) -> None:
    """Print the figures of every horizon and symbol, the gates' verdict, and where the bundle is."""
    settings, metrics = outcome.record["settings"], outcome.record["metrics"]
    simulated = settings["venue"] == SIMULATED_VENUE
    if simulated:
        console.print(_SIMULATED)
    primary = str(settings["primary_horizon"])
    sources = (*outcome.record["members"], STACK)
    for horizon in settings["horizons"]:
        for symbol in settings["symbols"]:
            console.print(_figures(symbol, horizon, metrics[str(horizon)], sources))
    console.print(Text(_READING_AID, "dim"))
    compared = (*sources, REVERSAL)
    for symbol in settings["symbols"]:
        console.print(_years(symbol, primary, metrics[primary]["years"][symbol], compared))
    console.print(_folds(primary, metrics[primary]["folds"], compared))
    console.print(_adds(primary, outcome.record["adds"]))
    console.print(_regime(outcome.record["regime"]))
    _show_importances(console, primary, outcome.record["importances"][primary])
    console.print()
    show_report(console, outcome.report)
    if simulated:
        console.print(_SIMULATED)
    minutes = ", ".join(f"{part} {took:.1f}" for part, took in outcome.record["minutes"].items())
    console.print(f"minutes: {minutes}")
    console.print(f"bundle:  {outcome.bundle} ({outcome.role})", soft_wrap=True)


def _figures(symbol: str, horizon: int, metrics: Mapping[str, Any], sources: Sequence[str]) -> Table:
    figures = metrics["symbols"][symbol]
    rows, worth = figures[STACK]["n"], figures[STACK]["n_effective"]
    title = f"{symbol}, {horizon} bars ahead: {rows:,} rows"
    if worth is not None:
        title += f", worth {worth:,.0f} independent ones"
    table = _table(title, "", "AUC", "95 % interval", "mean of folds", "Brier", "rank IC", "(t)")
    for name in (*sources, *NAIVE):
        one = figures[name]
        known = one.get("auc_low") is not None
        table.add_row(
            name,
            _number(one["auc"], ".4f"),
            f"{one['auc_low']:.3f} to {one['auc_high']:.3f}" if known else "",
            _number(metrics["mean_fold_auc"].get(name), ".4f"),
            _number(one["brier"], ".4f"),
            _number(one.get("rank_ic"), ".3f"),
            _number(one.get("rank_ic_t"), "(.1f)"),
            style="dim" if name in NAIVE else "bold" if name == STACK else None,
        )
    return table


def _years(
    symbol: str, horizon: str, years: Mapping[str, Mapping[str, float]], sources: Sequence[str]
) -> Table:
    table = _table(f"{symbol}, {horizon} bars ahead: AUC by year", "year", *sources)
    for year, areas in sorted(years.items()):
        table.add_row(year, *(_number(areas[name], ".3f") for name in sources))
    return table


def _folds(horizon: str, folds: Sequence[Mapping[str, Any]], sources: Sequence[str]) -> Table:
    table = _table(
        f"All served symbols, {horizon} bars ahead: AUC by fold", "tested from", "rows", *sources
    )
    for fold in folds:
        areas = (_number(fold["auc"][name], ".3f") for name in sources)
        table.add_row(fold["test_start"], f"{fold['n_test']:,}", *areas)
    return table


def _adds(horizon: str, adds: Mapping[str, Any]) -> Table:
    """What the stack loses without each member."""
    title = f"What a member adds to the stack, {horizon} bars ahead"
    table = _table(title, "", "", "AUC", "95 % interval", "there twice")
    for symbol, of_symbol in adds["symbols"].items():
        for who, pair in of_symbol.items():
            known = not math.isnan(pair["low"])
            interval = f"{pair['low']:+.4f} to {pair['high']:+.4f}" if known else ""
            twice = "yes" if who in adds["redundant"][symbol] else ""
            table.add_row(symbol, who, f"{pair['adds']:+.4f}", interval, twice)
    return table


def _regime(figures: Mapping[str, Any]) -> Table:
    """How often each rule names the third that the volatility will rank in."""
    title = f"Volatility of the next {HORIZON_BARS} bars: low, mid or high"
    table = _table(title, "", "", "accuracy", "balanced", "RPS", "over now, 95 %")
    for symbol, of_symbol in figures["symbols"].items():
        for name in SOURCES:
            one, over = of_symbol[name], figures["over_now"][symbol]
            is_own = name == CLASSIFIER
            known = is_own and not math.isnan(over["low"])
            table.add_row(
                symbol,
                name,
                f"{one['accuracy']:.1%}",
                f"{one['balanced_accuracy']:.1%}",
                f"{one['rps']:.4f}",
                f"{over['low']:+.1%} to {over['high']:+.1%}" if known else "",
                style="bold" if is_own else "dim",
            )
    return table


def _show_importances(
    console: Console, horizon: str, importances: Mapping[str, Mapping[str, float]]
) -> None:
    console.print(_title(f"What the members look at most, {horizon} bars ahead: share of the gain"))
    tables = []
    for member, shares in importances.items():
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(no_wrap=True)
        table.add_column(justify="right", no_wrap=True)
        table.add_row(Text(member, "bold"), "")
        for feature, share in islice(shares.items(), _N_IMPORTANT):
            table.add_row(feature, f"{share:.1%}")
        tables.append(table)
    console.print(Columns(tables, padding=(1, 3)))


def _table(title: str, first: str, *headings: str) -> Table:
    table = Table(title=_title(title), title_justify="left", box=None, padding=(0, 2, 0, 0))
    table.add_column(first, no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _title(text: str) -> Text:
    return Text(f"\n{text}", "bold")


def _number(value: float | None, form: str) -> str:
    """Empty where there is no value; brackets around `form` are set around the number."""
    if value is None:
        return ""
    plain = form.strip("()")
    return format(value, plain) if plain == form else f"({value:{plain}})"
