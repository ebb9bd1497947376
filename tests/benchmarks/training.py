"""How many minutes does a training take, and where do they go?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
from rich.table import Table

from gates.limits import LIMITS
from plugin.candle_store import CandleStore
from tests.benchmarks.market import Market
from tests.benchmarks.showing import table_of
from training.retrain import Outcome, retrain
from training.settings import TrainingSettings

SHORT_FOLDS = 2


class Training(msgspec.Struct, frozen=True):
    """`minutes` by part of the walk, as the run record has them."""

    n_symbols: int
    n_folds: int
    minutes: dict[str, float]


def train(market: Market, models_dir: Path, *, whole: bool) -> Outcome:
    """Train BTC/USDT as the product does; unless `whole`, on its own bars alone and with few folds."""
    settings = TrainingSettings(venue=market.long_venue)
    if not whole:
        settings = msgspec.structs.replace(settings, also_learn_from=(), n_folds=SHORT_FOLDS)
    return retrain(settings, CandleStore(market.root), models_dir, LIMITS, step=lambda _: None)


def figures(outcome: Outcome) -> Training:
    """What the record of the run says."""
    settings = TrainingSettings(**outcome.record["settings"])
    return Training(
        n_symbols=len(settings.learnt_symbols),
        n_folds=settings.n_folds,
        minutes=outcome.record["minutes"],
    )


def tables(training: Training) -> Iterator[Table]:
    """One row a part."""
    minutes = training.minutes | {"all": sum(training.minutes.values())}
    title = f"Training: {training.n_symbols} symbols, {training.n_folds} folds"
    rows = [(part, f"{60 * spent:.1f} s") for part, spent in minutes.items()]
    yield table_of(title, ("", ""), rows)
