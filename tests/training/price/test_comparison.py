"""Who is better than "no change", when many are compared at once."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from plugin.candle_store import CandleStore, RawBars
from plugin.candles import SIMULATED_VENUE
from plugin.errors import WrongUse
from tests.support.price_markets import market_of
from tests.support.raw_bars import write_raw
from training.price.comparison import OfSymbol, Verdict, compare
from training.price.models import Learnt, NoChange, PriceModel, Step
from training.price.rows import PriceRows
from training.price.settings import PriceSettings


@dataclass(frozen=True)
class Oracle:
    """Knows a share of every return, and adds noise of its own."""

    name: str
    share: float
    noise: float = 0.0

    def learn(self, rows: PriceRows, seed: int, step: Step) -> Learnt:
        def forecast(numbers: NDArray[np.int64]) -> NDArray[np.float64]:
            random = np.random.default_rng(3)
            noise = self.noise * random.standard_normal(numbers.size)
            return self.share * rows.forward_return[numbers] / rows.spread + noise

        return Learnt(forecast, n_parameters=1)


SLIGHT = Oracle("slight", 0.1, noise=0.3)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> CandleStore:
    folder = tmp_path_factory.mktemp("store")
    for seed, name in enumerate(("BTC", "ETH"), start=1):
        candles = market_of(3_000, seed=seed)
        bars = RawBars(candles.open_time_ms, candles.bars[:5])
        write_raw(folder / SIMULATED_VENUE / "1h" / f"{name}-USDT.parquet", bars)
    return CandleStore(folder)


def compared(store: CandleStore, *models: PriceModel, symbols: int = 1) -> dict[str, OfSymbol]:
    chosen = ("BTC/USDT", "ETH/USDT")[:symbols]
    settings = PriceSettings(venue=SIMULATED_VENUE, symbols=chosen, window=5)
    return compare(settings, store, (NoChange(), *models), lambda _: None, lambda: None)


def verdict(found: dict[str, OfSymbol], name: str) -> Verdict | None:
    return found["BTC/USDT"].models[name].verdict


def test_who_knows_is_better_who_does_not_is_not_and_no_change_is_not_asked(store: CandleStore) -> None:
    found = compared(store, Oracle("knows", 0.5), Oracle("errs", -0.5))
    assert [verdict(found, name) for name in ("knows", "errs", "no change")] == [
        "better",
        "not better",
        None,
    ]


def test_who_says_what_no_change_says_can_not_be_told_apart(store: CandleStore) -> None:
    found = compared(store, Oracle("the same", 0.0))
    assert verdict(found, "the same") == "not enough evidence"
    assert math.isnan(found["BTC/USDT"].models["the same"].figures.rmse_ratio)


def test_what_convinces_alone_does_not_as_one_of_many(store: CandleStore) -> None:
    """The level is shared out among models and symbols: the best of many looks good by luck."""
    assert verdict(compared(store, SLIGHT), "slight") == "better"
    for found in (compared(store, SLIGHT, Oracle("errs", -0.5)), compared(store, SLIGHT, symbols=2)):
        assert verdict(found, "slight") == "not better"


def test_a_forecast_that_is_no_number_is_not_judged(store: CandleStore) -> None:
    with pytest.raises(WrongUse, match="a number for every forecast"):
        compared(store, Oracle("diverged", math.nan))
