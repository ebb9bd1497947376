"""Another bundle takes the place of the serving one whole and well, or not at all."""

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from plugin import reloader as module
from plugin.bundle import Bundle
from plugin.manifest import GateReport
from plugin.registry import Pointer, Registry
from plugin.reloader import Reloader
from tests.support.bundles import (
    add_twin,
    appoint,
    bundle_of,
    file_names,
    flip_byte,
    read_manifest,
    reseal,
)
from tests.support.scripted_source import until
from tests.support.small_training import SmallTraining
from tests.support.twins import add_other, appoint_challenger


def refreshed(reloader: Reloader) -> list[EventDict]:
    """What a refresh logs."""
    with capture_logs() as logged:
        reloader.refresh()
    return logged


@pytest.fixture
def reloader(models: Path) -> Reloader:
    return Reloader(Registry(models))


@pytest.fixture
def serving(reloader: Reloader) -> Reloader:
    reloader.refresh()
    assert reloader.champion is not None
    return reloader


def serving_id(reloader: Reloader) -> str | None:
    return reloader.champion.bundle.bundle_id if reloader.champion else None


def test_where_nobody_was_appointed_nobody_serves(tmp_path: Path) -> None:
    reloader = Reloader(Registry(tmp_path))
    assert refreshed(reloader) == []
    assert reloader.champion is None


def test_the_champion_is_loaded_once(models: Path, reloader: Reloader) -> None:
    (loaded,) = refreshed(reloader)
    assert (loaded["event"], loaded["bundle"]) == ("bundle_loaded", bundle_of(models).name)
    champion = reloader.champion
    assert refreshed(reloader) == []
    assert reloader.champion is champion


def test_what_serves_knows_its_verdict(models: Path, serving: Reloader) -> None:
    report = read_manifest(bundle_of(models)).gate_report
    assert report is not None
    assert serving.champion is not None
    said = serving.champion.serving
    assert (said.verdict, said.missing_gates) == (report.level, report.missing)
    assert (said.bundle_id, said.primary_horizon) == (bundle_of(models).name, "5")
    assert said.feature_hash == serving.champion.bundle.feature_hash


def test_a_bundle_without_a_report_is_fit_for_nothing(models: Path, reloader: Reloader) -> None:
    reseal(bundle_of(models), gate_report=None)
    appoint(models, bundle_of(models))
    reloader.refresh()
    assert reloader.champion is not None
    said = reloader.champion.serving
    assert (said.verdict, said.missing_gates) == ("none", ("report",))


def test_a_report_made_later_than_the_bundle_counts(models: Path, reloader: Reloader) -> None:
    place = Registry(models).verdict_file(bundle_of(models).name)
    place.parent.mkdir()
    place.write_bytes(msgspec.json.encode(GateReport(level="live", results=())))
    reloader.refresh()
    assert reloader.champion is not None
    assert (reloader.champion.serving.verdict, reloader.champion.serving.missing_gates) == ("live", ())


def test_another_champion_takes_over(models: Path, serving: Reloader) -> None:
    before, twin = serving.champion, add_twin(models)
    appoint(models, twin)
    (loaded,) = refreshed(serving)
    assert (loaded["event"], loaded["bundle"]) == ("bundle_loaded", twin.name)
    assert serving_id(serving) == twin.name
    assert serving.champion is not before


def test_a_bundle_with_one_changed_byte_in_any_file_leaves_the_old_one_serving(
    models: Path, serving: Reloader
) -> None:
    before = serving.champion
    twin = add_twin(models)
    for number, name in enumerate(file_names(twin)):
        appoint(models, twin, why=name)
        original = (twin / name).read_bytes()
        flip_byte(twin / name, 40 + number)
        (refused,) = refreshed(serving)
        assert refused["event"] == "bundle_refused"
        assert refused["log_level"] == "error"
        assert name in refused["reason"]
        assert refused["still_serving"] == serving_id(serving)
        assert serving.champion is before
        (twin / name).write_bytes(original)


def test_a_refused_bundle_is_tried_once_and_again_when_it_is_appointed_again(
    models: Path, serving: Reloader
) -> None:
    twin = add_twin(models)
    content = (twin / "lgb_h5.txt").read_bytes()
    flip_byte(twin / "lgb_h5.txt", 99)
    appoint(models, twin)
    assert len(refreshed(serving)) == 1
    assert refreshed(serving) == []
    (twin / "lgb_h5.txt").write_bytes(content)
    assert refreshed(serving) == []
    appoint(models, twin, why="repaired")
    assert [said["event"] for said in refreshed(serving)] == ["bundle_loaded"]
    assert serving_id(serving) == twin.name


def test_a_bundle_that_answers_otherwise_than_it_says_leaves_the_old_one_serving(
    models: Path, serving: Reloader
) -> None:
    twin = add_twin(models)
    (twin / "lgb_h5.txt").write_bytes((twin / "lgb_h24.txt").read_bytes())
    reseal(twin)
    appoint(models, twin)
    (refused,) = refreshed(serving)
    assert "golden answers" in refused["reason"]
    assert serving_id(serving) != twin.name


@pytest.mark.parametrize("damage", [b"", b"{}", b"\xff"])
def test_a_damaged_pointer_leaves_the_old_bundle_serving_and_is_told_once(
    models: Path, serving: Reloader, damage: bytes
) -> None:
    before, pointer = serving.champion, (models / "champion").read_bytes()
    (models / "champion").write_bytes(damage)
    (refused,) = refreshed(serving)
    assert refused["event"] == "bundle_refused"
    assert refreshed(serving) == []
    (models / "champion").write_bytes(pointer)
    assert refreshed(serving) == []
    assert serving.champion is before


def test_a_pointer_that_vanished_leaves_the_old_bundle_serving(models: Path, serving: Reloader) -> None:
    before = serving.champion
    (models / "champion").unlink()
    assert refreshed(serving) == []
    assert serving.champion is before


def test_a_bundle_that_vanished_leaves_the_old_one_serving(models: Path, serving: Reloader) -> None:
    twin = add_twin(models)
    appoint(models, twin)
    twin.rename(models / "away")
    (refused,) = refreshed(serving)
    assert twin.name in refused["reason"]
    assert serving.champion is not None


def test_the_first_bundle_is_refused_like_any_other(models: Path, reloader: Reloader) -> None:
    flip_byte(bundle_of(models) / "golden.npz", 100)
    (refused,) = refreshed(reloader)
    assert refused["still_serving"] is None
    assert reloader.champion is None


def test_the_champion_of_a_training_serves(small_training: SmallTraining) -> None:
    reloader = Reloader(Registry(small_training.models))
    reloader.refresh()
    assert serving_id(reloader) == small_training.outcome.bundle.name


def put_verdict(models: Path, content: bytes) -> None:
    place = Registry(models).verdict_file(bundle_of(models).name)
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(content)


def verdict(reloader: Reloader) -> tuple[str, tuple[str, ...]]:
    assert reloader.champion is not None
    return reloader.champion.serving.verdict, reloader.champion.serving.missing_gates


def test_a_verdict_that_changes_counts_and_the_models_stay(models: Path, serving: Reloader) -> None:
    before = serving.champion
    put_verdict(models, msgspec.json.encode(GateReport(level="live", results=())))
    (changed,) = refreshed(serving)
    assert (changed["event"], changed["now"]) == ("verdict_changed", "live")
    assert verdict(serving) == ("live", ())
    assert before is not None
    assert serving.champion is not None
    assert serving.champion.ensemble is before.ensemble


@pytest.mark.parametrize("damage", [b"", b"{}", b"\xff", b'{"level":"live"}'])
def test_a_verdict_that_can_not_be_read_allows_nothing_until_it_can(
    models: Path, serving: Reloader, damage: bytes
) -> None:
    told = verdict(serving)
    put_verdict(models, damage)
    assert [line["event"] for line in refreshed(serving)] == ["verdict_refused", "verdict_changed"]
    assert verdict(serving) == ("none", ("report",))
    assert refreshed(serving) == []
    Registry(models).verdict_file(bundle_of(models).name).unlink()
    refreshed(serving)
    assert verdict(serving) == told


def test_a_refusal_stands_until_the_pointer_moves(models: Path, serving: Reloader) -> None:
    twin, original = add_twin(models), bundle_of(models)
    flip_byte(twin / "meta.json", 5)
    appoint(models, twin)
    for _ in range(3):
        serving.refresh()
        role = serving.roles()["champion"]
        assert role.bundle == original.name
        assert role.refusal is not None
        assert "meta.json" in role.refusal


def test_a_bundle_whose_later_verdict_can_not_be_read_is_refused(
    models: Path, reloader: Reloader
) -> None:
    put_verdict(models, b"{}")
    assert [line["event"] for line in refreshed(reloader)] == ["bundle_refused"]
    assert reloader.champion is None


def test_a_challenger_is_loaded_beside_the_champion_and_leaves_when_it_is_dismissed(
    models: Path, serving: Reloader
) -> None:
    other, champion = add_other(models), serving.champion
    appoint_challenger(models, other)
    (loaded,) = refreshed(serving)
    assert (loaded["event"], loaded["role"], loaded["bundle"]) == (
        "bundle_loaded",
        "challenger",
        other.name,
    )
    assert serving.challenger is not None
    assert serving.challenger.bundle.bundle_id == other.name
    Registry(models).dismiss(at="2099-01-01T00:00:00Z", who="a test", why="enough")
    assert [line["event"] for line in refreshed(serving)] == ["challenger_dismissed"]
    assert serving.challenger is None
    appoint_challenger(models, other)
    assert [line["event"] for line in refreshed(serving)] == ["bundle_loaded"]
    assert serving.champion is champion


def test_a_refused_challenger_never_touches_the_champion(models: Path, serving: Reloader) -> None:
    before, other = serving.champion, add_other(models)
    flip_byte(other / "xgb_h12.json", 70)
    appoint_challenger(models, other)
    (refused,) = refreshed(serving)
    assert (refused["event"], refused["role"]) == ("bundle_refused", "challenger")
    assert refreshed(serving) == []
    assert serving.challenger is None
    assert serving.champion is before


def test_a_damaged_challenger_pointer_never_touches_the_champion(
    models: Path, serving: Reloader
) -> None:
    before = serving.champion
    (models / "challenger").write_bytes(b"{")
    assert [line["role"] for line in refreshed(serving)] == ["challenger"]
    appoint(models, add_other(models))
    assert [line["event"] for line in refreshed(serving)] == ["bundle_loaded"]
    assert serving.champion is not before


def test_a_challenger_that_is_promoted_is_challenger_no_more(models: Path, serving: Reloader) -> None:
    other = add_other(models)
    appoint_challenger(models, other)
    refreshed(serving)
    appoint(models, other)
    refreshed(serving)
    assert serving_id(serving) == other.name
    assert serving.challenger is None


def test_back_to_the_bundle_that_serves_reads_no_models(models: Path, serving: Reloader) -> None:
    before, twin = serving.champion, add_twin(models)
    original = bundle_of(models)
    flip_byte(twin / "meta.json", 5)
    appoint(models, twin)
    refreshed(serving)
    appoint(models, original, why="rolled back")
    assert refreshed(serving) == []
    assert serving.champion is before
    role = serving.roles()["champion"]
    assert (role.bundle, role.refusal) == (original.name, None)
    assert role.pointer == Registry(models).champion()


def test_what_was_refused_is_tried_again_when_somebody_asks(models: Path, serving: Reloader) -> None:
    twin = add_twin(models)
    content = (twin / "meta.json").read_bytes()
    flip_byte(twin / "meta.json", 5)
    appoint(models, twin)
    assert [line["event"] for line in refreshed(serving)] == ["bundle_refused"]
    serving.forget_refusals()
    assert [line["event"] for line in refreshed(serving)] == ["bundle_refused"]
    (twin / "meta.json").write_bytes(content)
    assert refreshed(serving) == []
    serving.forget_refusals()
    assert [line["event"] for line in refreshed(serving)] == ["bundle_loaded"]


Load = Callable[[Registry, Pointer], Bundle]


def held_up(monkeypatch: pytest.MonkeyPatch, before: Callable[[Pointer], object]) -> list[str]:
    """Let something happen before every load; the ids loaded, in order."""
    load: Load = module.load_tried
    loaded = []

    def held(registry: Registry, pointer: Pointer) -> Bundle:
        before(pointer)
        bundle = load(registry, pointer)
        loaded.append(bundle.bundle_id)
        return bundle

    monkeypatch.setattr(module, "load_tried", held)
    return loaded


def test_the_event_loop_is_free_while_a_bundle_loads_and_the_old_one_serves(
    models: Path, serving: Reloader, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, first = threading.Event(), serving_id(serving)
    held_up(monkeypatch, lambda _: go.wait(30))
    twin = add_twin(models)
    appoint(models, twin)

    async def bars_meanwhile() -> None:
        loading = asyncio.create_task(serving.refresh_beside())
        for _ in range(50):
            await asyncio.sleep(0.001)
            assert serving_id(serving) == first
        go.set()
        await loading

    asyncio.run(bars_meanwhile())
    assert serving_id(serving) == twin.name


def test_if_the_pointer_moves_while_a_bundle_loads_the_newest_wins(
    models: Path, serving: Reloader, monkeypatch: pytest.MonkeyPatch
) -> None:
    twin, other = add_twin(models), bundle_of(models).with_name("20990202T000000Z-0123456789ab")
    twin.rename(other)
    reseal(other, bundle_id=other.name)
    twin = add_twin(models)
    moves = iter([lambda: appoint(models, other)])
    loaded = held_up(monkeypatch, lambda _: next(moves, lambda: None)())
    appoint(models, twin)
    with_logs = refreshed(serving)
    assert loaded == [twin.name, other.name]
    assert [line["bundle"] for line in with_logs] == [other.name], "the first never served"
    assert serving_id(serving) == other.name


def test_an_exception_nobody_thought_of_refuses_the_bundle(
    models: Path, serving: Reloader, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_registry: Registry, _pointer: Pointer) -> Bundle:
        raise MemoryError("no room")

    monkeypatch.setattr(module, "load_tried", fail)
    appoint(models, add_twin(models))
    (refused,) = refreshed(serving)
    assert (refused["event"], refused["reason"]) == ("bundle_refused", "MemoryError('no room')")


def children() -> list[int]:
    """Processes that this one has started and that still run."""
    found = []
    for task in Path("/proc/self/task").iterdir():
        found += [int(pid) for pid in (task / "children").read_text().split()]
    return found


def test_a_killed_child_refuses_the_bundle_and_the_old_one_serves(
    models: Path, serving: Reloader
) -> None:
    first, others = serving_id(serving), set(children())
    appoint(models, add_twin(models))

    async def killed() -> None:
        loading = asyncio.create_task(serving.refresh_beside())
        await until(lambda: set(children()) - others)
        (child,) = set(children()) - others
        os.kill(child, signal.SIGKILL)
        await loading

    with capture_logs() as logged:
        asyncio.run(killed())
    (refused,) = logged
    assert "was ended by SIGKILL" in refused["reason"]
    assert serving_id(serving) == first


def test_a_bundle_is_warm_before_it_serves(
    models: Path, serving: Reloader, monkeypatch: pytest.MonkeyPatch
) -> None:
    warmed: list[str] = []
    answer = module.answer_golden

    def watched(bundle: Bundle, *bars: object) -> object:
        assert serving_id(serving) != bundle.bundle_id
        warmed.append(bundle.bundle_id)
        return answer(bundle, *bars)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "answer_golden", watched)
    twin = add_twin(models)
    appoint(models, twin)
    refreshed(serving)
    assert warmed == [twin.name]
