"""What does a file of changed limits say, when only what is meant for sure is believed?

TOML: one line a limit, tables for what belongs together. A name that nobody knows, a value of another
type and what is no number are refused: a limit that was meant to be strict must not be left at its
default.
"""

from __future__ import annotations

import difflib
import math
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from shadow.errors import ShadowgateError

DEFAULT_FILE = Path("limits.toml")
_MAX_BYTES = 65_536
_Limits = TypeVar("_Limits", bound=msgspec.Struct)


class LimitsRefused(ShadowgateError):
    """A file of limits can not be read, or says something that is no limit."""


class LimitsFile(NamedTuple):
    """What a file says, and where it lies."""

    place: Path
    text: str
    tables: dict[str, Any]


def read_limits_file(path: Path | None) -> LimitsFile:
    """The file and its tables, none where it is not there.

    Without a `path` it is `limits.toml` of the working directory. Raises LimitsRefused.
    """
    place = path or DEFAULT_FILE
    try:
        with open(place, "rb") as file:
            content = file.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise LimitsRefused(f"at most {_MAX_BYTES} bytes in {place}", "more", "name another file")
        text = content.decode()
        return LimitsFile(place, text, tomllib.loads(text))
    except FileNotFoundError as error:
        if path is None:
            return LimitsFile(place, "", {})
        raise LimitsRefused(f"a file of limits at {path}", "none there", "name another") from error
    except (OSError, ValueError) as error:  # UnicodeDecodeError and TOMLDecodeError are such
        raise LimitsRefused(f"limits in TOML in {place}", f"{error}", "mend that line") from error


def changed_by(defaults: _Limits, table: object, file: LimitsFile, prefix: str = "") -> _Limits:
    """`defaults` with the values of `table`; a table within it changes the entries that it names.

    `prefix` is the name of the table itself, with a dot. Raises LimitsRefused with the name, and the
    line where it can be found.
    """
    if not isinstance(table, dict):
        raise LimitsRefused(
            f"a table [{prefix.rstrip('.')}] in {file.place}", repr(table), "make it one"
        )
    fields = {field.name: field.type for field in msgspec.structs.fields(type(defaults))}
    changes: dict[str, Any] = {}
    for name, value in table.items():
        where = f"{prefix}{name} in {file.place}{_line_of(name, file.text)}"
        if name not in fields:
            near = difflib.get_close_matches(name, fields, n=1) or sorted(fields)
            raise LimitsRefused("a limit that there is", where, f"did you mean {', '.join(near)}?")
        default = getattr(defaults, name)
        if isinstance(default, msgspec.Struct):
            changes[name] = changed_by(default, value, file, f"{prefix}{name}.")
            continue
        try:
            found = msgspec.convert(value, fields[name])
        except msgspec.ValidationError as error:
            was = f"{value!r}: {error}"
            raise LimitsRefused(f"another value of {where}", was, "mend it") from error
        if not all(map(math.isfinite, found.values() if isinstance(found, dict) else [found])):
            raise LimitsRefused(f"a finite value of {where}", value, "write a number")
        changes[name] = {**default, **found} if isinstance(found, dict) else found
    return msgspec.structs.replace(defaults, **changes)


def changed_limits(
    limits: msgspec.Struct, defaults: msgspec.Struct, prefix: str = ""
) -> dict[str, str]:
    """Each limit that is not as by default, in words: {"stack_auc": "0.55 instead of 0.58"}."""
    said: dict[str, str] = {}
    for field in msgspec.structs.fields(type(limits)):
        own, default = getattr(limits, field.name), getattr(defaults, field.name)
        name = f"{prefix}{field.name}"
        if isinstance(own, msgspec.Struct):
            said |= changed_limits(own, default, f"{name}.")
        elif isinstance(own, Mapping):
            for key in dict.fromkeys([*default, *own]):
                said |= _changed(f"{name}.{key}", own.get(key), default.get(key))
        else:
            said |= _changed(name, own, default)
    return said


def _changed(name: str, own: float | None, default: float | None) -> dict[str, str]:
    if own == default:
        return {}
    return {
        name: " instead of ".join("none" if one is None else f"{one:,.10g}" for one in (own, default))
    }


def _line_of(name: str, text: str) -> str:
    """ ", line 3" where the name begins a line of the file or of a table's head."""
    pattern = re.compile(rf"\s*(\[[\w.]*)?[\"']?{re.escape(name)}\b")
    lines = enumerate(text.splitlines(), start=1)
    numbers = [number for number, line in lines if pattern.match(line)]
    return f", line {numbers[0]}" if len(numbers) == 1 else ""
