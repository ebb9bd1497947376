"""What must a model be able to answer, whatever it was trained with?"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Predictor(Protocol):
    """One member of the ensemble at one horizon."""

    def probability(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """The probability of "up" of each row, (n,); `rows` is (n, columns) as `ROW_NAMES`,
        C-contiguous, finite.

        The answer to a row has the same bits whatever stands beside it. Where there is none it is NaN.
        """
        ...
