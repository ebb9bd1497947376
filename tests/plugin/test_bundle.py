"""A bundle is read as it was written, or not at all, and the refusal names the file."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from plugin.bundle import load_bundle, verify_bundle
from plugin.errors import BundleRefused, WrongUse
from plugin.manifest import MANIFEST_FILE, MANIFEST_HASH_FILE, MemberFile
from tests.support.bundles import (
    bundle_of,
    file_names,
    flip_byte,
    read_manifest,
    reseal,
    rewrite_manifest,
    seal_text,
)

MODEL = "lgb_h5.txt"
NOBODY = 65534
POSITIONS = (0, 1, 7, 64, 1_000, 54_321, -2, -1)


@pytest.fixture
def bundle(models: Path) -> Path:
    return bundle_of(models)


def refusal_of(bundle: Path) -> BundleRefused:
    with pytest.raises(BundleRefused) as caught:
        load_bundle(bundle)
    return caught.value


def test_an_intact_bundle_is_read(bundle: Path) -> None:
    loaded = load_bundle(bundle)
    assert loaded.bundle_id == bundle.name
    assert list(loaded.models) == ["lgb", "xgb", "cross"]
    assert all(list(by_horizon) == [5, 12, 24] for by_horizon in loaded.models.values())
    assert loaded.meta.members == ("lgb", "xgb", "cross")


def test_verifying_gives_the_bytes_of_every_file(bundle: Path) -> None:
    manifest, files = verify_bundle(bundle)
    assert {*files, MANIFEST_FILE, MANIFEST_HASH_FILE} == set(file_names(bundle))
    assert all(files[name] == (bundle / name).read_bytes() for name in manifest.files)


def test_one_changed_byte_in_any_file_is_refused_with_its_name(bundle: Path) -> None:
    n_files = 0
    for name in file_names(bundle):
        original = (bundle / name).read_bytes()
        for position in POSITIONS:
            flip_byte(bundle / name, position)
            assert name in str(refusal_of(bundle)), position
            (bundle / name).write_bytes(original)
        n_files += 1
    assert n_files == 16
    load_bundle(bundle)


def test_a_file_with_one_byte_more_or_less_is_refused_with_its_name(bundle: Path) -> None:
    for name in file_names(bundle):
        original = (bundle / name).read_bytes()
        for content in (original[:-1], original + b"\n", b""):
            (bundle / name).write_bytes(content)
            assert name in str(refusal_of(bundle))
        (bundle / name).write_bytes(original)


def test_a_missing_file_is_refused_with_its_name(bundle: Path) -> None:
    for name in file_names(bundle):
        (bundle / name).rename(bundle.parent / "away")
        refusal = refusal_of(bundle)
        assert refusal.file == name
        assert "missing" in str(refusal) or "No such file" in str(refusal)
        (bundle.parent / "away").rename(bundle / name)


@pytest.mark.parametrize("name", ["lgb_h99.txt", ".hidden", "MANIFEST.JSON"])
def test_a_file_that_the_manifest_does_not_list_is_refused(bundle: Path, name: str) -> None:
    (bundle / name).write_bytes(b"")
    assert refusal_of(bundle).file == name


def test_a_folder_within_the_bundle_is_refused(bundle: Path) -> None:
    (bundle / "more").mkdir()
    assert refusal_of(bundle).file == "more"


def _folder(path: Path, original: bytes) -> None:
    path.mkdir()


def _fifo(path: Path, original: bytes) -> None:
    os.mkfifo(path)


def _symbolic_link(path: Path, original: bytes) -> None:
    (path.parent.parent / "elsewhere").write_bytes(original)
    path.symlink_to("../elsewhere")


def _hard_link(path: Path, original: bytes) -> None:
    (path.parent.parent / "elsewhere").write_bytes(original)
    path.hardlink_to(path.parent.parent / "elsewhere")


def _socket(path: Path, original: bytes) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # the path of a socket has room for 107 bytes
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path.name)
    os.chdir(here)


@pytest.mark.parametrize("put", [_folder, _fifo, _symbolic_link, _hard_link, _socket])
@pytest.mark.parametrize("name", [MODEL, MANIFEST_FILE, MANIFEST_HASH_FILE])
def test_what_is_no_plain_file_is_refused(
    bundle: Path, name: str, put: Callable[[Path, bytes], None]
) -> None:
    original = (bundle / name).read_bytes()
    (bundle / name).unlink()
    put(bundle / name, original)
    assert refusal_of(bundle).file == name


@contextmanager
def _without_privileges(folder: Path) -> Iterator[Path]:
    """In `folder`, as a user to whom file permissions apply; yields the folder's relative path."""
    here = Path.cwd()
    os.chdir(folder)
    if os.geteuid() == 0:
        os.seteuid(NOBODY)
    try:
        yield Path()
    finally:
        os.seteuid(os.getuid())
        os.chdir(here)


def test_a_file_that_can_not_be_read_is_refused_with_its_name(bundle: Path) -> None:
    for path in bundle.iterdir():
        path.chmod(0o444)
    (bundle / MODEL).chmod(0)
    bundle.parent.chmod(0o755)
    bundle.chmod(0o755)
    with _without_privileges(bundle.parent) as here:
        refusal = refusal_of(here / bundle.name)
    assert refusal.file == MODEL
    assert "Permission denied" in str(refusal)


@pytest.mark.parametrize("closed", ["the bundle", "the folder around it"])
def test_a_folder_that_can_not_be_read_is_refused_by_its_name(bundle: Path, closed: str) -> None:
    bundle.chmod(0o111 if closed == "the bundle" else 0o755)
    bundle.parent.chmod(0 if closed == "the folder around it" else 0o755)
    with _without_privileges(bundle.parent.parent) as here:
        refusal = refusal_of(here / "bundles" / bundle.name)
    bundle.parent.chmod(0o755)
    assert refusal.file == bundle.name
    assert "Permission denied" in str(refusal)


def test_no_folder_is_wrong_use(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for name in ("none", "file"):
        with pytest.raises(WrongUse, match="models/bundles"):
            load_bundle(tmp_path / name)


def test_a_bundle_under_another_name_is_refused(bundle: Path) -> None:
    moved = bundle.rename(bundle.with_name("20990101T000000Z-000000000000"))
    assert bundle.name in str(refusal_of(moved))


def test_a_newer_format_is_refused_whatever_else_it_holds(bundle: Path) -> None:
    seal_text(bundle, b'{"format_version": 5, "news": {}}')
    assert "manifest.json: expected format version 4, was 5" in str(refusal_of(bundle))


def test_an_older_format_is_refused(bundle: Path) -> None:
    rewrite_manifest(bundle, lambda parts: parts.update(format_version=1))
    assert "manifest.json: expected format version 4, was 1" in str(refusal_of(bundle))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff\xfe",
        b'{"format_version": "3"}',
        b'{"format_version": 3}',
        b"[" * 100_000,
    ],
    ids=["empty", "no keys", "a list", "no text", "a text version", "only a version", "brackets"],
)
def test_a_manifest_that_is_none_is_refused(bundle: Path, text: bytes) -> None:
    seal_text(bundle, text)
    assert refusal_of(bundle).file == MANIFEST_FILE


def test_an_unknown_key_is_refused_by_its_name(bundle: Path) -> None:
    rewrite_manifest(bundle, lambda parts: parts.update(owner="me"))
    assert "owner" in str(refusal_of(bundle))


def test_a_manifest_that_nests_without_end_is_refused(bundle: Path) -> None:
    deep: list[Any] = []
    for _ in range(900):
        deep = [deep]
    rewrite_manifest(bundle, lambda parts: parts.update(settings={"deep": deep}))
    text = (bundle / MANIFEST_FILE).read_bytes().replace(b"[" * 900, b"[" * 90_000)
    seal_text(bundle, text.replace(b"]" * 900, b"]" * 90_000))
    assert refusal_of(bundle).file == MANIFEST_FILE


def test_another_content_than_was_hashed_is_refused(bundle: Path) -> None:
    rewrite_manifest(bundle, lambda parts: parts.update(oof_rows=1_000_000))
    assert "content hash" in str(refusal_of(bundle))


def _models(bundle: Path) -> tuple[MemberFile, ...]:
    return read_manifest(bundle).members


def _other_features(bundle: Path) -> dict[str, Any]:
    sets = read_manifest(bundle).feature_sets
    return {
        "feature_sets": {**sets, "base": msgspec.structs.replace(sets["base"], schema_hash="0" * 64)}
    }


def _features_in_another_order(bundle: Path) -> dict[str, Any]:
    sets = read_manifest(bundle).feature_sets
    names = sets["base"].names[::-1]
    return {"feature_sets": {**sets, "base": msgspec.structs.replace(sets["base"], names=names)}}


def _unlisted_features(bundle: Path) -> dict[str, Any]:
    first, *rest = _models(bundle)
    return {"members": (msgspec.structs.replace(first, feature_set="none"), *rest)}


def _one_model_less(bundle: Path) -> dict[str, Any]:
    return {"members": _models(bundle)[1:]}


def _one_horizon_twice(bundle: Path) -> dict[str, Any]:
    first, *rest = _models(bundle)
    return {"members": (msgspec.structs.replace(first, horizon=12), *rest)}


def _one_file_for_two(bundle: Path) -> dict[str, Any]:
    first, *rest = _models(bundle)
    return {"members": (msgspec.structs.replace(first, file=rest[-1].file), *rest)}


def _no_members(bundle: Path) -> dict[str, Any]:
    return {"members": ()}


def _a_horizon_nobody_learnt(bundle: Path) -> dict[str, Any]:
    return {"horizons": (5, 12, 24, 48)}


def _primary_of_no_horizon(bundle: Path) -> dict[str, Any]:
    return {"primary_horizon": 6}


def _two_companions(bundle: Path) -> dict[str, Any]:
    companions = read_manifest(bundle).companions
    return {"companions": {**companions, "BTC/USDT": companions["BTC/USDT"][:2]}}


def _a_symbol_without_companions(bundle: Path) -> dict[str, Any]:
    return {"symbols": (*read_manifest(bundle).symbols, "DOGE/USDT")}


CONTRADICTIONS = [
    _other_features,
    _features_in_another_order,
    _unlisted_features,
    _one_model_less,
    _one_horizon_twice,
    _one_file_for_two,
    _no_members,
    _a_horizon_nobody_learnt,
    _primary_of_no_horizon,
    _two_companions,
    _a_symbol_without_companions,
]


@pytest.mark.parametrize("changes", CONTRADICTIONS)
def test_a_manifest_that_does_not_fit_is_refused_though_all_hashes_are_right(
    bundle: Path, changes: Callable[[Path], dict[str, Any]]
) -> None:
    reseal(bundle, **changes(bundle))
    assert refusal_of(bundle).file == MANIFEST_FILE


def test_features_of_another_release_say_that_training_helps(bundle: Path) -> None:
    reseal(bundle, **_other_features(bundle))
    assert "train again" in str(refusal_of(bundle))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("meta.json", b"{}"),
        ("meta.json", b"[" * 100_000),
        (MODEL, b"tree\nversion=v4\n"),
        ("xgb_h5.json", b"{}"),
    ],
)
def test_a_part_that_can_not_be_read_is_refused_with_its_name(
    bundle: Path, name: str, content: bytes
) -> None:
    (bundle / name).write_bytes(content)
    reseal(bundle)
    assert refusal_of(bundle).file == name


def test_two_bundles_of_one_release_ask_for_the_same_features(bundle: Path) -> None:
    assert load_bundle(bundle).feature_hash == load_bundle(bundle).feature_hash
    assert len(load_bundle(bundle).feature_hash) == 16
