"""How many rows at a time is a network asked, so that an answer has the same bits in any company?

onnxruntime takes the elements of a tensor through vector instructions, four floats at least, and those
left over through others, which round differently now and then. The number of rows is therefore always a
multiple of four: nothing is left over. On some processors products of matrices may depend on it, too:
a session is tried when it is opened, and goes wide only where that gave the same bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[np.float32]]

NARROW, WIDE = 4, 64
_WORTH_WIDE = 16  # rows: more of them cost less in a wide batch, though it is filled up
# Powers of ten. Features differ as much, and where all lie far out, a network hardly shows rounding.
_MAGNITUDES = -4.0, 0.5


@dataclass(frozen=True)
class BatchedSession:
    """A session of onnxruntime whose inputs and outputs, those in `said`, all have one item per row
    first."""

    session: Any
    said: tuple[str, ...]
    goes_wide: bool = False

    def ask(self, asked: Arrays, n: int) -> list[NDArray[np.float32]]:
        """What the session says of `n` rows, an array (n, ...) for each of `said`; `asked` holds its
        inputs, (n, ...) each. A row's answer has the same bits whatever stands beside it. Raises what
        the runtime raises."""
        parts: list[list[NDArray[np.float32]]] = []
        first = 0
        while first < n or not parts:
            size = WIDE if self.goes_wide and n - first > _WORTH_WIDE else NARROW
            some = {name: _filled_up(rows[first : first + size], size) for name, rows in asked.items()}
            parts.append(self.session.run(self.said, some))
            first += size
        return [np.concatenate(one)[:n] for one in zip(*parts, strict=True)]

    def tried(self, asked: Arrays) -> tuple[BatchedSession, list[NDArray[np.float32]]]:
        """The same session, which goes wide where that makes no difference on this host to the answers
        of the `WIDE` rows that are `asked`, and these answers. Raises what the runtime raises."""
        wide, answers = replace(self, goes_wide=True), self.ask(asked, WIDE)
        pairs = zip(answers, wide.ask(asked, WIDE), strict=True)
        is_same = all(one.tobytes() == other.tobytes() for one, other in pairs)
        return wide if is_same else self, answers


def trial_rows(*shape: int) -> NDArray[np.float32]:
    """Rows (WIDE, *shape) of many magnitudes, to try a network with."""
    random = np.random.default_rng(1)
    magnitudes = 10.0 ** random.uniform(*_MAGNITUDES, (WIDE, *(1 for _ in shape)))
    return (magnitudes * random.normal(size=(WIDE, *shape))).astype(np.float32)


def _filled_up(rows: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    if len(rows) == size:
        return rows
    filled = np.zeros((size, *rows.shape[1:]), dtype=np.float32)
    filled[: len(rows)] = rows
    return filled
