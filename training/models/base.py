"""What must a member be able to do?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from plugin.manifest import Kind


class Model(Protocol):
    """A member after it has learnt one horizon."""

    def predict(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """The probability of "up" for each of `rows`, (n, features of the member's set)."""
        ...

    def content(self) -> bytes:
        """The model file of a bundle; `Member.load` reads it again."""
        ...

    def gains(self) -> NDArray[np.float64]:
        """How much each feature reduced the loss, (features,), in the library's own units."""
        ...


class Binned(Protocol):
    """The rows of one feature set, cut into bins once and shared by all folds and horizons."""

    def fit(self, train: NDArray[np.int64], up: NDArray[np.float64], seed: int) -> Model:
        """Learn from the rows numbered `train`; `up` is (n,) over all rows."""
        ...


class Described(Protocol):
    """What a record of a training says of any member."""

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> str: ...

    @property
    def feature_set(self) -> str: ...

    @property
    def parameters(self) -> Mapping[str, Any]:
        """What the library was told, for the record of the run."""
        ...


class Member(Described, Protocol):
    """A kind of model over the rows of one feature set."""

    @property
    def kind(self) -> Kind: ...

    def bin(
        self, rows: NDArray[np.float32], first_block: NDArray[np.int64], names: Sequence[str]
    ) -> Binned:
        """Cut `rows` into bins whose edges come from the rows numbered `first_block` alone.

        That block lies in the training rows of every fold, so that no bin edge knows a test row.
        """
        ...

    def load(self, content: bytes) -> Model:
        """The model whose `Model.content` that is, with the same answers to the last bit.

        Only for bytes that this machine wrote and whose hash was looked at: on others the libraries may
        end the process.
        """
        ...
