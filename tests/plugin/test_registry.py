"""Who serves, since when and why; and nothing that is damaged is taken for nothing."""

import hashlib
import json
import shutil
from pathlib import Path

import msgspec
import pytest

from plugin.errors import BundleRefused, WrongUse
from plugin.manifest import GateReport, GateResult
from plugin.registry import Pointer, Registry
from tests.support.bundles import AT, add_twin, bundle_of, flip_byte, read_manifest
from tests.support.promotions import BY, add_candidate, challenge

REPORT = GateReport(
    level="shadow",
    results=(
        GateResult(name="skill", level="live", value=0.4, limit="> 0.5", verdict="fail", sentence="no"),
    ),
)


@pytest.fixture
def registry(models: Path) -> Registry:
    return Registry(models)


def history(registry: Registry) -> list[dict[str, str]]:
    return [json.loads(line) for line in (registry.folder / "history.jsonl").read_text().splitlines()]


def test_before_any_appointment_nobody_serves(tmp_path: Path) -> None:
    assert Registry(tmp_path).champion() is None
    assert Registry(tmp_path / "none").champion() is None


def test_the_one_who_was_appointed_serves(registry: Registry) -> None:
    twin = add_twin(registry.folder)
    given = registry.appoint(twin.name, at=AT, who="me", why="it is better")
    assert registry.champion() == given
    assert (given.role, given.bundle_id, given.at, given.who, given.why) == (
        "champion",
        twin.name,
        AT,
        "me",
        "it is better",
    )
    assert registry.bundle_folder(given) == twin


def test_every_move_is_one_line_of_history(registry: Registry) -> None:
    before = history(registry)
    first, second = bundle_of(registry.folder), add_twin(registry.folder)
    for bundle in (second, first, first):
        registry.appoint(bundle.name, at=AT, who="me", why="")
    told = history(registry)
    assert told[: len(before)] == before
    assert [line["bundle_id"] for line in told[len(before) :]] == [second.name, first.name, first.name]


def test_a_move_is_told_before_it_happens(registry: Registry) -> None:
    before = registry.champion()
    twin = add_twin(registry.folder)
    champion = registry.folder / "champion"
    champion.unlink()
    champion.mkdir()  # the pointer can not be replaced
    with pytest.raises(OSError, match="champion"):
        registry.appoint(twin.name, at=AT, who="me", why="")
    assert history(registry)[-1]["bundle_id"] == twin.name
    assert before is not None


def test_a_move_that_can_not_be_told_does_not_happen(registry: Registry) -> None:
    before = registry.champion()
    (registry.folder / "history.jsonl").unlink()
    (registry.folder / "history.jsonl").mkdir()
    with pytest.raises(IsADirectoryError):
        registry.appoint(add_twin(registry.folder).name, at=AT, who="me", why="")
    assert registry.champion() == before


@pytest.mark.parametrize("name", ["20990101T000000Z-000000000000", "", ".", "..", "../bundles", "/etc"])
def test_an_unknown_bundle_is_wrong_use_and_the_known_ones_are_listed(
    registry: Registry, name: str
) -> None:
    before = registry.champion()
    twin = add_twin(registry.folder)
    with pytest.raises(WrongUse) as caught:
        registry.appoint(name, at=AT, who="me", why="")
    assert f"there are: {bundle_of(registry.folder).name}, {twin.name}" in str(caught.value)
    assert registry.champion() == before


def test_where_no_bundle_is_that_is_said(tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match="there are: none"):
        Registry(tmp_path).appoint("any", at=AT, who="me", why="")


@pytest.mark.parametrize("damage", [b"", b"{", b"{}", b"null", b"[]", b"\xff"])
def test_a_damaged_pointer_is_refused_and_not_taken_for_none(registry: Registry, damage: bytes) -> None:
    (registry.folder / "champion").write_bytes(damage)
    with pytest.raises(BundleRefused, match=r"champion: expected a pointer"):
        registry.champion()


def test_a_pointer_with_an_unknown_key_is_refused(registry: Registry) -> None:
    path = registry.folder / "champion"
    path.write_text(json.dumps({**json.loads(path.read_text()), "until": "tomorrow"}))
    with pytest.raises(BundleRefused, match="until"):
        registry.champion()


def test_a_folder_in_the_place_of_the_pointer_is_refused(registry: Registry) -> None:
    (registry.folder / "champion").unlink()
    (registry.folder / "champion").mkdir()
    with pytest.raises(BundleRefused, match="champion"):
        registry.champion()


def champion_of(registry: Registry) -> Pointer:
    pointer = registry.champion()
    assert pointer is not None
    return pointer


def test_a_bundle_that_is_gone_is_wrong_use(registry: Registry) -> None:
    shutil.rmtree(bundle_of(registry.folder))
    with pytest.raises(WrongUse, match="a bundle below"):
        registry.bundle_folder(champion_of(registry))


def test_another_manifest_than_was_appointed_is_refused(registry: Registry) -> None:
    bundle, twin = bundle_of(registry.folder), add_twin(registry.folder)
    for name in ("manifest.json", "manifest.sha256"):
        (bundle / name).write_bytes((twin / name).read_bytes())
    with pytest.raises(BundleRefused, match=r"manifest\.sha256: .*another hash"):
        registry.bundle_folder(champion_of(registry))


@pytest.mark.parametrize("damage", [b"", b" \n", b"\xff" * 64, None])
def test_a_damaged_hash_is_refused_by_its_name(registry: Registry, damage: bytes | None) -> None:
    path = bundle_of(registry.folder) / "manifest.sha256"
    path.unlink()
    if damage is not None:
        path.write_bytes(damage)
    with pytest.raises(BundleRefused, match=r"^manifest\.sha256: "):
        registry.bundle_folder(champion_of(registry))


def test_one_changed_letter_of_the_hash_is_refused(registry: Registry) -> None:
    flip_byte(bundle_of(registry.folder) / "manifest.sha256", 10)
    with pytest.raises(BundleRefused, match=r"^manifest\.sha256: "):
        registry.bundle_folder(champion_of(registry))


def test_the_report_within_the_bundle_counts_until_there_is_a_later_one(registry: Registry) -> None:
    manifest = read_manifest(bundle_of(registry.folder))
    assert registry.verdict(manifest) == manifest.gate_report
    place = registry.verdict_file(manifest.bundle_id)
    place.parent.mkdir()
    place.write_bytes(msgspec.json.encode(REPORT))
    assert registry.verdict(manifest) == REPORT


def test_where_no_gate_ever_looked_there_is_no_report(registry: Registry) -> None:
    manifest = read_manifest(bundle_of(registry.folder))
    assert registry.verdict(msgspec.structs.replace(manifest, gate_report=None)) is None


@pytest.mark.parametrize("damage", [b"", b"{}", b'{"level":"steer","results":[]}', b'{"level":"live"}'])
def test_a_damaged_later_report_is_refused_and_the_earlier_one_does_not_stand_in(
    registry: Registry, damage: bytes
) -> None:
    manifest = read_manifest(bundle_of(registry.folder))
    place = registry.verdict_file(manifest.bundle_id)
    place.parent.mkdir()
    place.write_bytes(damage)
    with pytest.raises(BundleRefused, match="a gate report"):
        registry.verdict(manifest)


def test_a_move_carries_the_hash_of_the_report_that_stood(registry: Registry) -> None:
    manifest = read_manifest(bundle_of(registry.folder))
    within = champion_of(registry).report_sha256
    canonical = msgspec.json.encode(manifest.gate_report, order="deterministic")
    assert within == hashlib.sha256(canonical).hexdigest()
    place = registry.store_verdict(manifest.bundle_id, REPORT)
    assert place == registry.verdict_file(manifest.bundle_id)
    assert registry.verdict(manifest) == REPORT
    later = registry.appoint(manifest.bundle_id, **BY, why="").report_sha256
    assert later == hashlib.sha256(place.read_bytes()).hexdigest() != within


def test_without_a_report_there_is_no_hash_of_one(registry: Registry) -> None:
    bundle_id = add_candidate(registry.folder, 1, gate_report=None)
    assert registry.appoint(bundle_id, **BY, why="").report_sha256 is None


def test_a_dismissed_challenger_leaves_its_seat(registry: Registry) -> None:
    second = challenge(registry.folder, 1)
    moved = registry.dismiss(**BY, why="it is worse")
    assert moved is not None
    assert (moved.kind, moved.bundle_id, moved.replaced) == ("dismissed", None, second)
    assert registry.challenger() is None
    assert registry.dismiss(**BY, why="") is None
