"""Which moves of the two pointers have there been, and who served before whom?

A line is written before its pointer moves. So the last line of a role may tell of a move that a power
cut prevented; the next line, which says whom it replaced, shows that it never happened.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Literal

import msgspec

from plugin.durable import append_line
from plugin.errors import NOT_JSON, BundleRefused
from shadow.files import set_tail_aside

Role = Literal["champion", "challenger"]
MoveKind = Literal["appointed", "promoted", "rolled back", "dismissed"]


class Pointer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A move of one of the two pointers; the newest one of a role is the pointer itself.

    `replaced` is who had the role before. A challenger that was dismissed leaves a pointer to nobody:
    `bundle_id` is None then. `report_sha256` is the hash of the gate report that stood at that time,
    None where there was none.
    """

    role: Role
    kind: MoveKind
    bundle_id: str | None
    manifest_sha256: str | None
    report_sha256: str | None
    replaced: str | None
    at: str
    who: str
    why: str


def read_history(path: Path) -> list[Pointer]:
    """All moves, oldest first; none where there is no file.

    A last line without its newline was torn off by a crash, and its move did not happen. Raises
    BundleRefused for damage anywhere else.
    """
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise BundleRefused(str(path), "a history that can be read", error.strerror) from error
    moves = []
    for number, line in enumerate(lines, start=1):
        try:
            moves.append(msgspec.json.decode(line, type=Pointer))
        except NOT_JSON as error:
            raise BundleRefused(str(path), f"a move of a pointer in line {number}", error) from error
    return moves


def append_move(path: Path, line: bytes) -> None:
    """Add a move, after a torn last line was set aside: it must not be glued to the new one."""
    if path.exists():
        set_tail_aside(path)
    append_line(path, line)


def line_of_champions(moves: Sequence[Pointer], champion: Pointer) -> list[Pointer]:
    """The appointments that a rollback walks back through: oldest first, `champion`'s own last.

    A rollback takes away whom it went back from, so that two of them go back further instead of to and
    fro.
    """
    line: list[Pointer] = []
    for move in _happened([move for move in moves if move.role == "champion"], champion):
        if move.kind == "rolled back":
            while line and line[-1].bundle_id != move.bundle_id:
                line.pop()
        if not line or line[-1].bundle_id != move.bundle_id:
            line.append(move)
    return line


def _happened(moves: Sequence[Pointer], champion: Pointer) -> list[Pointer]:
    """The moves of one role that came to pass, the last being `champion`, told or not."""
    told = [
        move
        for move, after in pairwise(moves)
        # A pointer that was damaged when it was replaced says nothing of who had the role.
        if after.replaced in (None, move.bundle_id)
    ]
    return [*told, champion]
