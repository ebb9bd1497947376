"""In which order do values rise? Many of them are sorted in a third of the time that numpy takes."""

from __future__ import annotations

import math

import numpy as np

from shadow.statistics.overlap import Floats, Integers

Order = Integers | slice
"""What indexes an array."""
_FEW = 4096  # fewer are sorted before a number is made of them
_EXACT_BITS = 52  # whole numbers up to so many are floats


def rising(values: Floats) -> tuple[Order, Floats]:
    """What puts `values` (n,) into rising order, equal ones as they come, and the values in it."""
    # Who asks for several figures has sorted the rows once.
    if (values[1:] >= values[:-1]).all():
        return slice(None), values
    order = _nearly_rising(values)
    in_order = values[order]
    if (in_order[1:] >= in_order[:-1]).all():
        return order, in_order
    # Next to nothing is out of place, which is what a merge sort is quick at.
    rest = np.argsort(in_order, kind="stable")
    return order[rest], in_order[rest]


def _nearly_rising(values: Floats) -> Integers:
    """The order of the values but for their last bits, equal ones as they come.

    A value and its place become one whole number, as numpy sorts numbers in a fifth of the time in
    which it sorts their places.
    """
    place_bits = values.size.bit_length()
    low, high = float(values.min()), float(values.max())
    steps = 2.0 ** min(63 - place_bits, _EXACT_BITS) - 1.0
    scale = steps / (high - low)
    if values.size < _FEW or not 0.0 < scale < math.inf:
        return np.argsort(values, kind="stable")
    both = ((values - low) * scale).astype(np.int64) << place_bits
    both |= np.arange(values.size)
    both.sort()
    both &= (1 << place_bits) - 1
    return both
