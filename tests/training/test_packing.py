"""A packed bundle has one form; whatever differs from it in a byte is refused."""

import io
import os
import stat
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin.errors import BundleRefused, ShadowgateError, WrongUse
from tests.support.bundles import flip_byte
from tests.support.full_disk import largest_file
from tests.support.small_training import SmallTraining
from training import packing
from training.packing import MOST_BYTES, MOST_MEMBERS, Packed, gather, read_packed, write_packed

ID = "20260102T030405Z-0123456789ab"
OTHER_ID = "20260102T030406Z-0123456789ab"
FILES = {"manifest.json": b"{}\n", "lgb_h5.txt": b"tree\n" * 9, "empty.bin": b""}
PACKED = Packed(ID, FILES, signature=b"s" * 64)
ENCODED = PACKED.encode()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bundle.zip"


def refused(path: Path, content: bytes, why: str | None = None) -> None:
    path.write_bytes(content)
    with pytest.raises(BundleRefused, match=why):
        read_packed(path)


# --- what is written


def test_what_is_packed_is_read_back_equal(path: Path) -> None:
    for packed in (PACKED, replace(PACKED, signature=None), Packed(ID, {"a": b"\x00PK\x05\x06"})):
        write_packed(packed, path)
        assert read_packed(path) == packed


def test_the_order_in_which_files_are_named_does_not_matter() -> None:
    backwards = dict(reversed(FILES.items()))
    assert Packed(ID, backwards, PACKED.signature).encode() == ENCODED


def test_others_can_read_the_archive_and_find_nothing_but_the_files() -> None:
    with zipfile.ZipFile(io.BytesIO(ENCODED)) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == {
            f"{ID}.sig": b"s" * 64,
            **{f"{ID}/{name}": content for name, content in FILES.items()},
        }
        assert {stat.S_IMODE(one.external_attr >> 16) for one in archive.infolist()} == {0o600}


def test_a_packed_file_is_for_its_owner_alone_and_leaves_no_draft(path: Path) -> None:
    write_packed(PACKED, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_a_name_that_would_be_refused_elsewhere_is_refused_before_it_is_written(path: Path) -> None:
    with pytest.raises(BundleRefused, match="plain name"):
        write_packed(Packed(ID, {"lgb h5.txt": b""}), path)
    assert list(path.parent.iterdir()) == []


def test_a_full_disk_leaves_the_file_before_and_no_draft(path: Path) -> None:
    write_packed(PACKED, path)
    with largest_file(100_000), pytest.raises(WrongUse, match="make room"):
        write_packed(Packed(ID, {"a": bytes(100_001)}), path)
    assert read_packed(path) == PACKED
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("place", [".", "..", "no-folder/bundle.zip"])
def test_a_place_where_nothing_can_be_written_is_wrong_use(tmp_path: Path, place: str) -> None:
    with pytest.raises(WrongUse):
        write_packed(PACKED, tmp_path / place)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_gives_back_other_bytes_is_noticed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lossy(path: Path, _: bytes) -> None:
        path.write_bytes(Packed(ID, {"a": b""}).encode())

    monkeypatch.setattr(packing, "replace_file", lossy)
    with pytest.raises(BundleRefused, match="others when read back"):
        write_packed(PACKED, path)


# --- a bundle


def test_a_bundle_is_packed_with_all_its_files_and_twice_with_the_same_bytes(
    small_training: SmallTraining, tmp_path: Path
) -> None:
    bundle = small_training.outcome.bundle
    packed = gather(bundle)
    assert packed.bundle_id == bundle.name
    assert packed.files == {file.name: file.read_bytes() for file in bundle.iterdir()}
    hashes = {write_packed(gather(bundle), tmp_path / name) for name in ("a.zip", "b.zip")}
    assert len(hashes) == 1
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_a_damaged_bundle_is_not_packed(models: Path) -> None:
    [bundle] = (models / "bundles").iterdir()
    flip_byte(bundle / "lgb_h5.txt", 1_000)
    with pytest.raises(BundleRefused, match=r"lgb_h5\.txt"):
        gather(bundle)


# --- what is refused


def test_every_single_byte_counts() -> None:
    for position in range(len(ENCODED)):
        for bits in (0x01, 0x80, 0xFF):
            changed = bytearray(ENCODED)
            changed[position] ^= bits
            with pytest.raises(BundleRefused):
                packing._decode(bytes(changed), "a file")


def test_every_cut_is_noticed() -> None:
    for n_bytes in range(len(ENCODED)):
        for part in (ENCODED[:n_bytes], ENCODED[n_bytes + 1 :]):
            with pytest.raises(BundleRefused):
                packing._decode(part, "a file")


def archive_of(*names: str) -> bytes:
    """An archive of the one form, so that only a name in it can be wrong."""
    return b"".join(packing._archive(dict.fromkeys(names, b"x")))


def test_plain_names_below_one_bundle_are_taken(path: Path) -> None:
    path.write_bytes(archive_of(f"{ID}/a", f"{ID}/_b-C.0.txt", f"{ID}.sig"))
    assert read_packed(path) == Packed(ID, {"a": b"x", "_b-C.0.txt": b"x"}, b"x")


@pytest.mark.parametrize(
    "name",
    [
        "../a",
        f"../{ID}/a",
        f"{ID}/../a",
        f"{ID}/..",
        f"{ID}/.",
        f"{ID}/.a",
        f"{ID}/b/a",
        f"{ID}//a",
        f"{ID}/",
        ID,
        "/a",
        f"/{ID}/a",
        f"./{ID}/a",
        f"{ID}\\a",
        f"{ID}/..\\a",
        f"C:{ID}/a",
        f"{ID}/C:a",
        f"{ID}/a\0.txt",
        f"{ID}/a\n",
        f"{ID}/\x1b[2J",
        f"{ID}/a b",
        f"{ID}/-a",
        f"{ID}/~",
        "a",
        "",
        "bundle/a",
        f"{ID.lower()}/a",
        f"{ID}0/a",
        f"{ID}.sig/a",
        f"{ID}/a.sig/b",
        f"{ID}.SIG",
        f"{ID}/" + "a" * 160,
    ],
)
def test_any_other_name_is_refused(path: Path, name: str) -> None:
    refused(path, archive_of(f"{ID}/manifest.json", name), "plain name")


def test_a_name_in_other_letters_is_refused(path: Path) -> None:
    for letters in (b"\xc3\xa9", b"\xff\xfe"):
        refused(path, archive_of(f"{ID}/xx").replace(b"xx", letters), "plain name")


@pytest.mark.parametrize("names", [(f"{ID}/a", f"{OTHER_ID}/a"), (f"{ID}/a", f"{OTHER_ID}.sig"), ()])
def test_files_of_another_bundle_or_of_none_are_refused(path: Path, names: tuple[str, ...]) -> None:
    refused(path, archive_of(*names), "files of one bundle")


def test_as_many_files_as_the_limit_and_no_more(path: Path) -> None:
    names = [f"{ID}/{number}" for number in range(MOST_MEMBERS + 1)]
    path.write_bytes(archive_of(*names[:-1]))
    assert len(read_packed(path).files) == MOST_MEMBERS
    refused(path, archive_of(*names), f"at most {MOST_MEMBERS} files")


def test_a_file_over_the_limit_is_refused_unread(path: Path) -> None:
    path.touch()
    os.truncate(path, MOST_BYTES + 1)
    with pytest.raises(BundleRefused, match="at most 536,870,912 bytes, was 536,870,913"):
        read_packed(path)


def test_members_that_lie_over_one_another_do_not_fill_the_memory(path: Path) -> None:
    body = bytes(1_000_000)
    overlapping = [(f"{ID}/{number}".encode(), len(body), 0) for number in range(200)]
    local = packing._LOCAL.pack(b"PK\x03\x04", 20, 0, 0, 0, 33, 0, len(body), len(body), 31, 0)
    directory = b"".join(
        packing._ENTRY.pack(
            *(b"PK\x01\x02", 788, 20, 0, 0, 0, 33, 0, size, size, len(name)),
            *(0, 0, 0, 0, packing._MODE, at),
        )
        + name
        for name, size, at in overlapping
    )
    front = local + overlapping[0][0] + body
    end = packing._END.pack(b"PK\x05\x06", 0, 0, 200, 200, len(directory), len(front), 0)
    refused(path, front + directory + end, "a whole packed bundle")


@given(st.binary(max_size=400))
def test_no_bytes_make_the_reader_stumble(content: bytes) -> None:
    for hostile in (content, content + ENCODED[-22:], ENCODED[:-22] + content):
        try:
            packed = packing._decode(hostile, "a file")
        except ShadowgateError:
            continue
        assert packed.encode() == hostile


@given(st.data())
def test_no_change_of_the_directory_makes_the_reader_stumble(data: st.DataObject) -> None:
    hostile = bytearray(ENCODED)
    start = ENCODED.index(b"PK\x01\x02")
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(start, len(hostile) - 4))
        field = data.draw(st.sampled_from([b"\x00\x00", b"\xff\xff", b"\xff" * 4, b"\x01\x00"]))
        hostile[at : at + len(field)] = field
    if bytes(hostile) != ENCODED:
        with pytest.raises(BundleRefused):
            packing._decode(bytes(hostile), "a file")


# --- what is no file


def test_a_file_that_is_not_there_is_wrong_use(path: Path) -> None:
    with pytest.raises(WrongUse, match="No such file"):
        read_packed(path)


def test_a_folder_and_a_fifo_are_wrong_use_and_nobody_waits(path: Path) -> None:
    os.mkfifo(path)
    for place in (path, path.parent):
        with pytest.raises(WrongUse):
            read_packed(place)
