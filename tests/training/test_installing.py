"""A packed bundle comes in whole and tried, or not at all."""

import random
import shutil
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from plugin.bundle import load_bundle
from plugin.canary import CanaryReport
from plugin.durable import locked
from plugin.errors import BundleRefused, WrongUse
from plugin.manifest import MANIFEST_FILE, GateReport
from plugin.registry import Registry
from tests.support.bundles import add_twin, flip_byte, reseal
from tests.support.full_disk import largest_file
from tests.support.keys import KeyPair, write_keys
from tests.support.small_training import SmallTraining
from training import installing
from training.installing import Installed, install
from training.packing import Packed, gather, write_packed
from training.signing import sign

ROOT = Path(__file__).parents[2]
AT = "2026-01-02T03:04:05.000Z"


@pytest.fixture(scope="module")
def packed(small_training: SmallTraining) -> Packed:
    return gather(small_training.outcome.bundle)


@pytest.fixture
def carried(packed: Packed, tmp_path: Path) -> Path:
    return written(packed, tmp_path / "carried.zip")


@pytest.fixture
def there(tmp_path: Path) -> Path:
    """The models folder of the other host, where there is none yet."""
    return tmp_path / "there" / "models"


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that tries a bundle takes seconds. Here it always says yes; commands/test_install.py
    has the real one."""

    def says_yes(draft: Path) -> CanaryReport:
        assert draft.parent.name == "drafts", "what is tried has no place yet"
        return CanaryReport(draft.name, "", 0.0, None)

    monkeypatch.setattr(installing, "check_in_child", says_yes)


def written(packed: Packed, path: Path) -> Path:
    write_packed(packed, path)
    return path


def bring(file: Path, models: Path, key: Path | None = None, *, dry_run: bool = False) -> Installed:
    return install(file, models, key, at=AT, who="a test", dry_run=dry_run)


def assert_untouched(models: Path) -> None:
    """Nothing that could be loaded has come in, and nothing of a draft has stayed."""
    assert list(models.glob("drafts/*")) == []
    assert list(models.glob("bundles/*")) == []
    assert not (models / "champion").exists()


# --- what comes in


def test_a_bundle_arrives_with_its_bytes_and_serves_where_nobody_does(
    carried: Path, packed: Packed, there: Path
) -> None:
    installed = bring(carried, there)
    assert installed == Installed(packed.bundle_id, "none", was_there=False, became="champion")
    place = there / "bundles" / packed.bundle_id
    assert {file.name: file.read_bytes() for file in place.iterdir()} == packed.files
    assert load_bundle(place).bundle_id == packed.bundle_id
    pointer = Registry(there).champion()
    assert pointer is not None
    assert (pointer.bundle_id, pointer.at, pointer.who) == (packed.bundle_id, AT, "a test")
    assert list((there / "drafts").iterdir()) == []


def test_what_comes_in_is_for_its_owner_alone(carried: Path, there: Path) -> None:
    bring(carried, there)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (there, *there.rglob("*"))}
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o700}
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o600}


def test_beside_a_champion_it_becomes_the_challenger_and_the_next_one_waits(
    models: Path, tmp_path: Path
) -> None:
    files = []
    for number in (1, 2):
        twin = add_twin(models)
        later = twin.rename(twin.with_name(f"2099010{number}T000000Z-0123456789ab"))
        reseal(later, bundle_id=later.name)
        files.append(written(gather(later), tmp_path / f"{number}.zip"))
        shutil.rmtree(later)
    champion = Registry(models).champion()
    assert [bring(file, models).became for file in files] == ["challenger", "waiting"]
    assert Registry(models).champion() == champion


@pytest.mark.parametrize("report", [None, GateReport(level="none", results=())])
def test_one_that_no_gate_found_fit_gets_no_role(
    models: Path, there: Path, tmp_path: Path, report: GateReport | None
) -> None:
    twin = add_twin(models)
    reseal(twin, gate_report=report)
    assert bring(written(gather(twin), tmp_path / "b.zip"), there).became == "unfit"
    assert not (there / "champion").exists()


def test_installed_twice_it_is_there_once_and_keeps_its_role(
    carried: Path, packed: Packed, there: Path
) -> None:
    bring(carried, there)
    history = (there / "history.jsonl").read_bytes()
    assert bring(carried, there) == Installed(packed.bundle_id, "none", was_there=True, became=None)
    assert (there / "history.jsonl").read_bytes() == history


def test_one_that_has_lost_its_role_does_not_get_it_back_by_being_installed_again(
    models: Path, tmp_path: Path
) -> None:
    twin = add_twin(models)
    file = written(gather(twin), tmp_path / "b.zip")
    assert bring(file, models).became == "challenger"
    with locked(models):
        Registry(models).dismiss(at=AT, who="a test", why="it did badly")
    assert bring(file, models).became is None
    assert Registry(models).challenger() is None


def test_a_role_that_was_told_of_and_not_given_is_given_by_the_next_run(
    carried: Path, there: Path
) -> None:
    bring(carried, there)
    (there / "champion").unlink()  # as after a power cut between history and pointer
    assert bring(carried, there).became == "champion"


@pytest.mark.parametrize("was_there", [False, True])
def test_a_dry_run_tries_everything_and_changes_nothing(
    carried: Path, packed: Packed, there: Path, was_there: bool
) -> None:
    if was_there:
        bring(carried, there)
    before = sorted(there.rglob("*"))
    installed = bring(carried, there, dry_run=True)
    assert installed == Installed(packed.bundle_id, "none", was_there=was_there, became=None)
    assert [path for path in sorted(there.rglob("*")) if path not in before] in ([], [there / "drafts"])


# --- what does not


def test_a_file_too_many_one_too_few_and_one_of_other_bytes_are_refused(
    packed: Packed, there: Path, tmp_path: Path
) -> None:
    fewer = {name: content for name, content in packed.files.items() if name != "lgb_h5.txt"}
    manifest = packed.files[MANIFEST_FILE]
    for files, why in (
        ({**packed.files, "surprise.so": b""}, r"surprise\.so: expected only files that the manifest"),
        (fewer, r"lgb_h5\.txt: .* missing"),
        ({**packed.files, "lgb_h5.txt": b"tree"}, r"lgb_h5\.txt: expected sha256"),
        ({**packed.files, MANIFEST_FILE: manifest + b" "}, r"manifest\.json: "),
        ({}, "files of one bundle"),
    ):
        file = tmp_path / "b.zip"
        file.write_bytes(Packed(packed.bundle_id, files).encode())
        with pytest.raises(BundleRefused, match=why):
            bring(file, there)
        assert_untouched(there)


def test_a_bundle_under_the_name_of_another_is_refused(
    packed: Packed, there: Path, tmp_path: Path
) -> None:
    renamed = replace(packed, bundle_id="20990101T000000Z-0123456789ab")
    with pytest.raises(BundleRefused, match="as its folder"):
        bring(written(renamed, tmp_path / "b.zip"), there)
    assert_untouched(there)


def test_a_flipped_byte_anywhere_is_refused_and_leaves_nothing(carried: Path, there: Path) -> None:
    places = random.Random(5)
    whole = carried.read_bytes()
    for _ in range(100):
        flip_byte(carried, places.randrange(len(whole)))
        with pytest.raises(BundleRefused):
            bring(carried, there)
        carried.write_bytes(whole)
    assert not there.exists()


def test_a_cut_file_is_refused_and_leaves_nothing(carried: Path, there: Path) -> None:
    whole = carried.read_bytes()
    for share in (0.0, 0.1, 0.5, 0.9, 0.999999):
        carried.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(BundleRefused, match="a whole packed bundle"):
            bring(carried, there)
    assert not there.exists()


@pytest.mark.parametrize("resealed", [True, False])
def test_another_bundle_of_that_name_is_not_replaced(
    carried: Path, packed: Packed, there: Path, resealed: bool
) -> None:
    bring(carried, there)
    place = there / "bundles" / packed.bundle_id
    if resealed:  # an intact one that says something else
        reseal(place, created="2020-01-01T00:00:00Z")
    else:
        flip_byte(place / "lgb_h5.txt", 77)
    before = {file.name: file.read_bytes() for file in place.iterdir()}
    with pytest.raises(BundleRefused, match="others, under its name"):
        bring(carried, there)
    assert {file.name: file.read_bytes() for file in place.iterdir()} == before
    assert list((there / "drafts").iterdir()) == []


# --- signatures


@pytest.fixture
def keys(tmp_path: Path) -> KeyPair:
    return write_keys(tmp_path, "ours")


def signed(packed: Packed, keys: KeyPair) -> Packed:
    return replace(packed, signature=sign(packed.files[MANIFEST_FILE], keys.private))


def test_a_signed_bundle_comes_in_where_its_key_is_asked_for(
    packed: Packed, keys: KeyPair, there: Path, tmp_path: Path
) -> None:
    file = written(signed(packed, keys), tmp_path / "b.zip")
    assert bring(file, there, keys.public).signature == "confirmed"
    place = there / "bundles" / packed.bundle_id
    assert {file.name for file in place.iterdir()} == packed.files.keys(), "the signature stays outside"


def test_a_signature_that_nobody_asked_for_is_said_not_to_be_looked_at(
    packed: Packed, there: Path, tmp_path: Path
) -> None:
    file = written(replace(packed, signature=b"anything"), tmp_path / "b.zip")
    assert bring(file, there, dry_run=True).signature == "not looked at"


def test_where_a_key_is_asked_for_no_other_bundle_comes_in(
    packed: Packed, keys: KeyPair, models: Path, there: Path, tmp_path: Path
) -> None:
    foreign = write_keys(tmp_path, "foreign")
    twin = gather(add_twin(models))
    ours = signed(packed, keys)
    for hostile in (
        packed,
        signed(packed, foreign),
        replace(twin, signature=ours.signature),
        replace(ours, signature=b""),
        replace(ours, files={name: one for name, one in ours.files.items() if name != MANIFEST_FILE}),
    ):
        with pytest.raises(BundleRefused, match="signature: "):
            bring(written(hostile, tmp_path / "b.zip"), there, keys.public)
    with pytest.raises(WrongUse, match="a file with a key"):
        bring(written(ours, tmp_path / "b.zip"), there, tmp_path / "lost.pem")
    assert not there.exists()


def test_a_signed_manifest_does_not_cover_up_for_other_files(
    packed: Packed, keys: KeyPair, there: Path, tmp_path: Path
) -> None:
    ours = signed(packed, keys)
    changed = replace(ours, files={**ours.files, "lgb_h5.txt": b"tree"})
    with pytest.raises(BundleRefused, match=r"lgb_h5\.txt"):
        bring(written(changed, tmp_path / "b.zip"), there, keys.public)
    assert_untouched(there)


# --- disks and kills


def test_a_full_disk_is_wrong_use_and_leaves_nothing(carried: Path, there: Path) -> None:
    with largest_file(100_000), pytest.raises(WrongUse, match="make room"):
        bring(carried, there)
    assert_untouched(there)
    assert bring(carried, there).became == "champion"


def test_a_folder_that_can_not_be_made_is_wrong_use(carried: Path, tmp_path: Path) -> None:
    (tmp_path / "a-file").touch()
    with pytest.raises(WrongUse, match="correct the path"):
        bring(carried, tmp_path / "a-file" / "models")


def test_what_a_killed_run_left_behind_is_swept_away(carried: Path, there: Path) -> None:
    left = there / "drafts" / "20250101T000000Z-0123456789ab"
    left.mkdir(parents=True)
    (left / "lgb_h5.txt").write_text("half a mod")
    bring(carried, there)
    assert list((there / "drafts").iterdir()) == []


def test_killed_at_any_step_it_is_whole_or_not_there_and_the_next_run_completes_it(
    carried: Path, packed: Packed, tmp_path: Path
) -> None:
    """The child counts what it changes on disk and kills itself before the n-th change."""
    command = [sys.executable, "-m", "tests.support.installing_child", str(carried), str(tmp_path)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)
    n_killed = int(ended.stdout)
    assert n_killed > 2 * len(packed.files), "each file is made, and there is more than files"
    n_loadable = 0
    for number in range(n_killed):
        models = tmp_path / f"killed-{number}"
        pointer = Registry(models).champion()
        for place in models.glob("bundles/*"):
            assert gather(place) == packed
            n_loadable += 1
        assert pointer is None or Registry(models).bundle_folder(pointer)
    assert 0 < n_loadable < n_killed
    for number in (0, n_killed // 2, n_killed - 3, n_killed - 2, n_killed - 1):
        models = tmp_path / f"killed-{number}"
        bring(carried, models)
        champion = Registry(models).champion()
        assert champion is not None
        assert champion.bundle_id == packed.bundle_id
        assert list((models / "drafts").iterdir()) == []
