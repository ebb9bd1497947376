"""What does a `.env` file say, when only what every reader would read alike is believed?

Shells, systemd and the dotenv libraries disagree about most unusual spellings. Here each of those
spellings is refused with its line number instead of being read in one of their ways. Lines of other
programs may stand in the same file: their values are neither looked at nor ever repeated in an error.
"""

from __future__ import annotations

import codecs
import errno
import os
import re
import stat
from pathlib import Path
from typing import NamedTuple

from plugin.errors import WrongUse

PREFIX = "ML_"
MAX_BYTES = 65_536
_ASSIGNMENT = re.compile(r"([A-Z_][A-Z0-9_]*)=(.*)")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")  # all but the tab and the line feed
_REFUSED_FILES = {
    errno.ELOOP: "a symbolic link",
    errno.EACCES: "not readable",
    errno.ENOTDIR: "under a path that is no folder",
}


class Entry(NamedTuple):
    """One assignment: the 1-based line that it stands on, and its value without the quotes."""

    line: int
    text: str


def read_env_file(path: Path) -> bytes:
    """The bytes of the file, and none for a missing file. Costs some microseconds; never waits.

    Raises WrongUse for a symbolic link, for anything but a plain file, and above MAX_BYTES.
    """
    try:
        # Without O_NONBLOCK the opening of a named pipe would wait for its writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise _unfit(path, _REFUSED_FILES.get(error.errno or 0, str(error))) from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise _unfit(path, "a folder, a pipe or a device")
        content = os.read(descriptor, MAX_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(content) > MAX_BYTES:
        raise _unfit(path, f"longer than {MAX_BYTES} bytes")
    return content


def parse_env(content: bytes, path: Path) -> dict[str, Entry]:
    """The assignments whose key starts with `ML_`; `path` is named in the errors only.

    Raises WrongUse with the line number at the first line that breaks the grammar of docs/settings.md.
    """
    entries: dict[str, Entry] = {}
    for number, line in enumerate(_lines(content, path), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _ASSIGNMENT.fullmatch(line)
        if match is None:
            was = "a line that starts with export" if line.startswith("export ") else "another line"
            raise _bad_line(path, number, "a comment or KEY=value with the key in capitals", was)
        key, text = match[1], _unquoted(match[1], match[2], path, number)
        if not key.startswith(PREFIX):
            continue
        if key in entries:
            raise _bad_line(
                path, number, "a flag not set yet", f"{key}, set on line {entries[key].line}"
            )
        entries[key] = Entry(number, text)
    return entries


def _lines(content: bytes, path: Path) -> list[str]:
    if content.startswith(codecs.BOM_UTF8):
        raise _bad_line(path, 1, "UTF-8 without a byte order mark", "a file with one")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _bad_line(path, line, "UTF-8", "a byte that is not") from error
    control = _CONTROL.search(text)
    if control:
        was = "a carriage return" if control[0] == "\r" else f"the character {ord(control[0]):#04x}"
        line = text.count("\n", 0, control.start()) + 1
        raise _bad_line(path, line, "text with plain line feeds", was)
    # Not splitlines(): it also splits at U+2028 and its like, and so would find lines inside a value.
    *lines, rest = text.split("\n")
    if rest:
        raise _bad_line(path, len(lines) + 1, "a line feed at the end", "a file that may be cut off")
    return lines


def _unquoted(key: str, raw: str, path: Path, line: int) -> str:
    quote = raw[:1] if raw[:1] in ("'", '"') else ""
    text = raw[1:-1] if quote else raw
    if quote and (len(raw) < 2 or raw[-1] != quote or quote in text):
        raise _bad_line(path, line, f"one {quote} at either end of the value of {key}", "other quotes")
    if not key.startswith(PREFIX):
        return text
    if quote != "'" and re.search(r"[$`\\]", text):
        raise _bad_line(path, line, f"{key} without $, ` and \\ outside single quotes", repr(text))
    if not quote and re.search(r"^\s|\s$|\s#|[\"']", text):
        raise _bad_line(path, line, f"{key} without outer spaces, comment or stray quote", repr(text))
    return text


def _unfit(path: Path, was: str) -> WrongUse:
    return WrongUse(f"a plain file of at most {MAX_BYTES} bytes at {path}", was, "put one there")


def _bad_line(path: Path, line: int, expected: str, was: str) -> WrongUse:
    return WrongUse(
        f"on line {line} of {path} {expected}", was, "correct the line; see docs/settings.md"
    )
