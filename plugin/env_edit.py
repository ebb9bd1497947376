"""How does one flag in `.env` change, and nothing else, whole or not at all?

Comments, other lines, their order, the mode and the owner of the file stay. What would not be
understood afterwards is not written.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from plugin.durable import locked, sync_folder
from plugin.env_file import MAX_BYTES, parse_env, read_env_file
from plugin.errors import WrongUse
from plugin.settings import check_flag, settings_from

_NEW_MODE = 0o600


def set_flag(path: Path, key: str, text: str) -> tuple[str | None, bool]:
    """Give the flag `key` the value `text` in the file at `path`, which is made where there is none.

    What stood there before, None for nothing, and whether the file was written. Raises WrongUse, and
    leaves the file as it is, for an unknown flag, a value that it does not take, a file that would not
    be understood, a symbolic link and whatever is no plain file.
    """
    check_flag(key, text, "the command line")
    with locked(path.parent):
        before = read_env_file(path)
        after = _edited(before, key, text)
        entries = parse_env(after, path)
        if entries[key].text != text:
            raise WrongUse(f"a value of {key} that a line can hold", repr(text), "choose another one")
        settings_from(after, path, {})
        if len(after) > MAX_BYTES:
            raise WrongUse(f"at most {MAX_BYTES} bytes in {path}", len(after), "shorten it")
        if after == before:
            return text, False
        was = _was(before, path, key)
        try:
            _replace(path, after)
        except OSError as error:
            reason = error.strerror or str(error)
            remedy = "run this as the owner of the file"
            raise WrongUse(f"to write {path}", reason, remedy) from error
    return was, True


def _was(content: bytes, path: Path, key: str) -> str | None:
    try:
        entry = parse_env(content, path).get(key)
    except WrongUse:
        return None  # the file is being repaired
    return entry.text if entry else None


def _edited(content: bytes, key: str, text: str) -> bytes:
    """The same bytes with the line of the flag replaced, or one more at the end."""
    line = f"{key}={_quoted(text)}\n".encode()
    if content and not content.endswith(b"\n"):
        content += b"\n"
    of_key = re.compile(rb"^%s=[^\n]*\n" % key.encode(), re.MULTILINE)
    edited, n_found = of_key.subn(lambda _: line, content, count=1)
    return edited if n_found else content + line


def _quoted(text: str) -> str:
    plain = re.fullmatch(r"[^\s$`\\'\"#]*", text)
    return text if plain else f"'{text}'"


def _replace(path: Path, content: bytes) -> None:
    """Readers see the old file or the new one. Raises OSError, and then the old one is there still."""
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)  # of one who was killed: the folder is locked
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(draft, flags, _NEW_MODE)
    try:
        with open(descriptor, "wb") as file:
            _take_over_owner_and_mode(path, descriptor)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def _take_over_owner_and_mode(path: Path, descriptor: int) -> None:
    """A file that its reader may not read any more would turn everything off at its next start."""
    try:
        old = path.lstat()
    except FileNotFoundError:
        return
    new = os.fstat(descriptor)
    if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
        os.fchown(descriptor, old.st_uid, old.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(old.st_mode))
