"""A command in the background has its limits from its first moment and leaves nothing behind."""

import os
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from training import background
from training.background import (
    LOGS_KEPT,
    RunCutOff,
    RunLimits,
    RunStopped,
    last_line,
    open_log,
    run_in_background,
)

ROOT = Path(__file__).parents[2]
GIB = 2**30
LIMITS = RunLimits(60.0, 4 * GIB)
TELL = """
import os, resource
print(os.nice(0), resource.getrlimit(resource.RLIMIT_AS), os.environ["OMP_NUM_THREADS"])
print(os.getpid() == os.getsid(0))
"""
# A command that starts another one, tells its number and waits; neither minds SIGTERM.
STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
time.sleep(600)
"""


def run(
    program: str, log: Path, limits: RunLimits = LIMITS, stop: threading.Event | None = None
) -> int:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    stop = stop or threading.Event()
    return run_in_background(
        ["-c", program], log=log, limits=limits, stop=stop, environment=environment
    )


def is_alive(pid: int) -> bool:
    """Alive, and not only waiting to be counted as dead."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def ends(pid: int) -> bool:
    """Whether it is gone within seconds: the kernel ends a process soon, not at once."""
    for _ in range(100):
        if not is_alive(pid):
            return True
        time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    return False


def wait_for(log: Path) -> int:
    """The number that the command has written."""
    for _ in range(600):
        if log.exists() and log.read_bytes().endswith(b"\n"):
            return int(log.read_text())
        time.sleep(0.05)
    raise AssertionError("the command said nothing")


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "_GRACE_S", 0.5)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return open_log(tmp_path / "logs", "run")


def test_limits_hold_from_the_first_moment(log: Path) -> None:
    assert run(TELL, log) == 0
    assert log.read_text() == f"19 ({4 * GIB}, {4 * GIB}) 1\nTrue\n"
    assert run("print(len(bytearray(5 * 2**30)))", log) == 1
    assert last_line(log) == "MemoryError"


@pytest.mark.parametrize("code", [0, 1, 9])
def test_an_exit_code_is_an_answer(log: Path, code: int) -> None:
    assert run(f"import sys; sys.exit({code})", log) == code


def test_a_signal_is_none(log: Path) -> None:
    with pytest.raises(RunCutOff, match="ended by SIGKILL"):
        run("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", log)


def test_the_limit_of_time_ends_the_command_and_its_children(log: Path) -> None:
    with pytest.raises(RunCutOff, match="still at work after 1 s"):
        run(STUBBORN, log, RunLimits(1.0, 4 * GIB))
    assert ends(wait_for(log))


def test_a_child_that_outlives_its_command_is_ended(log: Path) -> None:
    started = STUBBORN.rpartition("time.sleep")[0]
    assert run(started, log) == 0
    assert ends(wait_for(log))


def test_a_stop_ends_it_all(log: Path) -> None:
    stop = threading.Event()
    threading.Thread(target=lambda: (wait_for(log), stop.set())).start()
    with pytest.raises(RunStopped, match="stopped with the scheduler"):
        run(STUBBORN, log, stop=stop)
    assert ends(wait_for(log))


def test_a_command_dies_with_the_scheduler(tmp_path: Path) -> None:
    log = open_log(tmp_path / "logs", "run")
    waiting = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    program = f"""
import os, threading
from pathlib import Path
from training.background import RunLimits, run_in_background
run_in_background(["-c", {waiting!r}], log=Path({str(log)!r}), limits=RunLimits(60.0, {4 * GIB}),
                  stop=threading.Event(), environment=dict(os.environ))
"""
    scheduler = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT)
    command = wait_for(log)
    assert is_alive(command)
    scheduler.send_signal(signal.SIGKILL)
    scheduler.wait()
    assert ends(command)


def test_logs_are_private_and_the_newest_are_kept(tmp_path: Path) -> None:
    for number in range(LOGS_KEPT + 3):
        log = open_log(tmp_path / "logs", f"run-{number:03d}")
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    kept = sorted(path.stem for path in (tmp_path / "logs").iterdir())
    assert kept == [f"run-{number:03d}" for number in range(3, LOGS_KEPT + 3)]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", "no word"),
        (b"\n \n", "no word"),
        (b"a\nb\n\n", "b"),
        (b"x" * 9000 + b"\nend\xff", "end\ufffd"),
    ],
)
def test_the_last_line_is_what_a_command_said_last(tmp_path: Path, content: bytes, line: str) -> None:
    (tmp_path / "log").write_bytes(content)
    assert last_line(tmp_path / "log") == line
