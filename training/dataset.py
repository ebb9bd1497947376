"""Which rows can be learnt from: features of every usable bar, its labels, its time?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plugin.candles import CLOSE, Candles
from plugin.features.joined import N_JOINED, joined_history
from training.labels import label_direction


@dataclass(frozen=True)
class RowLabels:
    """Labels of the rows at one horizon; see `training.labels`. `past_return` looks as far back."""

    up: NDArray[np.float64]
    forward_return: NDArray[np.float64]
    past_return: NDArray[np.float64]
    label_end_ms: NDArray[np.int64]


@dataclass(frozen=True)
class Dataset:
    """Rows of all symbols in time order; symbols that close together stand in the order of `symbols`.

    The first `n_judged` symbols are judged; the rows of the others are only learnt from.

    `rows` float32 (n, first columns of `plugin.features.joined.ROW_NAMES`), all finite; `symbol` (n,)
    indexes `symbols`; `known_from_ms` (n,) is the close time of the bar: the first moment the row is
    known.
    """

    symbols: tuple[str, ...]
    n_judged: int
    rows: NDArray[np.float32]
    symbol: NDArray[np.int64]
    known_from_ms: NDArray[np.int64]
    labels: Mapping[int, RowLabels]

    @property
    def n_rows(self) -> int:
        return len(self.rows)

    def only(self, rows: NDArray[np.int64]) -> Dataset:
        """The `rows` of these numbers, in time order."""
        labels = {
            horizon: RowLabels(*(getattr(own, name)[rows] for name in RowLabels.__dataclass_fields__))
            for horizon, own in self.labels.items()
        }
        return Dataset(
            self.symbols,
            self.n_judged,
            self.rows[rows],
            self.symbol[rows],
            self.known_from_ms[rows],
            labels,
        )

    @property
    def judged(self) -> NDArray[np.bool_]:
        return self.symbol < self.n_judged


def build_dataset(
    candles: Mapping[str, Candles],
    symbols: Sequence[str],
    companions: Mapping[str, Sequence[str]],
    horizons: Sequence[int],
    since_ms: int,
    n_judged: int | None = None,
    n_columns: int = N_JOINED,
) -> Dataset:
    """Rows of `symbols` whose bar opens at or after `since_ms`; earlier bars only warm features up.

    The first `n_judged` symbols, by default all, are judged. `candles` holds the symbols and all their
    companions. A bar whose window is refused gives no row. A
    label that is not known yet is NaN: the row can be predicted, not learnt from or scored.
    """
    parts = [
        _rows_of(number, candles, symbol, companions[symbol], horizons, since_ms, n_columns)
        for number, symbol in enumerate(symbols)
    ]
    known_from_ms = np.concatenate([part.known_from_ms for part in parts])
    order = np.argsort(known_from_ms, kind="stable")
    return Dataset(
        symbols=tuple(symbols),
        n_judged=len(symbols) if n_judged is None else n_judged,
        rows=np.concatenate([part.rows for part in parts])[order],
        symbol=np.concatenate([part.symbol for part in parts])[order],
        known_from_ms=known_from_ms[order],
        labels={
            horizon: RowLabels(
                *(
                    np.concatenate([getattr(part.labels[horizon], field) for part in parts])[order]
                    for field in RowLabels.__dataclass_fields__
                )
            )
            for horizon in horizons
        },
    )


def _rows_of(
    number: int,
    candles: Mapping[str, Candles],
    symbol: str,
    companions: Sequence[str],
    horizons: Sequence[int],
    since_ms: int,
    n_columns: int,
) -> Dataset:
    own = candles[symbol]
    rows, refused = joined_history(own, [candles[other] for other in companions], n_columns)
    use = np.flatnonzero(~refused & (own.open_time_ms >= since_ms))
    return Dataset(
        symbols=(symbol,),
        n_judged=1,
        rows=rows[use],
        symbol=np.full(use.size, number),
        known_from_ms=own.open_time_ms[use] + own.timeframe.length_ms,
        labels={horizon: _labels_of(own, horizon, use) for horizon in horizons},
    )


def _labels_of(own: Candles, horizon: int, use: NDArray[np.int64]) -> RowLabels:
    labels = label_direction(own, horizon)
    log_close = np.log(own.bars[CLOSE])
    past_return = np.zeros_like(log_close)
    past_return[horizon:] = log_close[horizon:] - log_close[:-horizon]
    return RowLabels(
        labels.up[use], labels.forward_return[use], past_return[use], labels.label_end_ms[use]
    )
