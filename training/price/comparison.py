"""How do all models do on all symbols, and is any of them better than "no change"?"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

import msgspec
import numpy as np

from plugin.bar import Timeframe
from plugin.candle_store import CandleStore
from plugin.clock import utc_text
from plugin.errors import WrongUse
from training.material import usable_candles
from training.price.judging import PriceFigures, judge
from training.price.models import NO_CHANGE, LinearRegression, NoChange, PriceModel, RandomForest, Step
from training.price.networks import networks
from training.price.rows import PriceRows, price_rows
from training.price.settings import PriceSettings

Verdict = Literal["better", "not better", "not enough evidence"]
LEVEL = 0.025
"""One-sided; shared out among all models and symbols that are compared at once."""


class Contender(msgspec.Struct, frozen=True):
    """One model on one symbol: its figures, what it took, and the verdict after all comparisons."""

    figures: PriceFigures
    n_parameters: int
    seconds: float
    chosen: dict[str, Any]
    verdict: Verdict | None


class OfSymbol(msgspec.Struct, frozen=True):
    """All models on one symbol. Times are UTC, of the closes of the rows' newest bars; `up_share` is
    how often the price rose among the test rows on which it moved."""

    n_rows: dict[str, int]
    trained_from: str
    stopped_by_from: str
    tested_from: str
    tested_until: str
    up_share: float
    models: dict[str, Contender]


def models_of(settings: PriceSettings) -> tuple[PriceModel, ...]:
    """ "No change" first, then from the simplest to the largest."""
    return (
        NoChange(),
        LinearRegression(),
        RandomForest(),
        *networks(settings.epochs, bidirectional=settings.bidirectional),
    )


def compare(
    settings: PriceSettings,
    store: CandleStore,
    models: Sequence[PriceModel],
    step: Step,
    finished: Callable[[], None],
) -> dict[str, OfSymbol]:
    """By symbol what all `models` are worth; `step` gets words for people, `finished` is called
    after each model.

    Raises WrongUse where bars are not usable or too few.
    """
    # All are looked at before the first is learnt from: a slip in the last must not cost the others.
    rows = {symbol: _rows(settings, store, symbol) for symbol in settings.symbols}
    n_compared = len(rows) * sum(model.name != NO_CHANGE for model in models)
    length_ms = Timeframe.parse(settings.timeframe).length_ms
    found = {}
    for symbol, own in rows.items():
        contenders = {}
        for model in models:
            title = f"{symbol} {model.name}"
            step(title)
            contender = _contend(model, own, settings.seed, length_ms, partial(_in_words, step, title))
            contenders[model.name] = _with_verdict(contender, model.name, n_compared)
            finished()
        found[symbol] = _of_symbol(own, contenders)
    return found


def verdicts(found: Mapping[str, OfSymbol]) -> set[Verdict]:
    """All that were given."""
    return {one.verdict for symbol in found.values() for one in symbol.models.values() if one.verdict}


def _rows(settings: PriceSettings, store: CandleStore, symbol: str) -> PriceRows:
    candles = usable_candles(
        store, settings.venue, settings.timeframe, symbol, settings.since_ms, settings.until_ms
    )
    if settings.newest_bars is not None:
        first = candles.first_open_ms + candles.timeframe.length_ms * max(
            0, candles.n_bars - settings.newest_bars
        )
        candles = candles.between(first, int(candles.open_time_ms[-1]) + 1)
    return price_rows(candles, settings.window, settings.horizon)


def _contend(model: PriceModel, rows: PriceRows, seed: int, length_ms: int, step: Step) -> Contender:
    started = time.monotonic()
    learnt = model.learn(rows, seed, step)
    said = learnt.forecast(rows.test) * rows.spread
    seconds = time.monotonic() - started
    if not np.isfinite(said).all():
        was = f"{int((~np.isfinite(said)).sum())} of {model.name} that are none"
        raise WrongUse("a number for every forecast", was, "choose another seed or a longer history")
    figures = judge(rows, said, length_ms)
    return Contender(figures, learnt.n_parameters, round(seconds, 1), dict(learnt.chosen), None)


def _with_verdict(contender: Contender, name: str, n_compared: int) -> Contender:
    """The best of many looks good by luck alone: Bonferroni's share of the level for each."""
    if name == NO_CHANGE:
        return contender
    p_value = contender.figures.p_value_no_better
    verdict: Verdict = "better" if p_value * n_compared <= LEVEL else "not better"
    if math.isnan(p_value):
        verdict = "not enough evidence"
    return msgspec.structs.replace(contender, verdict=verdict)


def _of_symbol(rows: PriceRows, models: dict[str, Contender]) -> OfSymbol:
    blocks = {"train": rows.train, "validation": rows.validation, "test": rows.test}
    first = {name: utc_text(int(rows.known_from_ms[block[0]])) for name, block in blocks.items()}
    came = rows.forward_return[rows.test]
    return OfSymbol(
        n_rows={name: int(block.size) for name, block in blocks.items()},
        trained_from=first["train"],
        stopped_by_from=first["validation"],
        tested_from=first["test"],
        tested_until=utc_text(int(rows.known_from_ms[rows.test[-1]])),
        up_share=float(np.mean(came[came != 0.0] > 0.0)) if came.any() else math.nan,
        models=models,
    )


def _in_words(step: Step, title: str, word: str) -> None:
    step(f"{title}: {word}")
