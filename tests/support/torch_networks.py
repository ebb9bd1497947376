"""A network that torch has made: what the library itself says of rows, and what it exports."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import helper
from torch import nn

from plugin.features.joined import FEATURE_SETS
from plugin.predictors.onnxrt import SCHEMA_KEY
from tests.support.networks import FEATURES, Rows

_HIDDEN = 16


class _Scaled(nn.Module):
    """Scaling is a part of the network, so that the exported file takes rows as they are."""

    def __init__(self, rows: Rows) -> None:
        super().__init__()
        spread = rows.std(axis=0)
        self.register_buffer("centre", torch.from_numpy(rows.mean(axis=0)))
        factor = (1.0 / np.where(spread > 0, spread, 1)).astype(np.float32)
        self.register_buffer("factor", torch.from_numpy(factor))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return (rows - self.centre) * self.factor


@dataclass(frozen=True)
class TorchNetwork:
    """As `networks.Network`, of torch's own layers."""

    module: nn.Module
    n_features: int

    def probability(self, rows: Rows) -> NDArray[np.float64]:
        with torch.inference_mode():
            return self.module(torch.from_numpy(rows))[:, 0].double().numpy()

    def content(self) -> bytes:
        """The exported file. Two rows are shown: of one, the number would be taken for fixed."""
        program = torch.onnx.export(
            self.module,
            (torch.zeros(2, self.n_features),),
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("rows")},),
            verbose=False,
        )
        buffer = io.BytesIO()
        program.save(buffer)
        model = onnx.load_from_string(buffer.getvalue())
        helper.set_model_props(model, {SCHEMA_KEY: FEATURE_SETS[FEATURES].schema_hash})
        return bytes(model.SerializeToString())


def torch_network(seed: int, rows: Rows) -> TorchNetwork:
    """Random weights, scaled to rows like `rows`, (n, features)."""
    torch.manual_seed(seed)
    n_features = rows.shape[1]
    layers = (nn.Linear(n_features, _HIDDEN), nn.LayerNorm(_HIDDEN), nn.GELU(), nn.Linear(_HIDDEN, 1))
    module = nn.Sequential(_Scaled(rows), *layers, nn.Sigmoid()).eval()
    return TorchNetwork(module, n_features)
