"""A move is noticed by a watch, by the poll behind it, and by a signal; and one at a time."""

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from plugin import follower as module
from plugin import reloader as reloading
from plugin.follower import Follower, watch_registry
from plugin.registry import Registry
from plugin.reloader import Reloader
from plugin.serving_state import ServingState, StateFile, read_state
from tests.support.bundles import add_twin, appoint, bundle_of, flip_byte
from tests.support.scripted_source import until

PATIENCE_S = 30.0


async def noticed(folder: Path, change: Callable[[], object], poll_s: float) -> None:
    """Fail unless a watch wakes us after `change`."""
    woken = asyncio.Event()
    task = asyncio.create_task(watch_registry(folder, woken.set, poll_s))
    try:
        await asyncio.wait_for(woken.wait(), PATIENCE_S)  # the look at the start
        woken.clear()
        await asyncio.sleep(0.3)  # until the watch stands
        woken.clear()
        change()
        await asyncio.wait_for(woken.wait(), PATIENCE_S)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def put_verdict(folder: Path) -> None:
    (folder / "verdicts").mkdir(exist_ok=True)
    (folder / "verdicts" / "one.json").write_text("{}")


@pytest.mark.parametrize("with_verdicts", [True, False])
@pytest.mark.parametrize("change", [put_verdict, lambda folder: (folder / "champion").write_text("")])
def test_a_moved_pointer_and_a_later_verdict_are_noticed_at_once(
    tmp_path: Path, change: Callable[[Path], object], with_verdicts: bool
) -> None:
    if with_verdicts:
        (tmp_path / "verdicts").mkdir()
    asyncio.run(noticed(tmp_path, lambda: change(tmp_path), poll_s=10_000))


def test_where_nothing_reports_changes_the_poll_does(tmp_path: Path) -> None:
    asyncio.run(noticed(tmp_path / "made later", lambda: None, poll_s=0.05))


def test_where_no_watch_is_to_be_had_the_poll_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(*_folders: Path, **_options: object) -> None:
        raise OSError("OS file watch limit reached")

    monkeypatch.setattr(module, "awatch", none_left)
    n_woken = 0

    async def polled() -> None:
        def wake() -> None:
            nonlocal n_woken
            n_woken += 1

        task = asyncio.create_task(watch_registry(tmp_path, wake, poll_s=0.01))
        await until(lambda: n_woken > 5)
        task.cancel()

    with capture_logs() as logged:
        asyncio.run(polled())
    assert [line["event"] for line in logged] == ["registry_only_polled"]


class Following:
    """A follower of a models folder, with the state it keeps."""

    def __init__(self, models: Path) -> None:
        self.models, self.run_folder = models, models / "run"
        self.reloader = Reloader(Registry(models))
        self.reloader.refresh()
        self.n_looks = 0

    def look_ended(self) -> None:
        self.n_looks += 1

    def during(self, walk: Callable[[], Coroutine[None, None, None]]) -> None:
        async def followed() -> None:
            state_file = StateFile(self.run_folder, "2025-01-01")
            async with Follower(self.reloader, self.models, state_file, self.look_ended):
                await walk()

        asyncio.run(followed())

    @property
    def state(self) -> ServingState:
        found = read_state(self.run_folder)
        assert found is not None
        return found

    @property
    def serving_id(self) -> str | None:
        return self.reloader.roles()["champion"].bundle


@pytest.fixture
def following(models: Path) -> Following:
    return Following(models)


def test_of_a_hundred_moves_in_a_second_the_last_one_serves(following: Following) -> None:
    original, twin = bundle_of(following.models), add_twin(following.models)

    async def storm() -> None:
        for number in range(100):
            appoint(following.models, (original, twin)[(number + 1) % 2], why=f"move {number}")
            await asyncio.sleep(0.01)
        appoint(following.models, twin, why="the last")
        await until(lambda: following.state.champion.pointer == Registry(following.models).champion())
        assert following.serving_id == following.state.champion.bundle == twin.name

    following.during(storm)
    assert following.reloader.roles()["champion"].refusal is None


def test_one_bundle_is_loaded_at_a_time(following: Following, monkeypatch: pytest.MonkeyPatch) -> None:
    load, busy = reloading.load_tried, threading.Lock()

    def alone(*arguments):  # type: ignore[no-untyped-def]
        assert busy.acquire(blocking=False)
        try:
            return load(*arguments)
        finally:
            busy.release()

    monkeypatch.setattr(reloading, "load_tried", alone)
    twin, original = add_twin(following.models), bundle_of(following.models)

    async def moves() -> None:
        for number, bundle in enumerate([twin, original, twin]):
            appoint(following.models, bundle, why=str(number))
            os.kill(os.getpid(), signal.SIGHUP)
            await asyncio.sleep(0.2)
        await until(lambda: following.serving_id == twin.name)

    following.during(moves)
    assert following.reloader.roles()["champion"].refusal is None


def test_a_signal_tries_what_was_refused_again_and_is_counted(following: Following) -> None:
    twin = add_twin(following.models)
    content = (twin / "meta.json").read_bytes()
    flip_byte(twin / "meta.json", 5)

    async def repaired() -> None:
        appoint(following.models, twin)
        await until(lambda: following.state.champion.refusal)
        assert following.state.n_reloads == 0
        (twin / "meta.json").write_bytes(content)
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: following.state.n_reloads == 1)
        assert following.state.champion.refusal is None
        assert following.serving_id == twin.name

    following.during(repaired)


def test_at_the_end_nothing_is_left_of_it(following: Following) -> None:
    before = signal.getsignal(signal.SIGHUP)

    async def nothing() -> None:
        assert following.state.pid == os.getpid()

    following.during(nothing)
    assert signal.getsignal(signal.SIGHUP) == before
    assert read_state(following.run_folder) is None
    assert list(following.run_folder.iterdir()) == []


def test_it_ends_at_once_though_a_bundle_is_being_tried(
    following: Following, monkeypatch: pytest.MonkeyPatch
) -> None:
    trying, go = threading.Event(), threading.Event()

    def for_ever(*_arguments: object) -> None:
        trying.set()
        go.wait(60)

    monkeypatch.setattr(reloading, "load_tried", for_ever)
    appoint(following.models, add_twin(following.models))

    async def stopped() -> None:
        await until(trying.is_set)

    following.during(stopped)
    assert not go.is_set(), "and it did not wait"
    go.set()


def test_outside_the_main_thread_it_follows_without_signals(following: Following) -> None:
    failed: list[BaseException] = []

    async def swapped() -> None:
        twin = add_twin(following.models)
        appoint(following.models, twin)
        await until(lambda: following.serving_id == twin.name)

    def run() -> None:
        try:
            following.during(swapped)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    assert failed == []
