"""Which networks will serve, what do they say, and what becomes of them in a bundle?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from plugin.manifest import NetworkFiles
from training.export import export_network
from training.models.network import NetworkMember, NetworkModel

if TYPE_CHECKING:
    from training.networks import Networks


@dataclass(frozen=True)
class ServingNetworks:
    """The networks that will serve, by name."""

    networks: Networks
    models: Mapping[str, NetworkModel]

    def predict(self, member: NetworkMember, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """The probability of "up" at each horizon, (n, horizons), of `rows` of the dataset."""
        return self.models[member.name].predict(self.networks.windows[member.name], rows)

    @property
    def n_earlier_rows(self) -> int:
        """How many rows before the newest the longest window has."""
        return max(member.n_steps for member in self.networks.members) - 1

    def golden(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """What all say of `rows` of the dataset, by torch: (networks, horizons, n)."""
        return np.stack([self.predict(member, rows).T for member in self.networks.members])

    def files(self) -> tuple[dict[str, bytes], tuple[NetworkFiles, ...]]:
        """The graphs of all, and what the manifest says of them."""
        contents: dict[str, bytes] = {}
        entries = []
        for member in self.networks.members:
            graphs = export_network(self.models[member.name].network, member.feature_set)
            names = f"{member.name}_history.onnx", f"{member.name}_step.onnx"
            contents |= dict(zip(names, (graphs.history, graphs.step), strict=True))
            entries.append(
                NetworkFiles(
                    member=member.name,
                    feature_set=member.feature_set,
                    n_steps=member.n_steps,
                    history_file=names[0],
                    step_file=names[1],
                )
            )
        return contents, tuple(entries)

    def learning(self) -> dict[str, dict[str, Any]]:
        """How each has learnt, for the record of the run."""
        horizons = [str(horizon) for horizon in self.networks.horizons]
        return {
            name: {
                "n_parameters": model.network.n_parameters,
                "best_epoch": model.best_epoch,
                "seconds": round(model.seconds, 1),
                "loss": model.curves[:, 0].tolist(),
                "loss_stopped_by": model.curves[:, 1].tolist(),
                "auc_stopped_by": dict(zip(horizons, model.by_head, strict=True)),
            }
            for name, model in self.models.items()
        }
