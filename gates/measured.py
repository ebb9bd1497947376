"""What do the rows that a bundle was judged on say of it?"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from gates.out_of_fold import STACK, OutOfFoldRows
from shadow.statistics import Brier, Estimate, auc, auc_interval, brier


@dataclass(frozen=True)
class Measured:
    """Figures at one horizon (in bars), made from rows that `OutOfFoldRows.check` has passed.

    Sources are compared on the same rows: those with a label, after the first block, where the stack
    answers, too.
    """

    rows: OutOfFoldRows
    horizon: int
    length_ms: int

    def at(self, horizon: int) -> Measured:
        """The same rows at another horizon."""
        return replace(self, horizon=horizon)

    def by_horizon(self) -> Iterator[Measured]:
        """Each horizon of the bundle."""
        return (self.at(horizon) for horizon in self.rows.horizons.tolist())

    @property
    def symbols(self) -> list[str]:
        names: list[str] = self.rows.symbols.tolist()
        return names

    @property
    def members(self) -> list[str]:
        names: list[str] = self.rows.sources[:-1].tolist()
        return names

    @cached_property
    def up(self) -> NDArray[np.float64]:
        """(n,) 0, 1 or NaN."""
        return self.rows.up[:, self._place].astype(np.float64)

    def said(self, source: str) -> NDArray[np.float64]:
        """(n,) probabilities of one source, NaN where it has no answer."""
        number = self.rows.sources.tolist().index(source)
        return self.rows.probability[:, self._place, number].astype(np.float64)

    @cached_property
    def known(self) -> NDArray[np.bool_]:
        """(n,) rows with a label."""
        return ~np.isnan(self.up)

    @cached_property
    def common(self) -> NDArray[np.bool_]:
        """(n,) rows with a label on which all sources are compared."""
        return self.known & (self.rows.fold > 0)

    @cached_property
    def bar_number(self) -> NDArray[np.int64]:
        """(n,) the same for symbols that close together."""
        numbers: NDArray[np.int64] = self.rows.known_from_ms // self.length_ms
        return numbers

    @cached_property
    def blocks(self) -> list[int]:
        """The numbers of all blocks."""
        return list(range(int(self.rows.fold[-1]) + 1))

    def of_symbol(self, number: int) -> NDArray[np.bool_]:
        """(n,) the common rows of one symbol."""
        rows: NDArray[np.bool_] = self.common & (self.rows.symbol == number)
        return rows

    @cached_property
    def stack_auc(self) -> list[Estimate]:
        """Of the stack on each symbol, with its interval."""
        return [self.interval(self.of_symbol(number)) for number in range(len(self.symbols))]

    @cached_property
    def stack_brier(self) -> list[Brier]:
        """Of the stack on each symbol."""
        said = self.said(STACK)
        rows = [self.of_symbol(number) for number in range(len(self.symbols))]
        return [brier(said[one], self.up[one]) for one in rows]

    def interval(self, rows: NDArray[np.bool_]) -> Estimate:
        """The stack's AUC on some of the rows, valid for labels that overlap."""
        said = self.said(STACK)[rows]
        return auc_interval(said, self.up[rows], self.horizon, self.bar_number[rows])

    def common_auc(self, source: str) -> float:
        """Over all symbols and common rows."""
        return auc(self.said(source)[self.common], self.up[self.common])

    def block_aucs(self, source: str) -> list[float]:
        """In each block, over all symbols; that of the stack begins with the second one."""
        said = self.said(source)
        in_blocks = [self.known & (self.rows.fold == number) for number in self.blocks]
        first = 1 if source == STACK else 0
        return [auc(said[rows], self.up[rows]) for rows in in_blocks[first:]]

    def share_within(self, low: float, high: float) -> list[float]:
        """Of the stack's probabilities on each symbol; NaN where there are none."""
        said = self.said(STACK)
        by_symbol = [said[self.of_symbol(number)] for number in range(len(self.symbols))]
        return [
            float(((one >= low) & (one <= high)).mean()) if one.size else math.nan for one in by_symbol
        ]

    @property
    def _place(self) -> int:
        place: int = self.rows.horizons.tolist().index(self.horizon)
        return place
