"""What does a network cost at the close, against the same network over the whole window?"""

from __future__ import annotations

import io
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec
import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from rich.table import Table

from plugin.features.feature_set import SEQUENCE
from plugin.features.joined import columns_of
from plugin.predictors.onnx_format import WINDOW_OPERATORS
from plugin.predictors.onnxrt import SCHEMA_KEY, open_network
from plugin.predictors.windowed import WindowedNetwork, read_windowed
from tests.benchmarks.setting import Setting
from tests.benchmarks.showing import duration_text, table_of
from tests.benchmarks.timing import Spread, duration_ns
from training.export import NetworkFiles, export_network
from training.models.network import NetworkMember
from training.models.networks.base import WindowNetwork

# The last two are of the size that such networks are often given: 1.4 million parameters.
_SHAPES: Mapping[str, tuple[str, dict[str, Any]]] = {
    "lstm": ("lstm", {}),
    "tft": ("tft", {}),
    "tcn": ("tcn", {}),
    "transformer": ("transformer", {}),
    "lstm, 2 x 320": ("lstm", {"hidden": 320, "layers": 2}),
    "tft, width 128": ("tft", {"of_each_variable": 16, "width": 128}),
}
_SYMBOLS = (1, 1000)
_N_STEPS, _N_HEADS = 48, 3


class OfSymbols(msgspec.Struct, frozen=True):
    """One close of `n` symbols: torch and onnxruntime over whole windows, and the two graphs as they
    are served."""

    n: int
    torch: Spread
    full: Spread
    history: Spread
    step: Spread


class OfNetwork(msgspec.Struct, frozen=True):
    """`export_s` is what writing both graphs took; `bytes` their size."""

    network: str
    n_parameters: int
    bytes: int
    export_s: float
    closes: list[OfSymbols]


def measure(setting: Setting) -> list[OfNetwork]:
    """Every architecture, with weights as they are drawn: time does not depend on what was learnt."""
    counts = [n for n in _SYMBOLS if n in setting.scale.hot_bars]
    return [_measure(name, *shape, counts) for name, shape in _SHAPES.items()]


def _measure(name: str, architecture: str, shape: dict[str, Any], counts: list[int]) -> OfNetwork:
    torch.set_num_threads(1)
    member = NetworkMember(name="net", architecture=architecture, n_steps=_N_STEPS, shape=shape)
    network, _ = member.build(len(SEQUENCE.names), _N_HEADS, seed=1)
    started = time.monotonic()
    files = export_network(network, "sequence")
    export_s = time.monotonic() - started
    served = _read(files)
    full = open_network("full.onnx", _full_graph(network), SEQUENCE.names, WINDOW_OPERATORS)
    return OfNetwork(
        network=name,
        n_parameters=network.n_parameters,
        bytes=len(files.history) + len(files.step),
        export_s=round(export_s, 2),
        closes=[_close(n, network, full, served) for n in counts],
    )


def _close(n: int, network: WindowNetwork, full: Any, served: WindowedNetwork) -> OfSymbols:
    windows = np.random.default_rng(n).normal(size=(n, _N_STEPS, len(SEQUENCE.names)))
    whole = windows.astype(np.float32)
    state, newest = served.prepare(whole[:, :-1]), np.ascontiguousarray(whole[:, -1])
    as_tensor = torch.from_numpy(whole)

    def by_torch() -> None:
        with torch.inference_mode():
            network(as_tensor)

    return OfSymbols(
        n=n,
        torch=_spread(n, by_torch),
        full=_spread(n, lambda: full.run(None, {"window": whole})),
        history=_spread(n, lambda: served.prepare(whole[:, :-1])),
        step=_spread(n, lambda: served.probability(newest, state)),
    )


def _spread(n: int, work: Callable[[], object]) -> Spread:
    work()
    return Spread.of([duration_ns(work) for _ in range(100 if n == 1 else 5)])


def _read(files: NetworkFiles) -> WindowedNetwork:
    columns: NDArray[np.int64] = columns_of("sequence")
    contents = files.history, files.step
    names = "history.onnx", "step.onnx"
    return read_windowed(names, contents, SEQUENCE.names, columns, _N_STEPS, _N_HEADS)


def _full_graph(network: WindowNetwork) -> bytes:
    """The whole network in one graph, as it would be served without a state."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network.eval(),
            (torch.zeros(3, _N_STEPS, len(SEQUENCE.names)),),
            buffer,
            input_names=["window"],
            output_names=["log_odds"],
            dynamic_axes={"window": {0: "n"}, "log_odds": {0: "n"}},
            dynamo=False,
        )
    model = onnx.load_from_string(buffer.getvalue())
    onnx.helper.set_model_props(model, {SCHEMA_KEY: SEQUENCE.schema_hash})
    return bytes(model.SerializeToString())


def tables(measured: list[OfNetwork]) -> Iterator[Table]:
    """One row for each network and number of symbols."""
    rows = []
    for one in measured:
        for close in one.closes:
            durations = (close.torch, close.full, close.history, close.step)
            step = close.step.median_us
            rows.append(
                (
                    f"{one.network}, {close.n}",
                    *(duration_text(spread.median_us) for spread in durations),
                    f"{close.full.median_us / step:.1f}",
                    f"{close.torch.median_us / close.full.median_us:.1f}",
                )
            )
    title = "Networks over 48 bars, all symbols of a close"
    headings = ("", "torch", "full", "history", "step", "full / step", "torch / full")
    yield table_of(title, headings, rows)
    sizes = [
        (one.network, f"{one.n_parameters:,}", f"{one.bytes / 1e6:.2f} MB", f"{one.export_s:.1f} s")
        for one in measured
    ]
    yield table_of("Their size, and the export", ("", "parameters", "both graphs", "export"), sizes)
