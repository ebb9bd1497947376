"""How does a bundle become one file that another host can take apart without trusting it?

The file is a zip archive that stores and never compresses, so that `unzip -l` shows what is in it. It
has one form only: members in the order of their names, one date, one mode, nothing before, between or
behind them. Whoever reads one takes names and contents out of it, writes the archive anew from these
and compares: what differs in a single byte was not written here. So neither the format nor a library
that takes all its variants has to be trusted.

Layouts and numbers: PKWARE, APPNOTE.TXT 6.3, sections 4.3.7, 4.3.12 and 4.3.16.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from plugin.bundle import verify_bundle
from plugin.durable import replace_file
from plugin.errors import BundleRefused, WrongUse
from plugin.manifest import MANIFEST_FILE, MANIFEST_HASH_FILE, Manifest

MOST_BYTES = 512 * 2**20
MOST_MEMBERS = 256
_MOST_NAME_BYTES = 160
_MEMBER = re.compile(
    r"(?P<bundle>[0-9]{8}T[0-9]{6}Z-[0-9a-f]{12})(/(?P<file>[A-Za-z0-9_][A-Za-z0-9_.-]*)|\.sig)"
)
_VERSION, _FLAGS, _STORED = 20, 0, 0
_TIME, _DATE = 0, 1 << 5 | 1  # midnight of 1980-01-01, the first date that the format has
_MADE_ON_UNIX = 3 << 8
_MODE = (stat.S_IFREG | 0o600) << 16
_LOCAL = struct.Struct("<4s5H3I2H")
_ENTRY = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")


@dataclass(frozen=True)
class Packed:
    """What lies in a packed file: the files of one bundle by their names, and a signature or None."""

    bundle_id: str
    files: Mapping[str, bytes]
    signature: bytes | None = None

    def encode(self) -> bytes:
        """The packed file: the same bytes for the same content, on every host."""
        members = {f"{self.bundle_id}/{name}": content for name, content in self.files.items()}
        if self.signature is not None:
            members[f"{self.bundle_id}.sig"] = self.signature
        return b"".join(_archive(members))


def gather(folder: Path) -> Packed:
    """Verify the bundle in `folder` and take all its files into memory.

    Raises WrongUse where there is no folder, BundleRefused where it is not an intact bundle.
    """
    manifest, files = verify_bundle(folder)
    text = (folder / MANIFEST_FILE).read_bytes()
    if msgspec.json.decode(text, type=Manifest) != manifest:
        raise BundleRefused(MANIFEST_FILE, "the manifest that was verified", "changed meanwhile")
    hash_line = f"{hashlib.sha256(text).hexdigest()}  {MANIFEST_FILE}\n".encode()
    return Packed(manifest.bundle_id, {**files, MANIFEST_FILE: text, MANIFEST_HASH_FILE: hash_line})


def write_packed(packed: Packed, path: Path) -> str:
    """Put the packed file at `path`, whole or not at all, mode 0600, and read it back; its sha256.

    Raises WrongUse where it can not be written, BundleRefused where something else is read back.
    """
    content = packed.encode()
    if path.is_dir():
        raise WrongUse("a file to write", f"{path}, a folder", "name the file itself")
    _decode(content, packed.bundle_id)  # a name that no host would take is found before it travels
    try:
        replace_file(path, content)
    except OSError as error:
        path.with_name(f".{path.name}.tmp").unlink(missing_ok=True)
        remedy = "make room, or name another file with --out"
        raise WrongUse(f"to write {path}", error.strerror or str(error), remedy) from error
    if read_packed(path) != packed:
        raise BundleRefused(str(path), "the bytes that were written", "others when read back")
    return hashlib.sha256(content).hexdigest()


def read_packed(path: Path) -> Packed:
    """Take a packed file apart: its form is checked to the last bit, and no content is parsed.

    Raises WrongUse where there is no such file, BundleRefused for one that `pack` did not write.
    """
    try:
        with open(path, "rb", opener=_open_without_waiting) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise WrongUse("a packed bundle", f"{path}, no regular file", "name the file itself")
            if status.st_size > MOST_BYTES:
                raise BundleRefused(str(path), f"at most {MOST_BYTES:,} bytes", f"{status.st_size:,}")
            content = file.read(status.st_size)
    except OSError as error:
        remedy = "name a file that `python -m training pack` wrote"
        raise WrongUse("a packed bundle", f"{path}: {error.strerror}", remedy) from error
    return _decode(content, str(path))


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # a FIFO would be waited for, perhaps for ever


def _decode(content: bytes, path: str) -> Packed:
    members = _members(content, path)
    bundles = {_parts(name, path)[0] for name in members}
    if len(bundles) != 1:
        raise BundleRefused(path, "files of one bundle", f"of {len(bundles)}")
    _require_our_form(members, content, path)
    [bundle_id] = bundles
    signature = members.pop(f"{bundle_id}.sig", None)
    return Packed(bundle_id, {_parts(name, path)[1]: one for name, one in members.items()}, signature)


def _members(content: bytes, path: str) -> dict[str, bytes]:
    """Names and contents as the directory at the end tells them, which may still be a lie."""
    broken = BundleRefused(path, "a whole packed bundle", "a part of one, or another kind of file")
    if content[-_END.size :][:4] != b"PK\x05\x06" or len(content) < _END.size:
        raise broken
    _, _, _, _, n_members, _, position, _ = _END.unpack(content[-_END.size :])
    if n_members > MOST_MEMBERS:
        raise BundleRefused(path, f"at most {MOST_MEMBERS} files in it", n_members)
    members: dict[str, bytes] = {}
    n_left = len(content)  # members that lie over one another could fill the memory
    for _ in range(n_members):
        if position + _ENTRY.size > len(content):
            raise broken
        entry = _ENTRY.unpack_from(content, position)
        n_bytes, n_name, local = entry[9], entry[10], entry[16]
        name = _name(content[position + _ENTRY.size :][:n_name], path)
        if name in members:
            raise BundleRefused(path, "each name once", f"{name} twice")
        n_left -= n_bytes
        start = local + _LOCAL.size + n_name
        if n_left < 0 or start + n_bytes > len(content):
            raise broken
        members[name] = content[start : start + n_bytes]
        position += _ENTRY.size + n_name
    return members


def _name(raw: bytes, path: str) -> str:
    if len(raw) > _MOST_NAME_BYTES or not raw.isascii():
        raise BundleRefused(path, f"plain names of at most {_MOST_NAME_BYTES} bytes", repr(raw[:40]))
    name = raw.decode("ascii")
    _parts(name, path)
    return name


def _parts(name: str, path: str) -> tuple[str, str]:
    """The bundle's id and the name of the file below it, "" for the signature."""
    match = _MEMBER.fullmatch(name)
    if match is None:
        raise BundleRefused(path, "only <bundle id>/<plain name> and <bundle id>.sig", repr(name))
    return match["bundle"], match["file"] or ""


def _require_our_form(members: Mapping[str, bytes], content: bytes, path: str) -> None:
    position = 0
    for part in _archive(members):
        if content[position : position + len(part)] != part:
            raise BundleRefused(path, "only what `pack` writes", f"other bytes from {position:,} on")
        position += len(part)
    # Of two archives in a row, the end of the second points into the first.
    if position != len(content):
        raise BundleRefused(path, f"{position:,} bytes", f"{len(content):,}")


def _archive(members: Mapping[str, bytes]) -> Iterator[bytes]:
    """The one archive of these members, part by part."""
    directory = []
    position = 0
    for name, content in sorted(members.items()):
        raw = name.encode("ascii")
        common = (_VERSION, _FLAGS, _STORED, _TIME, _DATE, zlib.crc32(content))
        sizes = (len(content), len(content), len(raw), 0)
        place = (0, 0, 0, _MODE, position)
        directory.append(
            _ENTRY.pack(b"PK\x01\x02", _MADE_ON_UNIX | _VERSION, *common, *sizes, *place) + raw
        )
        yield _LOCAL.pack(b"PK\x03\x04", *common, *sizes) + raw
        yield content
        position += _LOCAL.size + len(raw) + len(content)
    yield from directory
    n_members, n_bytes = len(directory), sum(map(len, directory))
    yield _END.pack(b"PK\x05\x06", 0, 0, n_members, n_members, n_bytes, position, 0)
