"""How long after the close of a bar is the last decision out, hot and after a pause?"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple, Self
from unittest import mock

import msgspec
import numpy as np
from rich.table import Table

from plugin import asking
from plugin.bar import BarClosed
from plugin.bundle import load_bundle
from plugin.features.joined import write_joined_row
from tests.benchmarks.bare import Bare, BareCalls, CallsNs
from tests.benchmarks.live import Live
from tests.benchmarks.setting import Setting
from tests.benchmarks.showing import duration_text, table_of
from tests.benchmarks.timing import Spread, Stopwatch, duration_ns

N_FIRST = 2
"""Bars that are closed before any is measured."""
_REHEARSALS = 5  # as many as in the warm-up of the pipeline


class Parts(msgspec.Struct, frozen=True):
    """Where the time goes, medians in microseconds. All but the last make up the answer."""

    features_us: float
    prediction_us: float
    rest_us: float
    write_us: float


class Latency(msgspec.Struct, frozen=True):
    """Bar in to last decision out, as multiples of the bare calls in a loop, and of those `alike`: made
    after the same pause."""

    answer: Spread
    to_own: float
    to_library: float
    to_own_alike: float
    to_library_alike: float

    @classmethod
    def of(cls, durations_ns: Sequence[int], bare: BareCalls, alike: BareCalls) -> Latency:
        answer = Spread.of(durations_ns)
        calls = (bare.own_us, bare.library_us, alike.own_us, alike.library_us)
        return cls(answer, *(answer.median_us / one for one in calls))


class Size(msgspec.Struct, frozen=True):
    """One number of symbols. `decided` is the share of bars that got probabilities.

    `sync` brings the records of one bar close to the disk, after the answer; `between` is what networks
    do before the next close.
    """

    n_symbols: int
    decided: float
    bare: BareCalls
    parts: Parts
    sync: Spread
    between: Spread
    hot: Latency
    cold: Latency
    cold_after_warm_up: Latency


def measure(setting: Setting) -> list[Size]:
    """Each number of symbols of the scale."""
    return [_measure_size(setting, *size) for size in setting.scale.hot_bars.items()]


def _measure_size(setting: Setting, n_symbols: int, n_hot: int) -> Size:
    scale = setting.scale
    with TemporaryDirectory(dir=setting.scratch) as folder:
        n_bars = N_FIRST + 2 * n_hot + 2 * scale.n_cold
        live = Live(load_bundle(setting.bundle), setting.market, n_symbols, n_bars, Path(folder))
        batches, sync = live.batches(), live.writer.sync
        # A sync waits for the disk, and after the wait nothing would be hot any more.
        unsynced = mock.patch.object(live.writer, "sync", return_value=True)
        bare = Bare(live, setting.bundle)
        with live.writer, unsynced, _collected():
            # In turns, because the speed of a host changes; and of other bars, because a row that comes
            # again finds its way through the trees learnt by the processor.
            looped = [
                (_close(live, batch), bare.own_ns(bar + n_hot))
                for bar, batch in enumerate(islice(batches, N_FIRST + n_hot))
            ]
            library_ns = [bare.library_ns(bar) for bar in range(N_FIRST + n_hot)]
            with _Watches(live) as watches:
                parts_ns = [watches.parts_ns(live, batch) for batch in islice(batches, n_hot)]
            pauses = [
                _pauses(live, batches, sync, bare, N_FIRST + number, scale.idle_s)
                for number in range(scale.n_cold)
            ]
    hot, own_ns = zip(*looped[N_FIRST:], strict=True)
    cold, warmed = zip(*pauses, strict=True)
    in_a_loop = BareCalls.of(list(zip(own_ns, library_ns[N_FIRST:], strict=True)))
    return Size(
        n_symbols=n_symbols,
        decided=sum(close.n_decided for close in hot) / (n_hot * n_symbols),
        bare=in_a_loop,
        parts=Parts(*(np.median(parts_ns, axis=0) / 1000).tolist()),
        sync=Spread.of([pause.sync_ns for pause in (*cold, *warmed)]),
        between=Spread.of([close.between_ns for close in hot]),
        hot=Latency.of([close.answer_ns for close in hot], in_a_loop, in_a_loop),
        cold=_latency_after(cold, in_a_loop),
        cold_after_warm_up=_latency_after(warmed, in_a_loop),
    )


def _latency_after(pauses: Sequence[_Pause], in_a_loop: BareCalls) -> Latency:
    alike = BareCalls.of([pause.bare_ns for pause in pauses])
    return Latency.of([pause.answer_ns for pause in pauses], in_a_loop, alike)


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
    """One bar close in the loop."""

    answer_ns: int
    write_ns: int
    between_ns: int
    n_decided: int


def _close(live: Live, batch: list[BarClosed]) -> _Close:
    started = time.perf_counter_ns()
    answers = live.pipeline.answer(batch)
    answer_ns = time.perf_counter_ns() - started
    write_ns = duration_ns(partial(live.record, answers))
    n_decided = sum(bool(answer.decision.probabilities) for answer in answers)
    return _Close(answer_ns, write_ns, duration_ns(live.prepare), n_decided)


class _Watches:
    """Stopwatches where the parts of the pipeline meet; they cost a little themselves."""

    def __init__(self, live: Live) -> None:
        self._features, self._prediction = Stopwatch(), Stopwatch()
        predict = live.champion.ensemble.predict
        self._patches = (
            mock.patch.object(asking, "write_joined_row", self._features.watched(write_joined_row)),
            mock.patch.object(live.champion.ensemble, "predict", self._prediction.watched(predict)),
        )

    def __enter__(self) -> Self:
        for patch in self._patches:
            patch.start()
        return self

    def __exit__(self, *_: object) -> None:
        for patch in self._patches:
            patch.stop()

    def parts_ns(self, live: Live, batch: list[BarClosed]) -> tuple[int, int, int, int]:
        """One bar close in the loop, in the order of the fields of Parts."""
        close = _close(live, batch)
        features_ns, prediction_ns = self._features.take_ns(), self._prediction.take_ns()
        rest_ns = close.answer_ns - features_ns - prediction_ns
        return features_ns, prediction_ns, rest_ns, close.write_ns


class _Pause(NamedTuple):
    """One bar close after a pause, and the bare calls after another one like it."""

    answer_ns: int
    sync_ns: int
    bare_ns: CallsNs


def _pauses(
    live: Live,
    batches: Iterator[list[BarClosed]],
    sync: Callable[[], bool],
    bare: Bare,
    bar: int,
    idle_s: float,
) -> tuple[_Pause, _Pause]:
    """A bar close after a pause, and another one after a pause that ended with a warm-up."""
    pauses = []
    for rehearsals in (0, _REHEARSALS):
        batch = next(batches)
        time.sleep(idle_s)
        if rehearsals:
            live.pipeline.warm_up()
        started = time.perf_counter_ns()
        answers = live.pipeline.answer(batch)
        answer_ns = time.perf_counter_ns() - started
        live.record(answers)
        sync_ns = duration_ns(sync)
        live.prepare()
        pauses.append(_Pause(answer_ns, sync_ns, bare.calls_after_pause_ns(bar, idle_s, rehearsals)))
    return pauses[0], pauses[1]


def tables(sizes: list[Size]) -> Iterator[Table]:
    """Ratios first, then where the time goes."""
    yield table_of(
        "Bar in to last decision out; ratios to bare calls in a loop, and after the same pause",
        ("symbols", "when", "median", "p99", "own", "libraries", "own alike", "libraries alike"),
        [row for size in sizes for row in _ratio_rows(size)],
    )
    columns = [_durations_us(size) for size in sizes]
    yield table_of(
        "Where the time goes: medians in the loop",
        ("symbols", *(f"{size.n_symbols:,}" for size in sizes)),
        [(name, *(duration_text(column[name]) for column in columns)) for name in columns[0]],
    )


def _ratio_rows(size: Size) -> Iterator[tuple[str, ...]]:
    latencies = {"hot": size.hot, "cold": size.cold, "cold, warmed up": size.cold_after_warm_up}
    for when, latency in latencies.items():
        yield (
            f"{size.n_symbols:,}" if when == "hot" else "",
            when,
            duration_text(latency.answer.median_us),
            duration_text(latency.answer.p99_us),
            f"{latency.to_own:.2f}",
            f"{latency.to_library:.2f}",
            f"{latency.to_own_alike:.2f}",
            f"{latency.to_library_alike:.2f}",
        )


def _durations_us(size: Size) -> dict[str, float]:
    parts, bare = msgspec.structs.asdict(size.parts), msgspec.structs.asdict(size.bare)
    after = {"sync": size.sync.median_us, "between bars": size.between.median_us}
    named = {**parts, **after, **{f"bare {name}": bare[name] for name in bare}}
    return {name.removesuffix("_us").replace("_", " "): value for name, value in named.items()}
