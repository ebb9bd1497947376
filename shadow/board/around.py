"""What do the files around the log say: who serves, who is appointed, and who was before?

They are written by other packages, and may be missing, half written, of another version or forged: what
can not be understood is said and never raised.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from shadow.board.last_lines import read_end
from shadow.errors import NOT_JSON
from shadow.process import began_ticks
from shadow.texts import plain

_MAX_BYTES = 65_536
_MAX_MOVES = 30
_ROLES = ("champion", "challenger")
_MAX_PID = 2**31 - 1


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """The live process as it tells of itself; `trouble` is why little is known.

    `champion` and `challenger` are the bundles in service, `refusals` why it is not those appointed.
    """

    alive: bool
    pid: int | None = None
    started: str | None = None
    champion: str | None = None
    challenger: str | None = None
    refusals: dict[str, str] = {}
    trouble: str | None = None


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """One move of a pointer; what was not told is empty."""

    at: str
    kind: str
    role: str
    bundle_id: str
    replaced: str
    who: str
    why: str


class Roles(msgspec.Struct, frozen=True):
    """The bundles that are appointed by role, None where there is none; what can not be read."""

    appointed: dict[str, str | None]
    troubles: list[str]


def read_process(run: Path) -> Process:
    """Whether a process serves, and what."""
    state, trouble = _object(run / "serving.json")
    if state is None:
        return Process(alive=False, trouble=trouble or "no process says that it serves")
    if not _lives(state.get("pid"), state.get("began_ticks")):
        return Process(alive=False, trouble="the process that served last has ended")
    told = {role: one for role in _ROLES if isinstance(one := state.get(role), dict)}
    return Process(
        alive=True,
        pid=state["pid"],
        started=_text(state.get("started")),
        refusals={role: _told(one["refusal"]) for role, one in told.items() if one.get("refusal")},
        **{role: _text(one.get("bundle")) for role, one in told.items()},
    )


def _lives(pid: object, ticks: object) -> bool:
    if not isinstance(pid, int) or not isinstance(ticks, int) or not 0 < pid <= _MAX_PID:
        return False
    return began_ticks(pid) == ticks


def read_roles(models: Path) -> Roles:
    """Who is appointed. A pointer that can not be read is a trouble: it is not "nobody"."""
    appointed, troubles = {}, []
    for role in _ROLES:
        pointer, trouble = _object(models / role)
        appointed[role] = None if pointer is None else _text(pointer.get("bundle_id"))
        if trouble is not None:
            troubles.append(f"pointer {trouble}")
    return Roles(appointed, troubles)


def read_moves(models: Path) -> tuple[list[Move], list[str]]:
    """The newest moves of a pointer, newest first; what is wrong with the end of the history."""
    try:
        content, is_whole = read_end(models / "history.jsonl", _MAX_BYTES)
    except FileNotFoundError:
        return [], []
    except OSError as error:
        return [], [f"history.jsonl: {error.strerror}"]
    lines = content.split(b"\n")[0 if is_whole else 1 :]
    moves = [_move(line) for line in reversed(lines) if line][:_MAX_MOVES]
    n_broken = moves.count(None)
    troubles = [f"history.jsonl: {n_broken} lines can not be read"] if n_broken else []
    return [move for move in moves if move is not None], troubles


def _move(line: bytes) -> Move | None:
    try:
        told = msgspec.json.decode(line, type=dict[str, Any])
    except NOT_JSON:
        return None
    return Move(**{name: _told(told.get(name)) for name in Move.__struct_fields__})


def _object(path: Path) -> tuple[dict[str, Any] | None, str | None]:
    """The JSON object of a small file, and why there is none; neither where there is no file."""
    try:
        content, _ = read_end(path, _MAX_BYTES)
        return msgspec.json.decode(content, type=dict[str, Any]), None
    except FileNotFoundError:
        return None, None
    except OSError as error:
        return None, f"{path.name}: {error.strerror}"
    except NOT_JSON:
        return None, f"{path.name} can not be understood"


def _told(value: object) -> str:
    if value is None:
        return ""
    return plain(value if isinstance(value, str) else msgspec.json.encode(value).decode())


def _text(value: object) -> str | None:
    return plain(value) if isinstance(value, str) else None
