"""How does a long command run beside a live process, within limits, and leave nothing behind?

The command is started as `python -m training.background`, which takes the limits upon itself and then
becomes the command. Nothing is forked with this process's threads and libraries in it, there is no
moment without limits, and the kernel ends the command when the scheduler dies, however it dies.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from plugin.errors import ShadowgateError, WrongUse

LOGS_KEPT = 20
_LOWEST_PRIORITY = 19
_GRACE_S = 5.0
_POLL_S = 0.2
_PR_SET_PDEATHSIG = 1
_LAST_BYTES = 4096
STOPPED = "stopped with the scheduler"


class RunFailed(ShadowgateError):
    """A command of a run did not end well; `was` says how."""

    def __init__(self, what: str, was: str) -> None:
        super().__init__(f"{what} that ends well", was, "see its log")


class RunCutOff(RunFailed):
    """It was ended before it had an outcome: by a limit or by a signal."""


class RunStopped(RunCutOff):
    """It was ended because the scheduler ends."""

    def __init__(self, what: str) -> None:
        super().__init__(what, STOPPED)


@dataclass(frozen=True)
class RunLimits:
    """What a run may use: seconds by the wall, and bytes of address space for each process."""

    wall_s: float
    memory_bytes: int


def open_log(folder: Path, name: str) -> Path:
    """An empty log that only its owner can read; all but the newest LOGS_KEPT are removed."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    log = folder / f"{name}.log"
    os.close(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600))
    for old in sorted(folder.glob("*.log"))[:-LOGS_KEPT]:
        old.unlink()
    return log


def run_in_background(
    arguments: Sequence[str],
    *,
    log: Path,
    limits: RunLimits,
    stop: threading.Event,
    environment: Mapping[str, str],
) -> int:
    """Run `python arguments`, its output into `log`, and wait for it; the exit code.

    Raises RunStopped soon after `stop` is set, RunCutOff where a limit or a signal ended it. However it
    ended, none of the command's own children is left.
    """
    what = f"`python {' '.join(arguments[:3])}`"
    limited = [str(os.getpid()), str(limits.memory_bytes), sys.executable, *arguments]
    with log.open("ab") as output:
        child = subprocess.Popen(
            [sys.executable, "-m", "training.background", *limited],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**environment, "OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )
    deadline = time.monotonic() + limits.wall_s
    while not _has_ended(child):
        if stop.wait(_POLL_S):
            _end_group(child)
            raise RunStopped(what)
        if time.monotonic() > deadline:
            _end_group(child)
            raise RunCutOff(what, f"still at work after {limits.wall_s:g} s")
    code = _end_group(child)
    if code < 0:
        raise RunCutOff(what, f"ended by {signal.Signals(-code).name}")
    return code


def last_line(log: Path) -> str:
    """What a command said last: the last line of its log that is not empty."""
    lines = [line.strip() for line in log.read_bytes()[-_LAST_BYTES:].splitlines() if line.strip()]
    return lines[-1].decode(errors="replace") if lines else "no word"


def _has_ended(child: subprocess.Popen[bytes]) -> bool:
    # Not waited for: while its number is taken, its group can not be that of a stranger.
    return os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _end_group(child: subprocess.Popen[bytes]) -> int:
    """End what is left of the child and all that it started, politely first; the exit code."""
    if not _has_ended(child):
        os.killpg(child.pid, signal.SIGTERM)
        deadline = time.monotonic() + _GRACE_S
        while not _has_ended(child) and time.monotonic() < deadline:
            time.sleep(_POLL_S / 4)
    os.killpg(child.pid, signal.SIGKILL)
    return child.wait()


def _become(scheduler: int, memory_bytes: int, command: list[str]) -> None:
    """Take the limits upon this process and become the command."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        raise WrongUse("a kernel that ends a child with its parent", "none", "run on Linux")
    if os.getppid() != scheduler:  # it died before the kernel was told
        sys.exit("the scheduler has ended")
    os.setpriority(os.PRIO_PROCESS, 0, _LOWEST_PRIORITY)
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    os.execv(command[0], command)  # noqa: S606 - the command is this project's own


if __name__ == "__main__":
    _become(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
