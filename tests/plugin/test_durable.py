"""A file is the old one or the new one, whenever the process that replaces it dies."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from plugin.durable import replace_file, sync_folder, write_file

OLD, NEW = b"old\n", b"new, and longer than the old one\n"


def replace_in_child(
    path: Path, content: bytes, fatal_line: int, *under: str
) -> subprocess.CompletedProcess[bytes]:
    """Replace in a process that dies at `fatal_line`, or at none if it is 0; `under` runs it."""
    arguments = [str(path), content.hex(), str(fatal_line)]
    command = [*under, sys.executable, "-m", "tests.support.replacing_child", *arguments]
    return subprocess.run(command, capture_output=True, check=False)


def test_a_file_is_put_in_its_place(tmp_path: Path) -> None:
    for content in (OLD, NEW, b""):
        replace_file(tmp_path / "file", content)
        assert (tmp_path / "file").read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    replace_file(tmp_path / "replaced", NEW)
    write_file(tmp_path / "written", NEW)
    for name in ("replaced", "written"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


def test_another_mode_can_be_asked_for(tmp_path: Path) -> None:
    replace_file(tmp_path / "file", NEW, mode=0o400)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o400


def test_a_kill_before_any_line_leaves_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "file"
    n_lines = int(replace_in_child(path, OLD, 0).stdout)
    assert n_lines > 10
    left = []
    for line in range(1, n_lines + 1):
        path.write_bytes(OLD)
        assert replace_in_child(path, NEW, line).returncode == -signal.SIGKILL
        assert path.read_bytes() in (OLD, NEW), line
        left.append(path.read_bytes())
    assert left == sorted(left, key=[OLD, NEW].index), "once new, always new"
    assert set(left) == {OLD, NEW}
    replace_file(path, b"after")  # what the killed ones left behind is in nobody's way
    assert path.read_bytes() == b"after"


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.parametrize("call", ["write:when=1", "fsync:when=1", "/rename:when=1", "fsync:when=2"])
def test_a_kill_at_any_system_call_leaves_the_old_file_or_the_new_one(
    tmp_path: Path, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")  # no other write or rename than ours
    path = tmp_path / "file"
    path.write_bytes(OLD)
    name, when = call.split(":")
    fault = ["-e", f"trace={name}", "-e", f"inject={name}:signal=SIGKILL:{when}"]
    child = replace_in_child(path, NEW, 0, "strace", "-f", "-qq", "-o", os.devnull, *fault)
    assert child.returncode == -signal.SIGKILL, child.stderr
    assert path.read_bytes() == (NEW if call == "fsync:when=2" else OLD)


def test_readers_never_see_a_part(tmp_path: Path) -> None:
    path = tmp_path / "file"
    contents = [bytes([letter]) * 300_000 for letter in b"ab"]
    replace_file(path, contents[0])
    seen, is_over = set(), threading.Event()

    def read() -> None:
        while not is_over.is_set():
            seen.add(path.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    for turn in range(60):
        replace_file(path, contents[turn % 2])
    is_over.set()
    reader.join()
    assert seen <= set(contents)
    assert seen


def test_a_folder_that_is_none_can_not_be_synced(tmp_path: Path) -> None:
    write_file(tmp_path / "file", NEW)
    with pytest.raises(NotADirectoryError):
        sync_folder(tmp_path / "file")
