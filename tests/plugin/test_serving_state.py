"""Who reads the state meets the process that lives, or nobody."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from plugin.registry import Role
from plugin.serving_state import STATE_FILE, RoleState, ServingState, StateFile, read_state, wake

NOBODY: dict[Role, RoleState] = {
    "champion": RoleState(None, None, None),
    "challenger": RoleState(None, None, "torn"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.fixture
def state(folder: Path) -> ServingState:
    """The state that this process keeps."""
    StateFile(folder, "2025-01-01").keep(NOBODY, 3)
    found = read_state(folder)
    assert found is not None
    return found


def write(folder: Path, state: ServingState) -> None:
    (folder / STATE_FILE).write_bytes(msgspec.json.encode(state))


def test_what_is_kept_is_read_by_its_owner_alone(folder: Path, state: ServingState) -> None:
    assert (state.pid, state.started, state.n_reloads) == (os.getpid(), "2025-01-01", 3)
    assert {role: state.role(role) for role in NOBODY} == NOBODY
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / STATE_FILE).stat().st_mode) == 0o600


def test_it_is_written_when_something_changed_and_removed_at_the_end(folder: Path) -> None:
    kept = StateFile(folder, "2025-01-01")
    kept.keep(NOBODY, 0)
    (folder / STATE_FILE).unlink()
    kept.keep(NOBODY, 0)
    assert read_state(folder) is None
    kept.keep(NOBODY, 1)
    assert read_state(folder) is not None
    kept.remove()
    kept.remove()
    assert list(folder.iterdir()) == []


def ended_process() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_a_process_that_ended_and_another_one_of_its_id_are_not_it(
    folder: Path, state: ServingState
) -> None:
    for other in (
        replace(state, pid=ended_process()),
        replace(state, began_ticks=state.began_ticks - 1),
    ):
        write(folder, other)
        assert read_state(folder) is None
        assert not wake(other), "no foreign process is signalled"


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"pid": "1"}'])
def test_a_state_that_can_not_be_read_is_none(
    folder: Path, state: ServingState, content: bytes
) -> None:
    (folder / STATE_FILE).write_bytes(content)
    assert read_state(folder) is None


def test_waking_sends_the_signal(state: ServingState) -> None:
    seen: list[int] = []
    before = signal.signal(signal.SIGHUP, lambda number, _frame: seen.append(number))
    try:
        assert wake(state)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert seen == [signal.SIGHUP]


def test_the_state_of_a_process_that_lives_is_not_written_over(
    folder: Path, state: ServingState
) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        began = int(Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[19])
        theirs = replace(state, pid=child.pid, began_ticks=began)
        write(folder, theirs)
        ours = StateFile(folder, "2025-01-01")
        with capture_logs() as logged:
            ours.keep(NOBODY, 0)
            ours.keep(NOBODY, 1)
            ours.remove()
        assert read_state(folder) == theirs
        child.communicate(b"\n")
    assert [line["event"] for line in logged] == ["state_not_kept"]


def test_a_folder_that_can_not_be_made_costs_the_state_alone(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file in its place")
    kept = StateFile(tmp_path / "run", "2025-01-01")
    with capture_logs() as logged:
        for number in range(3):
            kept.keep(NOBODY, number)
        kept.remove()
    (line,) = logged
    assert (line["event"], line["log_level"]) == ("state_not_kept", "warning")
