"""An archive that another program made is refused, whatever it holds.

zipfile, told so, writes the very bytes that we write. So each of the hostile archives here is wrong in
what it is named for and in nothing else.
"""

import io
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from plugin.errors import BundleRefused
from training.packing import Packed, read_packed

ID = "20260102T030405Z-0123456789ab"
FILES = {"manifest.json": b"{}\n", "lgb_h5.txt": b"tree\n" * 9, "empty.bin": b""}
ENCODED = Packed(ID, FILES).encode()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bundle.zip"


def refused(path: Path, content: bytes, why: str | None = None) -> None:
    path.write_bytes(content)
    with pytest.raises(BundleRefused, match=why):
        read_packed(path)


Change = Callable[[zipfile.ZipInfo], None]


def unchanged(_: zipfile.ZipInfo) -> None:
    pass


def zipped(change: Change = unchanged, *, comment: bytes = b"", twice: bool = False) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.comment = comment
        for name, content in sorted(FILES.items()):
            entry = zipfile.ZipInfo(f"{ID}/{name}")
            entry.create_system = 3
            entry.external_attr = (stat.S_IFREG | 0o600) << 16
            if name == "lgb_h5.txt":
                change(entry)
            archive.writestr(entry, content)
        if twice:
            with pytest.warns(UserWarning, match="Duplicate name"):
                archive.writestr(entry, content)
    return buffer.getvalue()


def test_zipfile_told_the_same_writes_the_same() -> None:
    assert zipped() == Packed(ID, FILES).encode()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("compress_type", zipfile.ZIP_DEFLATED),
        ("compress_type", zipfile.ZIP_LZMA),
        ("external_attr", (stat.S_IFLNK | 0o777) << 16),
        ("external_attr", (stat.S_IFDIR | 0o700) << 16 | 0x10),
        ("external_attr", (stat.S_IFIFO | 0o600) << 16),
        ("external_attr", (stat.S_IFREG | 0o4755) << 16),
        ("create_system", 0),
        ("create_version", 45),
        ("date_time", (2026, 1, 2, 3, 4, 4)),
        ("comment", b"look here"),
        ("extra", struct.pack("<2H4s", 0x5455, 4, b"time")),
        ("internal_attr", 1),
    ],
)
def test_any_other_property_of_a_member_is_refused(path: Path, field: str, value: object) -> None:
    refused(path, zipped(lambda entry: setattr(entry, field, value)))


def patched(archive: bytes, header: bytes, offset: int, field: bytes) -> bytes:
    """The archive with another field in the first of these headers."""
    at = archive.index(header) + offset
    return archive[:at] + field + archive[at + len(field) :]


def glued(front: bytes, archive: bytes) -> bytes:
    """The archive behind something else, its offsets made right: whole, for any reader of zip files."""
    buffer = io.BytesIO(front)
    buffer.seek(0, io.SEEK_END)
    with (
        zipfile.ZipFile(io.BytesIO(archive)) as source,
        zipfile.ZipFile(buffer, "a") as target,
    ):
        for entry in source.infolist():
            target.writestr(entry, source.read(entry))
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(zipped(comment=b"a comment"), id="a comment"),
        pytest.param(b"#!/bin/sh\n" + zipped(), id="something before it"),
        pytest.param(glued(b"#!/bin/sh\n", zipped()), id="something before it, offsets right"),
        pytest.param(zipped() + b"\n", id="something behind it"),
        pytest.param(zipped() + zipped(), id="another archive behind it"),
        pytest.param(zipped() + Packed(ID, {"a": b"x"}).encode(), id="a smaller one behind it"),
        pytest.param(patched(zipped(), b"PK\x01\x02", 8, b"\x01\x00"), id="said to be encrypted"),
        pytest.param(patched(zipped(), b"PK\x03\x04", 6, b"\x01\x00"), id="encrypted in its header"),
        pytest.param(patched(zipped(), b"PK\x03\x04", 8, b"\x08\x00"), id="deflated in its header"),
        pytest.param(patched(zipped(), b"PK\x03\x04", 14, b"\x01"), id="another checksum"),
        pytest.param(patched(zipped(), b"PK\x01\x02", 24, b"\xff" * 4), id="a size of 4 GiB"),
        pytest.param(patched(zipped(), b"PK\x01\x02", 20, b"\x01\x00"), id="sizes that differ"),
        pytest.param(patched(zipped(), b"PK\x03\x04", 30, b"3"), id="another name in its header"),
        pytest.param(patched(zipped(), b"PK\x05\x06", 4, b"\x01\x00"), id="a second disk"),
        pytest.param(patched(zipped(), b"PK\x05\x06", 8, b"\x02\x00"), id="fewer files on this disk"),
        pytest.param(patched(zipped(), b"PK\x05\x06", 10, b"\x02\x00"), id="fewer files"),
        pytest.param(patched(zipped(), b"PK\x05\x06", 10, b"\x04\x00"), id="more files"),
        pytest.param(patched(zipped(), b"PK\x05\x06", 16, b"\xff" * 4), id="a directory of zip64"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"PK\x05\x06" + bytes(18), id="no file"),
        pytest.param(b"PK\x05\x06", id="the beginning of an end"),
        pytest.param(bytes(10_000), id="zeros"),
    ],
)
def test_an_archive_by_another_hand_is_refused(path: Path, content: bytes) -> None:
    refused(path, content)


def test_a_name_twice_is_refused(path: Path) -> None:
    refused(path, zipped(twice=True), "each name once")


def test_a_gap_between_members_is_refused(path: Path) -> None:
    at = ENCODED.rindex(b"PK\x01\x02")  # the last member's entry; its content is moved on by a byte
    last = struct.unpack_from("<I", ENCODED, at + 42)[0]
    start = struct.unpack_from("<I", ENCODED, len(ENCODED) - 6)[0]
    moved = bytearray(ENCODED[:last] + b"!" + ENCODED[last:])
    struct.pack_into("<I", moved, at + 1 + 42, last + 1)
    struct.pack_into("<I", moved, len(moved) - 6, start + 1)
    with zipfile.ZipFile(io.BytesIO(moved)) as archive:
        assert archive.testzip() is None, "whole, for any reader of zip files"
    refused(path, moved, "only what `pack` writes")


def test_a_bomb_is_refused_at_the_size_of_its_file(path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{ID}/a", bytes(50_000_000))
    assert len(buffer.getvalue()) < 60_000
    refused(path, buffer.getvalue())
