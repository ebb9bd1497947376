"""What happens around the bars while the process runs: flags, bundles, faults, the end."""

import asyncio
import gc
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from structlog.testing import capture_logs

from plugin.answer import Answer
from plugin.app import App
from plugin.candle_store import CandleStore
from plugin.candles import SIMULATED_VENUE
from plugin.clock import ReplayClock
from plugin.deadlines import REPLAY
from plugin.durable import replace_file
from plugin.ensemble import Ensemble
from plugin.live_flags import LiveFlags
from plugin.manifest import GateReport
from plugin.predictors.trees import Trees
from plugin.registry import Registry, Role
from plugin.serving_state import RoleState
from plugin.sources import BarSource, ReplaySource
from shadow.errors import LogInUse
from shadow.record import BarRecord
from shadow.writer import ShadowWriter
from tests.support.bars import HOURLY
from tests.support.bundles import add_twin, appoint, bundle_of, flip_byte, reseal
from tests.support.live import FOLLOWED, SERVED, champion_of, read_records, with_models
from tests.support.scripted_source import ScriptedSource, until
from tests.support.small_training import END_MS, SmallTraining
from tests.support.twins import add_other, appoint_challenger

N_BARS = 40
SINCE_MS = END_MS - N_BARS * HOURLY.length_ms
Happens = Mapping[int, Callable[[], object]]


class Fault(Exception):
    """What a test lets happen."""


class Running:
    """An App over the last bars of a small training, in a folder of its own."""

    def __init__(self, training: SmallTraining, folder: Path, happens: Happens) -> None:
        self.env, self.shadow, self.models = folder / ".env", folder / "shadow", folder / "models"
        self.run_folder = folder / "run"
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

        self.last = App(
            LiveFlags(self.env, self.environ),
            open_source,
            clock,
            SIMULATED_VENUE,
            deadlines=REPLAY,
            state_folder=self.run_folder,
        )
        return self.last

    @property
    def serving_id(self) -> str | None:
        return self.role("champion").bundle

    def role(self, role: Role) -> RoleState:
        return self.last.reloader.roles()[role]

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
        assert len(read_records(running.shadow)) <= len(seen), "the answer does not wait for the disk"
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


def test_a_champion_swapped_between_two_bars_is_named_by_the_records_it_answered(running):
    first, second = bundle_of(running.models).name, add_other(running.models)
    running.happens = {
        10: lambda: appoint(running.models, second),
        20: lambda: until(lambda: running.serving_id == second.name),
    }
    records = running.run()
    assert changes(records, lambda record: record.champion) == [first, second.name]
    assert {record.champion for record in records[: 2 * 10]} == {first}
    assert {record.champion for record in records[2 * 20 :]} == {second.name}
    assert {record.ml_reason for record in records} == {"ok"}
    assert len(records) == 2 * N_BARS


def test_a_damaged_bundle_does_not_replace_the_one_that_serves(running):
    first, second = bundle_of(running.models).name, add_twin(running.models)
    flip_byte(second / "meta.json", 9)
    running.happens = {
        10: lambda: appoint(running.models, second),
        20: lambda: until(lambda: running.role("champion").refusal),
    }
    with capture_logs() as logged:
        records = running.run()
    assert changes(records, lambda record: record.champion) == [first]
    assert {record.ml_reason for record in records} == {"ok"}
    (refused,) = (line for line in logged if line["event"] == "bundle_refused")
    assert (refused["still_serving"], refused["role"]) == (first, "champion")


def test_without_a_bundle_it_runs_and_the_first_one_waits_for_its_companions(running):
    bundle = bundle_of(running.models)
    (running.models / "champion").unlink()
    with capture_logs() as logged:
        running.happens = {
            10: lambda: appoint(running.models, bundle),
            20: lambda: until(lambda: running.serving_id == bundle.name),
            30: lambda: until(lambda: "companions_need_restart" in {line["event"] for line in logged}),
        }
        records = running.run()
    reasons = changes(records, lambda record: record.ml_reason)
    assert reasons == ["no_bundle", f"companion_missing:{FOLLOWED[0]}"], (
        "followed from the next start on"
    )
    (warned,) = (line for line in logged if line["event"] == "companions_need_restart")
    assert (warned["role"], warned["symbols"]) == ("champion", sorted(FOLLOWED))


def test_a_later_verdict_counts_without_another_bundle(running):
    def pass_all() -> None:
        place = running.registry.verdict_file(running.serving_id)
        place.parent.mkdir()
        replace_file(place, msgspec.json.encode(GateReport(level="live", results=())))

    models: list[object] = []
    running.environ["ML_ENABLE_STACKING"] = "1"
    running.happens = {
        5: lambda: models.append(running.last.reloader.champion.ensemble),
        10: pass_all,
        20: lambda: until(lambda: running.last.reloader.champion.serving.verdict == "live"),
        30: lambda: models.append(running.last.reloader.champion.ensemble),
    }
    records = running.run()
    assert changes(records, lambda record: record.mode) == ["shadow", "live"]
    assert models[0] is models[1], "the models were not read again"


def test_a_challenger_is_recorded_from_the_first_bar_and_dismissed_while_it_runs(running):
    other = add_other(running.models)
    appoint_challenger(running.models, other)
    running.happens = {
        10: lambda: running.registry.dismiss(at="2099-01-01T00:00:00Z", who="a test", why="enough"),
        20: lambda: until(lambda: running.last.reloader.challenger is None),
    }
    records = running.run()
    names = changes(records, lambda record: record.challenger.bundle if record.challenger else None)
    assert names == [other.name, None]
    assert records[0].challenger.reason == "ok"
    assert records[0].challenger.meta_p != records[0].meta_p


def test_a_challenger_that_becomes_champion_is_not_compared_with_itself(running):
    first, other = bundle_of(running.models).name, add_other(running.models)
    appoint_challenger(running.models, other)
    running.happens = {
        10: lambda: appoint(running.models, other),
        20: lambda: until(lambda: running.serving_id == other.name),
    }
    pairs = changes(
        running.run(), lambda record: (record.champion, record.challenger and record.challenger.bundle)
    )
    for_a_moment = [(first, None)] if (first, None) in pairs else []
    assert pairs == [(first, other.name), *for_a_moment, (other.name, None)]


def test_a_challenger_that_compares_with_what_can_not_be_had_keeps_nobody_from_serving(running):
    other = add_other(running.models)
    strange = dict.fromkeys(SERVED, ("NONE/USDT", *FOLLOWED))
    reseal(other, companions=strange)
    appoint_challenger(running.models, other)
    with capture_logs() as logged:
        records = running.run()
    assert {record.ml_reason for record in records} == {"ok"}
    assert {record.challenger.reason for record in records} == {"companion_missing:NONE/USDT"}
    (warned,) = (line for line in logged if line["event"] == "companions_need_restart")
    assert (warned["role"], warned["symbols"]) == ("challenger", ["NONE/USDT"])


def test_stopped_while_the_challenger_is_asked_the_answers_are_recorded(running):
    appoint_challenger(running.models, add_other(running.models))
    app = running.app()
    asked = asyncio.Event()

    class Stuck(Ensemble):
        def predict(self, symbols, rows, earlier=()):
            loop.call_soon_threadsafe(asked.set)
            time.sleep(5)
            return super().predict(symbols, rows, earlier)

    async def stopped() -> None:
        nonlocal loop
        loop = asyncio.get_running_loop()
        task = asyncio.create_task(app.run(running.answered.extend))
        await asked.wait()
        task.cancel()
        await task

    loop: asyncio.AbstractEventLoop
    app.reloader.challenger = Stuck(app.reloader.challenger.bundle)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(stopped())
    assert len(running.records()) == len(running.answered) == 2


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
