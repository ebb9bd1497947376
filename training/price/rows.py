"""Which windows of bars can be learnt from, which close followed, and in which block does each lie?

Prices are made into log returns: a model of price levels has never seen the levels to come. A row is
the window that ends with a bar; where one of its bars is absent, or the close to be forecast, there is
none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plugin.candles import ABSENT, CLOSE, OPEN, VOLUME, Candles
from plugin.errors import WrongUse
from training.labels import label_direction
from training.price.settings import SHARES
from training.splits import chronological

N_FEATURES = 5
_FURTHEST = 5.0  # standard deviations: a few bars must not decide what the others mean


@dataclass(frozen=True)
class PriceRows:
    """Windows of one symbol in time order, scaled by the training block, and its three blocks.

    `values` float32 (bars, 5): open, high, low and close against the close before, and the change of
    volume, as logarithms in standard deviations. Row i is the `window` bars that end with bar `end[i]`;
    `close` is its newest price and `forward_return` the log return to the one to be forecast, which is
    `spread` wide in the training block. `train`, `validation` and `test` are row numbers.
    """

    window: int
    horizon: int
    values: NDArray[np.float32]
    end: NDArray[np.int64]
    close: NDArray[np.float64]
    forward_return: NDArray[np.float64]
    known_from_ms: NDArray[np.int64]
    spread: float
    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]

    def windows(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The inputs of `rows`, (n, window, 5), the newest bar last."""
        inputs: NDArray[np.float32] = self.values[self.end[rows, None] + np.arange(1 - self.window, 1)]
        return inputs

    def targets(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The returns that followed, in units of `spread`: 0 is "no change"."""
        return (self.forward_return[rows] / self.spread).astype(np.float32)


def price_rows(candles: Candles, window: int, horizon: int) -> PriceRows:
    """The rows of `candles`; raises WrongUse where three blocks can not be made of them."""
    if window < 1 or horizon < 1:
        was = f"{window} and {horizon}"
        raise WrongUse("a window and a horizon of at least one bar", was, "such as 60 and 1")
    labels = label_direction(candles, horizon)
    returns = _log_returns(candles)
    end = _ends(returns, window, labels.known)
    known_from_ms = candles.open_time_ms + candles.timeframe.length_ms
    try:
        train, validation, test = chronological(
            known_from_ms[end], labels.label_end_ms[end], SHARES, embargo_ms=0
        )
    except WrongUse as error:
        was = f"{end.size} of {candles.symbol}"
        remedy = "use a longer history or a shorter window"
        raise WrongUse("whole windows enough to learn from and be judged on", was, remedy) from error
    forward_return = labels.forward_return[end]
    learnt_from = returns[: end[train[-1]] + 1]
    centre, spread = np.nanmean(learnt_from, axis=0), np.nanstd(learnt_from, axis=0)
    target_spread = float(forward_return[train].std())
    if not (spread[CLOSE] > 0.0 and target_spread > 0.0):
        was = f"a price of {candles.symbol} that never moves"
        raise WrongUse("bars that move in the training block", was, "choose another symbol or time")
    scaled = (returns - centre) / np.where(spread > 0.0, spread, 1.0)
    return PriceRows(
        window=window,
        horizon=horizon,
        values=scaled.clip(-_FURTHEST, _FURTHEST).astype(np.float32),
        end=end,
        close=candles.bars[CLOSE, end],
        forward_return=forward_return,
        known_from_ms=known_from_ms[end],
        spread=target_spread,
        train=train,
        validation=validation,
        test=test,
    )


def _log_returns(candles: Candles) -> NDArray[np.float64]:
    """(bars, 5), NaN where a bar or the one before it is absent."""
    bars = candles.bars
    returns = np.full((candles.n_bars, N_FEATURES), np.nan)
    logs = np.log(bars[OPEN : CLOSE + 1])
    returns[1:, :4] = (logs[:, 1:] - logs[CLOSE, :-1]).T
    # A bar without a trade is a bar, too.
    returns[1:, 4] = np.diff(np.log1p(bars[VOLUME]))
    absent = bars[ABSENT] == 1.0
    returns[absent] = np.nan
    returns[1:][absent[:-1]] = np.nan
    return returns


def _ends(returns: NDArray[np.float64], window: int, known: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The bars that end a whole window and have a close to be forecast."""
    whole = ~np.isnan(returns[:, 0])
    place = np.arange(whole.size)
    last_hole = np.maximum.accumulate(np.where(whole, -1, place))
    return np.flatnonzero((place - last_hole >= window) & known)
