"""How many rows at a time is a network asked, so that an answer has the same bits in any company?

onnxruntime takes the elements of a tensor through vector instructions, four floats at least, and those
left over through others, which round differently now and then. The number of rows is therefore a
multiple of four, so that nothing is left over; or it is one, where whoever wrote the file has looked at
every curve in it and found nothing left over of a single row. Products of matrices may depend on the
number of rows on some processors, and sums over layers of an odd width depend on the place of a row
among the four. So a session is tried when it is opened: it takes the sizes that gave the same bits on
this host.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[np.float32]]
Answers = list[NDArray[np.float32]]

ALONE_KEY = "alone"
"""The metadata key under which a file says that nothing is left over of a single row."""
ALONE, NARROW, WIDE = 1, 4, 64
_WORTH_WIDE = 16  # rows: more of them cost less in a wide batch, though it is filled up
_TRIED_ALONE = 16  # rows: a product that depends on their number has other bits in almost all
# Powers of ten. Features differ as much, and where all lie far out, a network hardly shows rounding.
_MAGNITUDES = -4.0, 0.5


@dataclass(frozen=True)
class BatchedSession:
    """A session of onnxruntime whose inputs and outputs, those in `said`, all have one item per row
    first. Batches may have any of `sizes`."""

    session: Any
    said: tuple[str, ...]
    sizes: frozenset[int] = frozenset({NARROW})

    def ask(self, asked: Arrays, n: int) -> Answers:
        """What the session says of `n` rows, an array (n, ...) for each of `said`; `asked` holds its
        inputs, (n, ...) each. A row's answer has the same bits whatever stands beside it. Raises what
        the runtime raises."""
        parts: list[Answers] = []
        first = 0
        while first < n or not parts:
            size = self._size(n - first)
            some = {name: _filled_up(rows[first : first + size], size) for name, rows in asked.items()}
            parts.append(self.session.run(self.said, some))
            first += size
        return [np.concatenate(one)[:n] for one in zip(*parts, strict=True)]

    def tried(self, asked: Arrays) -> tuple[BatchedSession, Answers]:
        """The same session with all sizes that make no difference on this host to the answers of the
        `WIDE` rows that are `asked`; and these answers. Where the place of a row makes one, all are
        asked alone. Raises what the runtime raises."""
        narrow, wide, alone = (self._only(size) for size in (NARROW, WIDE, ALONE))
        answers = narrow.ask(asked, WIDE)
        moved = narrow.ask({name: np.roll(rows, 1, axis=0) for name, rows in asked.items()}, WIDE)
        if not _are_same(answers, [np.roll(one, -1, axis=0) for one in moved]):
            return alone, alone.ask(asked, WIDE)
        sizes = {NARROW}
        if _are_same(answers, wide.ask(asked, WIDE)):
            sizes.add(WIDE)
        if self._may_go_alone():
            some = {name: rows[:_TRIED_ALONE] for name, rows in asked.items()}
            if _are_same([one[:_TRIED_ALONE] for one in answers], alone.ask(some, _TRIED_ALONE)):
                sizes.add(ALONE)
        return replace(self, sizes=frozenset(sizes)), answers

    def _size(self, n_left: int) -> int:
        if WIDE in self.sizes and n_left > _WORTH_WIDE:
            return WIDE
        if ALONE in self.sizes and n_left == 1:
            return ALONE
        return min(self.sizes - {ALONE}, default=ALONE)

    def _only(self, size: int) -> BatchedSession:
        return replace(self, sizes=frozenset({size}))

    def _may_go_alone(self) -> bool:
        metadata: Mapping[str, str] = self.session.get_modelmeta().custom_metadata_map
        return metadata.get(ALONE_KEY) == "yes"


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


def _are_same(some: Answers, others: Answers) -> bool:
    return all(one.tobytes() == other.tobytes() for one, other in zip(some, others, strict=True))
