"""How does a comparison of price forecasts read on a terminal of 80 columns?"""

from __future__ import annotations

import math
from collections.abc import Mapping

from rich.console import Console
from rich.table import Table
from rich.text import Text

from plugin.candles import SIMULATED_VENUE
from training.price.comparison import Contender, OfSymbol
from training.price.models import NO_CHANGE
from training.price.settings import PriceSettings

_SIMULATED = Text(" SIMULATED MARKET: these bars are made up, no figure here is real. ", "bold reverse")
_AID_OF_PRICES = (
    'R2 of prices is close to 1 for all of them, "no change" included: it measures how far prices '
    "wander in the block, not what a model knows. R2 of returns is what remains of it."
)
_AID_OF_WORTH = (
    'RMSE against that of "no change": below 1 is better. "yes" counts all the comparisons made. '
    "Tossing a coin gets half of the directions right. Nothing here pays fees."
)


def show_comparison(console: Console, settings: PriceSettings, found: Mapping[str, OfSymbol]) -> None:
    """Print for each symbol the figures of the tutorials, and what they are worth."""
    if settings.venue == SIMULATED_VENUE:
        console.print(_SIMULATED)
    for symbol, one in found.items():
        console.print(_prices(symbol, settings, one))
        console.print(_worth(one))
    console.print()
    console.print(Text(_AID_OF_PRICES, "dim"))
    console.print(Text(_AID_OF_WORTH, "dim"))


def _prices(symbol: str, settings: PriceSettings, one: OfSymbol) -> Table:
    bars = "1 bar" if settings.horizon == 1 else f"{settings.horizon} bars"
    title = (
        f"\n{symbol} {settings.timeframe}, {bars} ahead: {one.n_rows['test']:,} test rows, "
        f"{one.tested_from[:10]} to {one.tested_until[:10]}"
    )
    table = _table(title, "MAE", "RMSE", "R2 of prices", "R2 of returns", "seconds", "parameters")
    for name, contender in one.models.items():
        figures = contender.figures
        table.add_row(
            name,
            _price(figures.mae),
            _price(figures.rmse),
            f"{figures.r2_price:.5f}",
            f"{figures.r2_return:+.4f}",
            f"{contender.seconds:.1f}",
            f"{contender.n_parameters:,}",
            style=_style(name),
        )
    return table


def _worth(one: OfSymbol) -> Table:
    title = f"where it moved, the price rose {one.up_share:.1%} of the time"
    table = _table(title, "RMSE ratio", "(95 %)", "better?", "right, %", "(95 %)")
    for name, contender in one.models.items():
        figures = contender.figures
        if name != NO_CHANGE:
            table.add_row(
                name,
                _number(figures.rmse_ratio, ".4f"),
                _interval(figures.rmse_ratio_low, figures.rmse_ratio_high, ".4f"),
                _answer(contender),
                _number(100.0 * figures.hit_rate, ".1f"),
                _interval(100.0 * figures.hit_rate_low, 100.0 * figures.hit_rate_high, ".1f"),
            )
    return table


def _table(title: str, *headings: str) -> Table:
    table = Table(
        title=Text(title, "bold"),
        title_justify="left",
        box=None,
        padding=(0, 1, 0, 0),
    )
    table.add_column("", no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _style(name: str) -> str | None:
    return "bold" if name == NO_CHANGE else None


def _answer(contender: Contender) -> str:
    if contender.verdict == "not enough evidence":
        return "?"
    return "yes" if contender.verdict == "better" else "no"


def _price(value: float) -> str:
    """Five digits, whatever the price is: a coin may cost a hundred thousand or a millionth."""
    return f"{value:#,.5g}".rstrip(".")


def _number(value: float, form: str) -> str:
    return "" if math.isnan(value) else format(value, form)


def _interval(low: float, high: float, form: str) -> str:
    return "" if math.isnan(low) else f"{low:{form}} to {high:{form}}"
