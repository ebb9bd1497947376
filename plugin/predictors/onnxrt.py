"""How is a network over a feature row answered?

By onnxruntime, which only this file imports, and only when a bundle has a network: a host with trees
alone goes without it. `plugin.predictors.onnx_format` has looked through the file before, and the
runtime is given bytes, never a path.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plugin.errors import BundleRefused
from plugin.features.feature_set import FeatureSet
from plugin.predictors.batches import Arrays, BatchedSession, trial_rows
from plugin.predictors.onnx_format import ROW_OPERATORS, metadata_of

SCHEMA_KEY = "feature_schema"
"""The metadata key under which a network carries the schema hash of its features."""
MAX_BYTES = 16 * 2**20
FLOAT = "tensor(float)"
_ERROR = 3  # of the severities of onnxruntime: warnings name the host's GPUs, or that it has none


@dataclass(frozen=True)
class Network:
    """A session of onnxruntime: rows (n, features) in by the name `asked`, n probabilities out."""

    session: BatchedSession
    columns: NDArray[np.int64]
    asked: str

    def probability(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """As `plugin.predictors.base.Predictor`. Raises what the runtime raises."""
        (said,) = self.session.ask(self.asked_of(rows), len(rows))
        return said.reshape(len(rows)).astype(np.float64)

    def asked_of(self, rows: NDArray[np.float32]) -> Arrays:
        """The input of the session."""
        return {self.asked: np.ascontiguousarray(rows[:, self.columns])}


def read_onnx(
    file: str, content: bytes, feature_names: Sequence[str], columns: NDArray[np.int64]
) -> Network:
    """The network over `feature_names`; feature j stands in column `columns[j]` of the rows.

    Raises BundleRefused where the content is not such a network or onnxruntime is not installed.
    """
    session = open_network(file, content, feature_names, ROW_OPERATORS)
    return _tried(file, _network(file, session, columns))


def open_network(file: str, content: bytes, feature_names: Sequence[str], operators: Set[str]) -> Any:
    """A session for a file that was looked through: of these `operators` and over these features.

    Raises BundleRefused where it is not, or onnxruntime is not installed.
    """
    if len(content) > MAX_BYTES:
        raise BundleRefused(file, f"a network of at most {MAX_BYTES} bytes", len(content))
    try:
        metadata = metadata_of(content, operators)
    except ValueError as error:
        raise BundleRefused(file, "a network in ONNX", error) from error
    expected = FeatureSet("of the member", tuple(feature_names)).schema_hash
    if (was := metadata.get(SCHEMA_KEY, "none")) != expected:
        raise BundleRefused(file, f"a network over features of schema {expected[:12]}", was[:12])
    return _session(file, content)


def _session(file: str, content: bytes) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        remedy = "not installed: pip install 'shadowgate[onnx]'"
        raise BundleRefused(file, "onnxruntime on this host", remedy) from error
    onnxruntime.set_default_logger_severity(_ERROR)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERROR
    # One thread, and none that waits by spinning: the bot needs the cores.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    for threads in ("intra_op", "inter_op"):
        options.add_session_config_entry(f"session.{threads}.allow_spinning", "0")
    # One row needs no arena, which is never given back.
    options.enable_cpu_mem_arena = False
    try:
        return onnxruntime.InferenceSession(
            content,
            options,
            providers=["CPUExecutionProvider"],
            enable_fallback=0,  # which prints, and tries the same once more
        )
    except Exception as error:  # the runtime has a tree of its own, below Exception
        raise BundleRefused(file, "a network that onnxruntime can load", error) from error


def _network(file: str, session: Any, columns: NDArray[np.int64]) -> Network:
    asked, said = session.get_inputs(), session.get_outputs()
    layouts = [layout(one) for one in asked], [layout(one) for one in said]
    in_layout, out_layout = (FLOAT, "rows", columns.size), (FLOAT, "rows")
    if layouts not in (([in_layout], [out_layout]), ([in_layout], [(*out_layout, 1)])):
        expected = f"{in_layout} in, {out_layout} or {(*out_layout, 1)} out"
        raise BundleRefused(file, expected, f"{layouts[0]} in, {layouts[1]} out")
    return Network(BatchedSession(session, (said[0].name,)), columns, asked[0].name)


def layout(value: Any) -> tuple[str | int | None, ...]:
    """Type and shape; a first dimension that is left open, whatever its name, is called "rows"."""
    first, *others = value.shape or [1]
    return (value.type, first if isinstance(first, int) else "rows", *others)


def _tried(file: str, network: Network) -> Network:
    # What a file declares of shapes is checked by nobody until it is asked.
    rows = trial_rows(int(network.columns.max()) + 1)
    try:
        session, (said,) = network.session.tried(network.asked_of(rows))
        said.reshape(len(rows))
    except Exception as error:
        raise BundleRefused(file, "a network that answers one row with one number", error) from error
    return replace(network, session=session)
