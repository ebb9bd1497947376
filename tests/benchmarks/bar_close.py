"""How long after the close of a bar is the last decision out, hot and after a pause?"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple, Self
from unittest import mock

import msgspec
import numpy as np
from rich import box
from rich.table import Table

from plugin import asking
from plugin.bar import BarClosed
from plugin.bundle import load_bundle
from plugin.features.joined import write_joined_row
from tests.benchmarks.bare import Bare
from tests.benchmarks.live import Live
from tests.benchmarks.setting import Setting
from tests.benchmarks.timing import Spread, Stopwatch, duration_ns, duration_text

N_FIRST = 2
"""Bars that are closed before any is measured."""


class Parts(msgspec.Struct, frozen=True):
    """Where the time goes, medians in microseconds. The first three make up the answer."""

    features_us: float
    prediction_us: float
    rest_us: float
    write_us: float
    sync_us: float


class BareCalls(msgspec.Struct, frozen=True):
    """The same rows by bare runtime calls, medians in microseconds."""

    features_us: float
    models_us: float
    library_models_us: float
    meta_model_us: float

    @property
    def own_us(self) -> float:
        return self.features_us + self.models_us + self.meta_model_us

    @property
    def library_us(self) -> float:
        return self.features_us + self.library_models_us + self.meta_model_us


class Latency(msgspec.Struct, frozen=True):
    """Bar in to last decision out, as multiples of the bare calls in a loop."""

    answer: Spread
    to_own: float
    to_library: float

    @classmethod
    def of(cls, durations_ns: Sequence[int], bare: BareCalls) -> Latency:
        answer = Spread.of(durations_ns)
        return cls(answer, answer.median_us / bare.own_us, answer.median_us / bare.library_us)


class Size(msgspec.Struct, frozen=True):
    """One number of symbols. `decided` is the share of bars that got probabilities."""

    n_symbols: int
    decided: float
    bare: BareCalls
    parts: Parts
    hot: Latency
    cold: Latency
    cold_after_warm_up: Latency


def measure(setting: Setting) -> list[Size]:
    """Each number of symbols of the scale."""
    return [_measure_size(setting, *size) for size in setting.scale.hot_bars.items()]


def _measure_size(setting: Setting, n_symbols: int, n_hot: int) -> Size:
    scale = setting.scale
    with TemporaryDirectory(dir=setting.scratch) as folder:
        n_bars = N_FIRST + n_hot + 2 * scale.n_cold
        live = Live(load_bundle(setting.bundle), setting.market, n_symbols, n_bars, Path(folder))
        bare = Bare(live, setting.bundle)
        batches = live.batches()
        with live.writer, _Watches(live) as watches, _collected():
            closes = [_close(live, bare, watches, batch) for batch in islice(batches, N_FIRST + n_hot)]
            pauses = [_pause(live, batches, scale.idle_s) for _ in range(scale.n_cold)]
    closes = closes[N_FIRST:]
    calls = BareCalls(*_medians_us([close.bare_ns for close in closes]))
    answers_ns = [sum(close.parts_ns[:3]) for close in closes]
    cold_ns, warmed_ns = zip(*pauses, strict=True)
    return Size(
        n_symbols=n_symbols,
        decided=sum(close.n_decided for close in closes) / (n_hot * n_symbols),
        bare=calls,
        parts=Parts(*_medians_us([close.parts_ns for close in closes])),
        hot=Latency.of(answers_ns, calls),
        cold=Latency.of(cold_ns, calls),
        cold_after_warm_up=Latency.of(warmed_ns, calls),
    )


class _Watches:
    """Stopwatches inside the pipeline, at the places where its parts meet."""

    def __init__(self, live: Live) -> None:
        self.features, self.prediction, self.sync = Stopwatch(), Stopwatch(), Stopwatch()
        ensemble, writer = live.champion.ensemble, live.writer
        self._patches = (
            mock.patch.object(asking, "write_joined_row", self.features.watched(write_joined_row)),
            mock.patch.object(ensemble, "predict", self.prediction.watched(ensemble.predict)),
            mock.patch.object(writer, "sync", self.sync.watched(writer.sync)),
        )

    def __enter__(self) -> Self:
        for patch in self._patches:
            patch.start()
        return self

    def __exit__(self, *_: object) -> None:
        for patch in self._patches:
            patch.stop()


@contextmanager
def _collected() -> Iterator[None]:
    """The state of the garbage collector in the app."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


class _Close(NamedTuple):
    """Durations of one bar close, in the order of the fields of Parts and of BareCalls."""

    parts_ns: tuple[int, ...]
    bare_ns: tuple[int, ...]
    n_decided: int


def _close(live: Live, bare: Bare, watches: _Watches, batch: list[BarClosed]) -> _Close:
    """Let one bar close, then make the bare calls for the same bars."""
    started = time.perf_counter_ns()
    answers = live.pipeline.answer(batch)
    answer_ns = time.perf_counter_ns() - started
    features_ns, prediction_ns = watches.features.take_ns(), watches.prediction.take_ns()
    record_ns = duration_ns(lambda: live.pipeline.record(answers))
    sync_ns = watches.sync.take_ns()
    bare.prepare()
    bare_features_ns = duration_ns(bare.features)
    bare.prepare_matrices()
    return _Close(
        (
            features_ns,
            prediction_ns,
            answer_ns - features_ns - prediction_ns,
            record_ns - sync_ns,
            sync_ns,
        ),
        (
            bare_features_ns,
            duration_ns(bare.models),
            duration_ns(bare.library_models),
            duration_ns(bare.meta_model),
        ),
        sum(bool(answer.decision.probabilities) for answer in answers),
    )


def _pause(live: Live, batches: Iterator[list[BarClosed]], idle_s: float) -> tuple[int, int]:
    """The answer after a pause, and after another one that ended with a warm-up."""
    durations = []
    for with_warm_up in (False, True):
        batch = next(batches)
        time.sleep(idle_s)
        if with_warm_up:
            live.pipeline.warm_up()
        durations.append(duration_ns(partial(live.pipeline.answer, batch)))
    return durations[0], durations[1]


def _medians_us(durations_ns: Sequence[tuple[int, ...]]) -> list[float]:
    """The median of every column."""
    medians: list[float] = (np.median(durations_ns, axis=0) / 1000).tolist()
    return medians


def tables(sizes: list[Size]) -> Iterator[Table]:
    """Ratios first, then where the time goes."""
    ratios = Table(
        title="Bar in to last decision out, as multiples of the bare calls in a loop", box=box.SIMPLE
    )
    for heading in ("symbols", "when", "median", "p99", "to own walk", "to libraries"):
        ratios.add_column(heading, justify="right")
    for size in sizes:
        rows = {"hot": size.hot, "cold": size.cold, "cold, warmed up": size.cold_after_warm_up}
        for when, latency in rows.items():
            ratios.add_row(
                f"{size.n_symbols:,}" if when == "hot" else "",
                when,
                *map(duration_text, (latency.answer.median_us, latency.answer.p99_us)),
                f"{latency.to_own:.2f}",
                f"{latency.to_library:.2f}",
            )
    yield ratios
    parts = Table(title="Where the time goes: medians, hot", box=box.SIMPLE)
    parts.add_column("symbols", justify="right")
    for heading in (
        *Parts.__struct_fields__,
        *(f"bare_{name}" for name in BareCalls.__struct_fields__),
    ):
        parts.add_column(heading.removesuffix("_us").replace("_", " "), justify="right")
    for size in sizes:
        durations = (*msgspec.structs.astuple(size.parts), *msgspec.structs.astuple(size.bare))
        parts.add_row(f"{size.n_symbols:,}", *map(duration_text, durations))
    yield parts
