"""How does a network become two ONNX files?

`history` leads from all rows of a window but the newest to a state, `step` from the newest row and that
state to the probabilities. Both carry the same weights, each whole in one file, and take any number of
windows at once. Whether they do, and say what the network says, is looked at when the bundle is tried:
by its reader (`plugin.predictors.windowed`) and by its golden answers (`plugin.canary`).
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import onnx
import torch
from torch import Tensor, nn

from plugin.features.joined import FEATURE_SETS
from plugin.predictors.batches import ALONE_KEY, NARROW
from plugin.predictors.onnxrt import SCHEMA_KEY
from plugin.predictors.windowed import ROW, ROWS, SAID, state_names
from training.models.networks.base import WindowNetwork

_OPSET = 17
_TRACED_AT_ONCE = 3  # an example of one would fix the number of windows at one
_WINDOWS = "windows"
# Not those that take each row by itself, whatever stands beside it: Softmax, LSTM, norms.
_CURVES = {"Elu", "Selu", "Gelu", "Erf", "Softplus", "Sigmoid", "Tanh", "Pow"}


@dataclass(frozen=True)
class NetworkFiles:
    """The two files of a network, as bytes."""

    history: bytes
    step: bytes


def export_network(network: WindowNetwork, feature_set: str) -> NetworkFiles:
    """Write both graphs of a network that has learnt, over the features of `feature_set`."""
    network.eval()
    rows = torch.zeros(_TRACED_AT_ONCE, network.n_steps - 1, network.n_features)
    with torch.no_grad():
        state = network.history(rows)
    names = state_names(len(state))
    newest = torch.zeros(_TRACED_AT_ONCE, network.n_features)
    schema = FEATURE_SETS[feature_set].schema_hash
    return NetworkFiles(
        history=_graph(_History(network), (rows,), (ROWS,), names, schema),
        step=_graph(_Step(network), (newest, *state), (ROW, *names), (SAID,), schema),
    )


class _History(nn.Module):
    def __init__(self, network: WindowNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, rows: Tensor) -> tuple[Tensor, ...]:
        return self.network.history(rows)


class _Step(nn.Module):
    def __init__(self, network: WindowNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, row: Tensor, *state: Tensor) -> Tensor:
        return self.network.step(row, *state)


def _graph(
    module: nn.Module,
    example: tuple[Tensor, ...],
    asked: Sequence[str],
    said: Sequence[str],
    schema: str,
) -> bytes:
    module.eval()  # torch puts a module back into the mode that it was in
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # That a traced LSTM would fix the number of windows: it does for an example of one alone.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            example,
            buffer,  # type: ignore[arg-type]  # its stubs know only of paths
            input_names=list(asked),
            output_names=list(said),
            dynamic_axes={name: {0: _WINDOWS} for name in (*asked, *said)},
            opset_version=_OPSET,
            dynamo=False,
        )
    model = onnx.load_from_string(buffer.getvalue())
    alone = "yes" if leaves_nothing_over(model) else "no"
    onnx.helper.set_model_props(model, {SCHEMA_KEY: schema, ALONE_KEY: alone})
    content: bytes = model.SerializeToString()
    return content


def leaves_nothing_over(model: onnx.ModelProto) -> bool:
    """Whether every curve in a graph is computed, of one window, over floats in groups of four.

    See `plugin.predictors.batches`. A curve that is itself the answer needs no look: what is left over
    there shows when the graph is tried, and so do sums that depend on where their row stands.
    """
    of_one = onnx.ModelProto()
    of_one.CopyFrom(model)
    for value in (*of_one.graph.input, *of_one.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    inferred = onnx.shape_inference.infer_shapes(of_one, data_prop=True).graph
    sizes = {value.name: _size(value) for value in (*inferred.value_info, *inferred.input)}
    curves = [node for node in inferred.node if node.op_type in _CURVES and node.output[0] != SAID]
    return all(sizes.get(node.input[0], 1) % NARROW == 0 for node in curves)


def _size(value: onnx.ValueInfoProto) -> int:
    """The number of floats; 1, which is never in groups, where a dimension is not known."""
    dimensions = value.type.tensor_type.shape.dim
    known = [one.dim_value for one in dimensions]
    return math.prod(known) if all(known) else 1
