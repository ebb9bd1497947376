"""Another bundle takes the place of the serving one whole and well, or not at all."""

from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from plugin.manifest import GateReport
from plugin.registry import Registry
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
from tests.support.small_training import SmallTraining


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
