"""How is a network over a window of rows answered?

By two graphs with the same weights: `history`, asked between bars, leads from all rows but the newest
to a state; `step` leads from the newest row and that state to the answer, at the close.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plugin.buffer import LONGEST_WINDOW
from plugin.errors import BundleRefused
from plugin.features.feature_set import SEQUENCE
from plugin.predictors.batches import WIDE, Arrays, BatchedSession, trial_rows
from plugin.predictors.onnx_format import WINDOW_OPERATORS
from plugin.predictors.onnxrt import FLOAT, layout, open_network

ROWS, ROW, SAID = "rows", "row", "probability"
"""What `history` asks, what `step` asks beside the state, and what it says."""
NetworkState = tuple[NDArray[np.float32], ...]


def state_names(n_parts: int) -> tuple[str, ...]:
    """What `history` says and `step` asks: the parts of the state, (n, ...) each."""
    return tuple(f"state_{number}" for number in range(n_parts))


@dataclass(frozen=True)
class WindowedNetwork:
    """Two sessions of onnxruntime. `columns` are those of its features among a symbol's own."""

    history: BatchedSession
    step: BatchedSession
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
        return tuple(self.history.ask(self.asked_of_history(rows), len(rows)))

    def probability(self, rows: NDArray[np.float32], state: NetworkState) -> NDArray[np.float64]:
        """The probability of "up" at each horizon, (n, horizons), of the newest `rows` (n, columns) as
        `ROW_NAMES`. The answer to a row has the same bits whatever stands beside it."""
        (said,) = self.step.ask(self.asked_of_step(rows, state), len(rows))
        return said.astype(np.float64)

    def asked_of_history(self, rows: NDArray[np.float32]) -> Arrays:
        """The inputs of `history`."""
        return {ROWS: np.ascontiguousarray(rows[:, :, self.columns])}

    def asked_of_step(self, rows: NDArray[np.float32], state: NetworkState) -> Arrays:
        """The inputs of `step`."""
        newest = {ROW: np.ascontiguousarray(rows[:, self.columns])}
        return newest | dict(zip(state_names(self.n_parts), state, strict=True))


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
    asked = BatchedSession(history, state_names(n_parts)), BatchedSession(step, (SAID,))
    network = WindowedNetwork(*asked, columns, n_steps, n_horizons, n_parts)
    _check_layout(files, network)
    return _tried(files, network)


def _check_layout(files: tuple[str, str], network: WindowedNetwork) -> None:
    history, step = network.history.session, network.step.session
    names, n_features = state_names(network.n_parts), network.columns.size
    asked_of_history = {ROWS: (FLOAT, "rows", network.n_steps - 1, n_features)}
    state = {one.name: layout(one)[:2] for one in history.get_outputs()}
    expected = dict.fromkeys(names, (FLOAT, "rows"))
    if _layouts(history.get_inputs()) != asked_of_history or state != expected:
        raise BundleRefused(files[0], f"{asked_of_history} in, a state out", "another layout")
    asked, said = _layouts(step.get_inputs()), _layouts(step.get_outputs())
    row = asked.pop(ROW, None)
    if row != (FLOAT, "rows", n_features) or set(asked) - set(names):
        raise BundleRefused(files[1], "a row and the state in", f"{row} and {sorted(asked)}")
    if said != {SAID: (FLOAT, "rows", network.n_horizons)}:
        raise BundleRefused(files[1], f"{network.n_horizons} probabilities out", said)


def _layouts(values: Sequence[Any]) -> dict[str, tuple[str | int | None, ...]]:
    return {one.name: layout(one) for one in values}


def _tried(files: tuple[str, str], network: WindowedNetwork) -> WindowedNetwork:
    """The same network after its trial: what a file declares of shapes is checked by nobody before."""
    rows = trial_rows(network.n_steps, len(SEQUENCE.names))
    try:
        history, state = network.history.tried(network.asked_of_history(rows[:, :-1]))
    except Exception as error:
        raise BundleRefused(files[0], "a graph that leads to a state", error) from error
    try:
        step, (said,) = network.step.tried(network.asked_of_step(rows[:, -1], tuple(state)))
    except Exception as error:
        raise BundleRefused(files[1], "a graph that goes on from that state", error) from error
    if said.shape != (WIDE, network.n_horizons):
        raise BundleRefused(files[1], f"{network.n_horizons} numbers for a row", said.shape[1:])
    return replace(network, history=history, step=step)
