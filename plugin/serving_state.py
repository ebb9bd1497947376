"""What does the live process say of itself to those who ask from outside, and is it alive at all?

A small file beside the socket, replaced as a whole whenever it changes. It names the process by its id
and by the tick of the clock at which it began, so a later process of the same id is not taken for it.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import msgspec
import structlog

from plugin.durable import replace_file
from plugin.registry import Pointer, Role
from shadow.process import began_ticks

_log = structlog.get_logger()
STATE_FILE = "serving.json"


class RoleState(msgspec.Struct, frozen=True):
    """One role. `bundle` is in service; `refusal` says why it is not the one that `pointer` names.

    `pointer` is the one looked at last.
    """

    pointer: Pointer | None
    bundle: str | None
    refusal: str | None


class ServingState(msgspec.Struct, frozen=True, kw_only=True):
    """The live process. `n_reloads` counts how often it was asked to look again, and has looked."""

    pid: int
    began_ticks: int
    started: str
    n_reloads: int
    champion: RoleState
    challenger: RoleState

    def role(self, role: Role) -> RoleState:
        return self.champion if role == "champion" else self.challenger


class StateFile:
    """Writes the state of this process. What can not be written is logged once, never raised."""

    def __init__(self, folder: Path, started: str) -> None:
        self._folder = folder
        self._started = started
        self._written: ServingState | None = None
        self._complaint: str | None = None

    def keep(self, roles: dict[Role, RoleState], n_reloads: int) -> None:
        """Say what is in service; nothing is written where nothing changed."""
        pid = os.getpid()
        state = ServingState(
            pid=pid,
            began_ticks=began_ticks(pid) or 0,
            started=self._started,
            n_reloads=n_reloads,
            champion=roles["champion"],
            challenger=roles["challenger"],
        )
        if state == self._written:
            return
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            other = read_state(self._folder)
            if other is not None and other.pid != pid:
                self._complain(f"process {other.pid} keeps its own there")
                return
            replace_file(self._folder / STATE_FILE, msgspec.json.encode(state) + b"\n")
            self._written = state
        except OSError as error:
            self._complain(error.strerror or str(error))

    def remove(self) -> None:
        """Say nothing any more: the process ends."""
        if self._written is not None:
            (self._folder / STATE_FILE).unlink(missing_ok=True)

    def _complain(self, reason: str) -> None:
        if reason != self._complaint:
            _log.warning("state_not_kept", folder=str(self._folder), reason=reason)
        self._complaint = reason


def read_state(folder: Path) -> ServingState | None:
    """The state of the process that lives; None where none does, or none that can be understood."""
    try:
        state = msgspec.json.decode((folder / STATE_FILE).read_bytes(), type=ServingState)
    except (OSError, msgspec.MsgspecError):
        return None
    return state if began_ticks(state.pid) == state.began_ticks else None


def wake(state: ServingState) -> bool:
    """Ask the process to look at its pointers again; False where it has ended."""
    try:
        # A descriptor holds on to the process: its id can not pass to another one before the signal.
        process = os.pidfd_open(state.pid)
    except OSError:
        return False
    try:
        if began_ticks(state.pid) != state.began_ticks:
            return False
        signal.pidfd_send_signal(process, signal.SIGHUP)
    except ProcessLookupError:
        return False
    finally:
        os.close(process)
    return True
