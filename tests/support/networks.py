"""Real networks in ONNX over a feature row, and bundles that have one beside their trees."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import msgspec
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from gates.out_of_fold import OutOfFoldRows
from plugin.features.joined import FEATURE_SETS, ROW_NAMES, columns_of
from plugin.golden import Golden
from plugin.manifest import MemberFile
from plugin.meta_kinds import LogisticModel
from plugin.meta_model import MetaModel, meta_inputs
from plugin.predictors.onnxrt import SCHEMA_KEY
from tests.support.bundles import read_manifest, reseal

Rows = NDArray[np.float32]
FEATURES = "base"
_WEIGHT_IN_META = 0.3
_HIDDEN = 5
_SEEN_AUC = 0.6


@dataclass(frozen=True)
class Network:
    """Scaling, one hidden layer and a sigmoid, over rows of FEATURES; all weights are float32."""

    centre: Rows
    factor: Rows
    hidden: Rows
    hidden_bias: Rows
    out: Rows
    out_bias: Rows
    activation: str = "Relu"

    def probability(self, rows: Rows) -> NDArray[np.float64]:
        """What numpy makes of rows (n, features), without any runtime of networks."""
        inner = ((rows - self.centre) * self.factor) @ self.hidden + self.hidden_bias
        negative = np.zeros_like(inner) if self.activation == "Relu" else np.expm1(inner)
        bent = np.where(inner > 0, inner, negative)
        odds = (bent @ self.out + self.out_bias)[:, 0].astype(np.float64)
        return 1.0 / (1.0 + np.exp(-odds))

    def model(self) -> onnx.ModelProto:
        """As ONNX, to be spoilt at will; `SerializeToString` gives the file."""
        names = ("centre", "factor", "hidden", "hidden_bias", "out", "out_bias")
        node, value = helper.make_node, helper.make_tensor_value_info
        graph = helper.make_graph(
            [
                node("Sub", ["row", "centre"], ["moved"]),
                node("Mul", ["moved", "factor"], ["scaled"]),
                node("Gemm", ["scaled", "hidden", "hidden_bias"], ["inner"]),
                node(self.activation, ["inner"], ["bent"]),
                node("Gemm", ["bent", "out", "out_bias"], ["odds"]),
                node("Sigmoid", ["odds"], ["up"]),
            ],
            "network",
            [value("row", TensorProto.FLOAT, ["rows", self.centre.size])],
            [value("up", TensorProto.FLOAT, ["rows", 1])],
            [numpy_helper.from_array(getattr(self, name), name) for name in names],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        helper.set_model_props(model, {SCHEMA_KEY: FEATURE_SETS[FEATURES].schema_hash})
        return model

    def content(self) -> bytes:
        return bytes(self.model().SerializeToString())


def network(seed: int, rows: Rows, n_hidden: int = _HIDDEN) -> Network:
    """Random weights that make something of rows like `rows`, (n, features)."""
    rng = np.random.default_rng(seed)
    spread = rows.std(axis=0)
    n_features = rows.shape[1]
    return Network(
        centre=rows.mean(axis=0),
        factor=(1.0 / np.where(spread > 0, spread, 1)).astype(np.float32),
        hidden=_normal(rng, n_features, n_hidden) / np.float32(n_features) ** np.float32(0.5),
        hidden_bias=_normal(rng, n_hidden),
        out=_normal(rng, n_hidden, 1) * np.float32(0.2),
        out_bias=np.zeros(1, dtype=np.float32),
    )


def constant_network(seed: int, rows: Rows) -> Network:
    """One that has collapsed: it says the same of every row."""
    live = network(seed, rows)
    return replace(live, out=np.zeros_like(live.out), out_bias=np.full(1, 0.04, dtype=np.float32))


def silent_network(seed: int, rows: Rows) -> Network:
    """One whose answers are no numbers."""
    return replace(network(seed, rows), out_bias=np.full(1, np.nan, dtype=np.float32))


def random_rows(seed: int, n: int) -> Rows:
    """Joined rows (n, columns) with the volatility that the meta-model needs."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((n, len(ROW_NAMES)))
    rows[:, ROW_NAMES.index("realised_vol_20")] = rng.uniform(1e-9, 0.1, n)
    return rows.astype(np.float32)


def add_network(
    bundle: Path, network_at: Callable[[int, Rows], Network] = network, member: str = "net"
) -> None:
    """Give the bundle one member more, a network at every horizon, and make all hashes right.

    Golden answers of the network are numpy's; `network_at` is given the horizon and the golden rows of
    its features. Nobody trained it: its rows out of fold and how well it knows seen ones are made up.
    """
    manifest = read_manifest(bundle)
    golden = Golden.decode((bundle / manifest.golden_file).read_bytes())
    rows = np.ascontiguousarray(golden.rows[:, columns_of(FEATURES)])
    networks = {horizon: network_at(horizon, rows) for horizon in manifest.horizons}
    entries = [
        MemberFile(
            member=member,
            kind="onnx",
            feature_set=FEATURES,
            horizon=horizon,
            file=f"{member}_h{horizon}.onnx",
        )
        for horizon in networks
    ]
    for entry in entries:
        (bundle / entry.file).write_bytes(networks[entry.horizon].content())
    meta = _add_to_meta(bundle / manifest.meta_file, member)
    said = np.stack([one.probability(rows) for one in networks.values()], axis=1)
    (bundle / manifest.golden_file).write_bytes(_with_answers(golden, said, meta).encode())
    _add_out_of_fold(bundle / manifest.evidence_file, networks, rows, member)
    reseal(
        bundle,
        members=(*manifest.members, *entries),
        files=manifest.files | dict.fromkeys(entry.file for entry in entries),
        libraries=manifest.libraries | {"onnxruntime": version("onnxruntime")},
        metrics={
            horizon: figures | {"seen_auc": figures["seen_auc"] | {member: _SEEN_AUC}}
            for horizon, figures in manifest.metrics.items()
        },
    )


def _add_to_meta(file: Path, member: str) -> MetaModel:
    meta = msgspec.json.decode(file.read_bytes(), type=MetaModel)
    meta = MetaModel(
        (*meta.members, member),
        {
            horizon: msgspec.structs.replace(one, weights=(*one.weights, _WEIGHT_IN_META))
            for horizon, one in meta.horizons.items()
            if isinstance(one, LogisticModel)
        },
    )
    file.write_bytes(msgspec.json.encode(meta))
    return meta


def _with_answers(golden: Golden, said: NDArray[np.float64], meta: MetaModel) -> Golden:
    """`said` is (cases, horizons)."""
    members = np.concatenate([golden.members, said[:, None]], axis=1)
    volatility = golden.rows[:, ROW_NAMES.index("realised_vol_20")]
    stacked = [
        model.probability(meta_inputs(members[:, :, place].T, volatility))
        for place, model in enumerate(meta.horizons.values())
    ]
    return replace(golden, members=members, stacked=np.stack(stacked, axis=1))


def _add_out_of_fold(file: Path, networks: dict[int, Network], rows: Rows, member: str) -> None:
    before = OutOfFoldRows.decode(file.read_bytes())
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((before.known_from_ms.size, rows.shape[1])).astype(np.float32)
    made_up = rows.mean(axis=0) + noise * rows.std(axis=0)
    said = np.stack([one.probability(made_up) for one in networks.values()], axis=1)
    *members, stack = before.sources.tolist()
    sources = np.array([*members, member, stack])
    probability = np.insert(before.probability, -1, said, axis=2)
    file.write_bytes(replace(before, sources=sources, probability=probability).encode())


def _normal(rng: np.random.Generator, *shape: int) -> Rows:
    return rng.standard_normal(shape).astype(np.float32)
