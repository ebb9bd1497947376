"""What happens around the bars while the process runs: flags, bundles, faults, the end."""

import asyncio
import gc
import hashlib
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from plugin.answer import Answer
from plugin.app import App
from plugin.candle_store import CandleStore
from plugin.candles import SIMULATED_VENUE
from plugin.clock import ReplayClock
from plugin.manifest import MANIFEST_FILE, MANIFEST_HASH_FILE, Manifest, encode_manifest
from plugin.predictors.trees import Trees
from plugin.registry import Registry
from plugin.settings import LiveFlags
from plugin.sources import BarSource, ReplaySource
from shadow.errors import LogInUse
from shadow.record import BarRecord
from shadow.writer import ShadowWriter
from tests.support.bars import HOURLY
from tests.support.live import FOLLOWED, champion_of, read_records, with_models
from tests.support.scripted_source import ScriptedSource
from tests.support.small_training import END_MS, SmallTraining

N_BARS = 40
SINCE_MS = END_MS - N_BARS * HOURLY.length_ms
Happens = Mapping[int, Callable[[], object]]


class Fault(Exception):
    """What a test lets happen."""


class Running:
    """An App over the last bars of a small training, in a folder of its own."""

    def __init__(self, training: SmallTraining, folder: Path, happens: Happens) -> None:
        self.env, self.shadow, self.models = folder / ".env", folder / "shadow", folder / "models"
        shutil.copytree(training.models, self.models, dirs_exist_ok=True)
        self.registry = Registry(self.models)
        self.happens = happens
        self.environ = training.environment(self.shadow) | {"ML_MODELS_DIR": str(self.models)}
        self.store = CandleStore(training.store)
        self.answered: list[Answer] = []

    def run(self, deliver: Callable[[Sequence[Answer]], None] | None = None) -> list[BarRecord]:
        asyncio.run(self.app().run(deliver or self.answered.extend))
        return self.records()

    def app(self) -> App:
        clock = ReplayClock(SINCE_MS)

        def open_source(symbols: Sequence[str]) -> BarSource:
            candles = [self.store.read(SIMULATED_VENUE, HOURLY.name, symbol) for symbol in symbols]
            return ScriptedSource(ReplaySource(candles, SINCE_MS, END_MS, clock), self.happens)

        return App(LiveFlags(self.env, self.environ), open_source, clock, SIMULATED_VENUE)

    def records(self) -> list[BarRecord]:
        return [record for record in read_records(self.shadow) if isinstance(record, BarRecord)]

    def is_free(self) -> bool:
        """Whether another writer gets the folder."""
        try:
            ShadowWriter(self.shadow, lambda: END_MS).close()
        except LogInUse:
            return False
        return True


@pytest.fixture
def running(small_training: SmallTraining, tmp_path: Path) -> Iterator[Running]:
    yield Running(small_training, tmp_path, {})
    gc.unfreeze()  # App freezes what lives, and in a test that is the whole session


def changes(records: Sequence[BarRecord], field: Callable[[BarRecord], object]) -> list[object]:
    """The values of a field in the order of the bars, each run of equal ones once."""
    by_bar = [
        {field(record) for record in bar}
        for _, bar in groupby(records, key=lambda record: record.open_time_ms)
    ]
    assert all(len(values) == 1 for values in by_bar), "all symbols of a bar were answered alike"
    return [key for key, _ in groupby(values.pop() for values in by_bar)]


def test_every_bar_is_answered_then_recorded(running):
    seen: list[int] = []

    def deliver(answers: Sequence[Answer]) -> None:
        assert len(read_records(running.shadow)) == len(seen), "the answer does not wait for the disk"
        seen.extend(answer.bar.open_time_ms for answer in answers)

    records = running.run(deliver)
    assert [record.open_time_ms for record in records] == seen
    assert len(records) == 2 * N_BARS
    assert {record.ml_reason for record in records} == {"ok"}, "history warms it up"


class Counting:
    """A model that counts how often it was asked."""

    def __init__(self, model: Trees) -> None:
        self.n_asked = 0
        self._model = model

    def probability(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        self.n_asked += 1
        return self._model.probability(rows)


def test_it_is_warm_before_the_first_bar(running):
    at_first_bar = []
    running.happens = {0: lambda: at_first_bar.append(model.n_asked)}
    app = running.app()
    bundle = app.reloader.champion.bundle
    model = Counting(bundle.models["lgb"][5])
    app.reloader.champion = champion_of(with_models(bundle, lgb={**bundle.models["lgb"], 5: model}))
    asyncio.run(app.run(running.answered.extend))
    assert at_first_bar[0] > 0
    assert {answer.decision.reason for answer in running.answered} == {"stacking_off"}


def test_a_flag_toggled_in_the_file_counts_from_the_next_bars_on(running):
    running.happens = {
        10: lambda: running.env.write_text("ML_ENABLED=0\n"),
        20: lambda: running.env.write_text("ML_ENABLED=1\nML_ENABLE_STACKING=1\n"),
    }
    records = running.run()
    assert changes(records, lambda record: record.mode) == ["shadow", "off", "shadow"]
    assert changes(records, lambda record: record.ml_stacking_mode) == ["active", "off", "active"]
    off = [record for record in records if record.mode == "off"]
    assert off[0].open_time_ms == SINCE_MS + 12 * HOURLY.length_ms, "two looks must find the same"
    assert all(record.ml_reason == "disabled" and not record.members for record in off)
    assert records[-1].decision.reason.startswith("gate_"), "stacking is on, and a gate is missing"


def test_flags_change_together_or_not_at_all(running):
    whole = "ML_ENABLE_STACKING=1\nML_DECISION_TIMEOUT_MS=99\n"
    running.happens = {
        10: lambda: running.env.write_text(whole[:24]),
        13: lambda: running.env.write_text(whole),
    }
    flags = changes(
        running.run(),
        lambda record: (record.flags["ML_ENABLE_STACKING"], record.flags["ML_DECISION_TIMEOUT_MS"]),
    )
    assert flags == [("0", "250"), ("1", "99")]


def test_a_broken_file_keeps_the_last_good_flags(running):
    running.env.write_text("ML_DECISION_TIMEOUT_MS=99\n")
    running.happens = {
        10: lambda: running.env.write_text("ML_ENABLED=no\nML_DECISION_TIMEOUT_MS=100\n"),
        20: lambda: running.env.write_bytes(b"\xff\xfe"),
    }
    records = running.run()
    assert changes(records, lambda record: record.flags["ML_DECISION_TIMEOUT_MS"]) == ["99"]
    assert changes(records, lambda record: record.mode) == ["shadow"]


def second_bundle(registry: Registry) -> str:
    """The bundle that serves once more, made a second later by name."""
    champion = registry.champion()
    assert champion is not None
    source = registry.bundles / champion.bundle_id
    manifest = msgspec.json.decode((source / MANIFEST_FILE).read_bytes(), type=Manifest)
    bundle_id = f"20990101T000000Z-{manifest.content_hash[:12]}"
    text = encode_manifest(msgspec.structs.replace(manifest, bundle_id=bundle_id))
    shutil.copytree(source, registry.bundles / bundle_id)
    (registry.bundles / bundle_id / MANIFEST_FILE).write_bytes(text)
    hash_line = f"{hashlib.sha256(text).hexdigest()}  {MANIFEST_FILE}\n"
    (registry.bundles / bundle_id / MANIFEST_HASH_FILE).write_text(hash_line)
    return bundle_id


def appoint(registry: Registry, bundle_id: str) -> None:
    registry.appoint(bundle_id, at="2099-01-01T00:00:00Z", who="test", why="a test")


def test_a_champion_swapped_between_two_bars_is_named_by_the_records_it_answered(running):
    first, second = running.registry.champion().bundle_id, second_bundle(running.registry)
    running.happens = {10: lambda: appoint(running.registry, second)}
    records = running.run()
    assert changes(records, lambda record: record.champion) == [first, second]
    assert sum(record.champion == first for record in records) == 2 * 11
    assert {record.ml_reason for record in records} == {"ok"}


def test_a_damaged_bundle_does_not_replace_the_one_that_serves(running):
    first, second = running.registry.champion().bundle_id, second_bundle(running.registry)
    damaged = running.registry.bundles / second / "meta.json"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b" ")
    running.happens = {10: lambda: appoint(running.registry, second)}
    records = running.run()
    assert changes(records, lambda record: record.champion) == [first]
    assert {record.ml_reason for record in records} == {"ok"}


def test_without_a_bundle_it_runs_and_the_first_one_waits_for_its_companions(running):
    pointer = running.registry.champion()
    (running.models / "champion").unlink()
    running.happens = {10: lambda: appoint(running.registry, pointer.bundle_id)}
    records = running.run()
    reasons = changes(records, lambda record: record.ml_reason)
    assert reasons == ["no_bundle", f"companion_missing:{FOLLOWED[0]}"], (
        "followed from the next start on"
    )


@pytest.mark.parametrize("number", [0, 7])
def test_a_fault_of_the_source_ends_it_and_leaves_the_log_whole(running, number):
    def fail() -> None:
        raise Fault

    running.happens = {number: fail}
    with pytest.raises(Fault):
        running.run()
    assert running.is_free()
    assert len(running.records()) == 2 * number


def test_a_fault_while_warming_up_gives_the_log_back(running):
    app = running.app()

    async def fail(_symbol: str, _n_bars: int) -> None:
        raise Fault

    app.source.history = fail
    with pytest.raises(Fault):
        asyncio.run(app.run(running.answered.extend))
    assert running.is_free()


def test_cancelled_it_ends_between_two_bars_and_goes_on_at_the_next_start(running):
    async def cancelled() -> None:
        task = asyncio.create_task(running.app().run(running.answered.extend))
        while len(running.answered) < 10:
            await asyncio.sleep(0)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancelled())
    assert running.is_free()
    assert len(running.records()) == len(running.answered) < 2 * N_BARS
    assert len(running.run()) == 2 * N_BARS


def test_a_log_in_use_is_refused(running):
    with ShadowWriter(running.shadow, lambda: END_MS), pytest.raises(LogInUse):
        running.app()
