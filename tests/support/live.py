"""A live pipeline without its process: real parts, bars of a small training, a clock set by hand."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from plugin.answer import Answer
from plugin.bar import BarClosed
from plugin.bundle import Bundle, load_bundle
from plugin.candle_store import CandleStore
from plugin.candles import ABSENT, SIMULATED_VENUE, Candles
from plugin.clock import ReplayClock
from plugin.deadlines import REPLAY, Deadlines
from plugin.decision import Serving
from plugin.ensemble import Ensemble
from plugin.features import LOOKBACK_BARS
from plugin.live_flags import LiveFlags
from plugin.pipeline import Pipeline
from plugin.registry import Registry
from plugin.reloader import Champion, Reloader
from plugin.shadow_log import ShadowLog
from shadow.files import day_files
from shadow.record import AnyRecord, BarRecord, MemberRecord, decode_line
from shadow.writer import ShadowWriter
from tests.support.bars import HOURLY
from tests.support.small_training import SETTINGS, SmallTraining
from training.settings import REFERENCE_ASSETS

SERVED = SETTINGS.symbols
FOLLOWED = tuple(asset for asset in REFERENCE_ASSETS if asset not in SERVED)
FIRST = 3_000
"""The column of the stored candles at which a pipeline under test begins; earlier ones warm it up."""

_bundle = lru_cache(load_bundle)


@lru_cache
def stored(store: Path, symbol: str) -> Candles:
    """All simulated bars of a symbol."""
    return CandleStore(store).read(SIMULATED_VENUE, HOURLY.name, symbol)


def stored_bar(store: Path, symbol: str, column: int) -> BarClosed:
    """The bar of a stored column, as a source delivers it."""
    candles = stored(store, symbol)
    opened_ms = int(candles.open_time_ms[column])
    ohlcv = candles.bars[:ABSENT, column].tolist()
    return BarClosed(symbol, HOURLY.name, opened_ms, *ohlcv, "test", opened_ms + HOURLY.length_ms)


def champion_of(
    bundle: Bundle, verdict: Literal["none", "shadow", "live"] = "shadow", missing: Sequence[str] = ()
) -> Champion:
    """A champion with a verdict of one's choice and an ensemble that remembers nothing yet."""
    serving = Serving(
        bundle_id=bundle.bundle_id,
        feature_hash=bundle.feature_hash,
        primary_horizon=str(bundle.manifest.primary_horizon),
        verdict=verdict,
        missing_gates=tuple(missing),
    )
    return Champion(bundle, Ensemble(bundle), serving)


def with_models(bundle: Bundle, **models: Mapping[int, object]) -> Bundle:
    """A bundle some of whose members were exchanged in memory, where no check looks any more."""
    return dataclasses.replace(bundle, models={**bundle.models, **models})


class Stubborn:
    """A model that says the same of every row."""

    def probability(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.full(len(rows), 0.6)


class Live:
    """A pipeline that has seen all stored bars before column FIRST, and its shadow log in `folder`."""

    def __init__(
        self,
        training: SmallTraining,
        folder: Path,
        *,
        environ: Mapping[str, str] | None = None,
        served: Sequence[str] = SERVED,
        n_history: int = LOOKBACK_BARS,
        deadlines: Deadlines = REPLAY,
    ) -> None:
        self.store = training.store
        self.env = folder / ".env"
        self.shadow = folder / "shadow"
        self.bundle = _bundle(training.outcome.bundle)
        self.clock = ReplayClock(self.open_ms(FIRST))
        self.flags = LiveFlags(self.env, environ or {"ML_STACKING_MIN_SAMPLES": "100"})
        self.reloader = Reloader(Registry(folder / "models"))
        self.reloader.champion = champion_of(self.bundle)
        self.writer = ShadowWriter(self.shadow, self.clock.now_ms)
        self.log = ShadowLog(self.writer, SIMULATED_VENUE)
        self.pipeline = Pipeline(
            timeframe=HOURLY,
            served=served,
            followed=[asset for asset in FOLLOWED if asset not in served],
            flags=self.flags,
            reloader=self.reloader,
            clock=self.clock,
            deadlines=deadlines,
        )
        self.pipeline.make_room()
        for symbol, buffer in self.pipeline.buffers.items():
            candles = stored(self.store, symbol)
            buffer.extend(candles.between(self.open_ms(FIRST - n_history), self.open_ms(FIRST)))

    def open_ms(self, column: int) -> int:
        return int(stored(self.store, SERVED[0]).open_time_ms[column])

    def bar(self, column: int, symbol: str = SERVED[0], **changes: object) -> BarClosed:
        """A stored bar, with the fields named in `changes` as given there."""
        return replace(stored_bar(self.store, symbol, column), **changes)

    def bars(self, column: int, *, without: Iterable[str] = ()) -> list[BarClosed]:
        """What closes together at a column, less the symbols named."""
        symbols = [symbol for symbol in self.pipeline.buffers if symbol not in without]
        return [self.bar(column, symbol) for symbol in symbols]

    def close(self, column: int, batch: Sequence[BarClosed] | None = None) -> list[Answer]:
        """Let the clock come to the close of a column; answer, challenge and record its bars."""
        answers = self.answer(column, batch)
        self.record(asyncio.run(self.pipeline.challenge(answers)))
        return answers

    def record(self, answers: Sequence[Answer]) -> None:
        """Write what is to be recorded of them, here and now."""
        for answer in answers:
            self.log.write(answer)

    def answer(self, column: int, batch: Sequence[BarClosed] | None = None) -> list[Answer]:
        """As `close`, without the record."""
        self.clock.advance_to(max(self.clock.now_ms(), self.open_ms(column + 1)))
        return self.pipeline.answer(self.bars(column) if batch is None else batch)

    def records(self) -> list[AnyRecord]:
        return read_records(self.shadow)

    def bar_records(self) -> list[BarRecord]:
        return [record for record in self.records() if isinstance(record, BarRecord)]


def read_records(folder: Path) -> list[AnyRecord]:
    """Every line of a log, in order; a damaged one raises."""
    lines = (line for path in day_files(folder) for line in path.read_bytes().split(b"\n")[:-1])
    return [decode_line(line) for line in lines]


def without_timings(record: AnyRecord) -> AnyRecord:
    """A record less what measures the machine."""
    if not isinstance(record, BarRecord):
        return record
    challenger = record.challenger
    if challenger is not None:
        challenger = replace(challenger, members=_untimed(challenger.members), us=0.0)
    return replace(record, members=_untimed(record.members), challenger=challenger, latency_us=0.0)


def _untimed(members: Mapping[str, MemberRecord]) -> dict[str, MemberRecord]:
    return {name: replace(member, us=0.0) for name, member in members.items()}
