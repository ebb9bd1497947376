"""How is a network over a window of rows answered?

By two graphs with the same weights: `history`, asked between bars, leads from all rows but the newest
to a state; `step` leads from the newest row and that state to the answer, at the close.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plugin.buffer import LONGEST_WINDOW
from plugin.errors import BundleRefused
from plugin.features.feature_set import SEQUENCE
from plugin.predictors.onnx_format import WINDOW_OPERATORS
from plugin.predictors.onnxrt import FLOAT, layout, open_network

ROWS, ROW, SAID = "rows", "row", "probability"
"""What `history` asks, what `step` asks beside the state, and what it says."""
NetworkState = tuple[NDArray[np.float32], ...]
# Asked so many at a time, never more and never fewer: in batches of another size the runtime takes some
# rows through other instructions, and their answers have other bits.
_AT_ONCE = 8


def state_names(n_parts: int) -> tuple[str, ...]:
    """What `history` says and `step` asks: the parts of the state, (n, ...) each."""
    return tuple(f"state_{number}" for number in range(n_parts))


@dataclass(frozen=True)
class WindowedNetwork:
    """Two sessions of onnxruntime. `columns` are those of its features among a symbol's own."""

    history: Any
    step: Any
    columns: NDArray[np.int64]
    n_steps: int
    n_horizons: int
    n_parts: int

    def no_rows(self) -> NDArray[np.float32]:
        """The rows of no window at all."""
        return np.zeros((0, self.n_steps - 1, len(SEQUENCE.names)), dtype=np.float32)

    def prepare(self, rows: NDArray[np.float32]) -> NetworkState:
        """The state after `rows` (n, n_steps - 1, 80): a tuple of (n, ...). Raises what the runtime
        raises."""
        asked = {ROWS: np.ascontiguousarray(rows[:, :, self.columns])}
        return tuple(_in_batches(self.history, state_names(self.n_parts), asked, len(rows)))

    def probability(self, rows: NDArray[np.float32], state: NetworkState) -> NDArray[np.float64]:
        """The probability of "up" at each horizon, (n, horizons), of the newest `rows` (n, columns) as
        `ROW_NAMES`. The answer to a row has the same bits whatever stands beside it."""
        asked = {ROW: np.ascontiguousarray(rows[:, self.columns])}
        asked |= dict(zip(state_names(self.n_parts), state, strict=True))
        (said,) = _in_batches(self.step, (SAID,), asked, len(rows))
        return said.astype(np.float64)


def _in_batches(
    session: Any, names: Sequence[str], asked: Mapping[str, NDArray[np.float32]], n: int
) -> list[NDArray[np.float32]]:
    found = []
    for first in range(0, max(n, 1), _AT_ONCE):
        some = {name: _filled_up(whole[first : first + _AT_ONCE]) for name, whole in asked.items()}
        found.append(session.run(names, some))
    return [np.concatenate(parts)[:n] for parts in zip(*found, strict=True)]


def _filled_up(batch: NDArray[np.float32]) -> NDArray[np.float32]:
    if len(batch) == _AT_ONCE:
        return batch
    filled = np.zeros((_AT_ONCE, *batch.shape[1:]), dtype=np.float32)
    filled[: len(batch)] = batch
    return filled


def read_windowed(
    files: tuple[str, str],
    contents: tuple[bytes, bytes],
    feature_names: Sequence[str],
    columns: NDArray[np.int64],
    n_steps: int,
    n_horizons: int,
) -> WindowedNetwork:
    """The network of two `files`, history and step. Raises BundleRefused where they are not one."""
    if not 2 <= n_steps <= LONGEST_WINDOW:
        raise BundleRefused(files[0], f"a window of 2 to {LONGEST_WINDOW} rows", n_steps)
    if columns.max() >= len(SEQUENCE.names):
        raise BundleRefused(files[0], "a network over features of the symbol itself", "of others, too")
    history, step = (
        open_network(file, content, feature_names, WINDOW_OPERATORS)
        for file, content in zip(files, contents, strict=True)
    )
    n_parts = len(history.get_outputs())
    network = WindowedNetwork(history, step, columns, n_steps, n_horizons, n_parts)
    _check_layout(files, network)
    _try(files, network)
    return network


def _check_layout(files: tuple[str, str], network: WindowedNetwork) -> None:
    names, n_features = state_names(network.n_parts), network.columns.size
    asked_of_history = {ROWS: (FLOAT, "rows", network.n_steps - 1, n_features)}
    state = {one.name: layout(one)[:2] for one in network.history.get_outputs()}
    expected = dict.fromkeys(names, (FLOAT, "rows"))
    if _layouts(network.history.get_inputs()) != asked_of_history or state != expected:
        raise BundleRefused(files[0], f"{asked_of_history} in, a state out", "another layout")
    asked = _layouts(network.step.get_inputs())
    said = _layouts(network.step.get_outputs())
    row = asked.pop(ROW, None)
    if row != (FLOAT, "rows", n_features) or set(asked) - set(names):
        raise BundleRefused(files[1], "a row and the state in", f"{row} and {sorted(asked)}")
    if said != {SAID: (FLOAT, "rows", network.n_horizons)}:
        raise BundleRefused(files[1], f"{network.n_horizons} probabilities out", said)


def _layouts(values: Sequence[Any]) -> dict[str, tuple[str | int | None, ...]]:
    return {one.name: layout(one) for one in values}


def _try(files: tuple[str, str], network: WindowedNetwork) -> None:
    # What a file declares of shapes is checked by nobody until it is asked.
    rows = np.zeros((1, network.n_steps, len(SEQUENCE.names)), dtype=np.float32)
    try:
        state = network.prepare(rows[:, :-1])
    except Exception as error:
        raise BundleRefused(files[0], "a graph that leads to a state", error) from error
    try:
        said = network.probability(rows[:, -1], state)
    except Exception as error:
        raise BundleRefused(files[1], "a graph that goes on from that state", error) from error
    if said.shape != (1, network.n_horizons):
        raise BundleRefused(files[1], f"{network.n_horizons} numbers for a row", said.shape)
