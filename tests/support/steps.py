"""A process led through the system calls by which it changes a models folder, with a signal at one."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.small_training import SmallTraining

ROOT = Path(__file__).parents[2]
_CALLS = ("mkdir", "openat", "write", "fsync", "rename", "unlinkat", "rmdir", "ftruncate")
_PATIENCE_S = 30.0
_STOPPED = "--- stopped by SIGSTOP ---\n"


@dataclass(frozen=True)
class Step:
    """A system call that changes the disk: its name, and which of that name it is, from 1."""

    call: str
    number: int

    def inject(self, signal_name: str) -> str:
        """What strace is told, to send a signal as the call begins."""
        return f"{self.call}:signal={signal_name}:when={self.number}"


class Publisher:
    """The process of `tests.support.stepped_publisher`."""

    def __init__(self, training: SmallTraining) -> None:
        command = [sys.executable, "-m", "tests.support.stepped_publisher"]
        self._process = subprocess.Popen(
            [*command, str(training.store), str(training.outcome.bundle)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def begin(self, models: Path, created: str, *, careless: bool = False) -> int:
        """The id of a child that stands before its first step."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{'careless ' if careless else ''}{models} {created}\n")
        self._process.stdin.flush()
        child = int(self._line())
        _wait_until(lambda: _status_of(child)["State"].startswith("T"))
        return child

    def end(self) -> int:
        """How the child ended, as `os.waitpid` says it."""
        return int(self._line())

    def publish(self, models: Path, created: str, *, careless: bool = False) -> None:
        """All steps, undisturbed."""
        os.kill(self.begin(models, created, careless=careless), signal.SIGCONT)
        assert self.end() == 0

    def close(self) -> None:
        """No more lines: the process ends."""
        self._process.communicate(timeout=_PATIENCE_S)

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


def fresh(original: Path, models: Path) -> None:
    """Make `models` the copy of a models folder in which a killed training has left half a draft."""
    shutil.rmtree(models, ignore_errors=True)
    shutil.copytree(original, models)
    (models / "drafts" / "left").mkdir(parents=True)
    (models / "drafts" / "left" / "lgb_h5.txt").write_text("half a mod")


def rehearse(
    publisher: Publisher, original: Path, models: Path, created: str
) -> tuple[list[Path], list[Step]]:
    """The paths that a walk in a fresh `models` touches, and its steps; it is fresh again after."""
    log = models.with_name("rehearsal")
    fresh(original, models)
    publisher.publish(models, created)
    (published,) = {*(models / "bundles").iterdir()} - {
        models / "bundles" / bundle.name for bundle in (original / "bundles").iterdir()
    }
    places = _places_of(models, published)
    fresh(original, models)
    with traced(publisher.begin(models, created), places, log):
        pass
    assert publisher.end() == 0
    fresh(original, models)
    return places, _steps_in(log)


def _places_of(models: Path, published: Path) -> list[Path]:
    """Every path of a models folder that publishing a bundle touches; `published` is that bundle."""
    draft, left = models / "drafts" / published.name, models / "drafts" / "left"
    pointers = [models / name for name in ("champion", "challenger")]
    return [
        *(models, models / "drafts", models / "bundles", models / "history.jsonl", draft, left),
        left / "lgb_h5.txt",
        *(draft / file.name for file in published.iterdir()),
        *pointers,
        *(pointer.with_name(f".{pointer.name}.tmp") for pointer in pointers),
    ]


@contextmanager
def traced(process: int, places: list[Path], log: Path, inject: str | None = None) -> Iterator[None]:
    """Let a stopped process go on under strace, which tells what it does to `places`; on leaving, wait
    until it has ended. Skips the test where strace can not do that."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    command = ["strace", "-qq", "-o", str(log), "-e", f"trace={','.join(_CALLS)}"]
    command += [part for place in places for part in ("-P", str(place))]
    command += ["-e", f"inject={inject}"] if inject else []
    with subprocess.Popen([*command, "-p", str(process)], stderr=subprocess.PIPE) as tracer:
        _wait_until(lambda: tracer.poll() is not None or _status_of(process)["TracerPid"] != "0")
        if tracer.poll() is not None:
            os.kill(process, signal.SIGKILL)
            pytest.skip(f"strace can not trace here: {tracer.communicate()[1]!r}")
        os.kill(process, signal.SIGCONT)
        try:
            yield
            tracer.wait(_PATIENCE_S)
        except BaseException:  # nobody else would let a stopped process go
            os.kill(process, signal.SIGKILL)
            raise


def wait_for_stop(process: int, log: Path) -> None:
    """Wait until an injected SIGSTOP holds the process; the call before it was carried out."""

    def stands() -> bool:
        told = log.read_text(errors="replace")
        return "si_code=SI_KERNEL" in told and told.endswith(_STOPPED)

    _wait_until(stands)
    assert _status_of(process)["State"].startswith("t")


def _steps_in(log: Path) -> list[Step]:
    """The traced calls that changed something, in order."""
    seen = Counter[str]()
    steps = []
    for line in log.read_text(errors="replace").splitlines():
        call = line.partition("(")[0]
        if call in _CALLS:
            seen[call] += 1
            if " = -1 " not in line and (call != "openat" or "O_CREAT" in line):
                steps.append(Step(call, seen[call]))
    return steps


def _status_of(process: int) -> dict[str, str]:
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return {"State": "X (gone)", "TracerPid": "0"}
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def _wait_until(condition: Callable[[], bool]) -> None:
    ends = time.monotonic() + _PATIENCE_S
    while not condition():
        assert time.monotonic() < ends, "it did not come to pass"
        time.sleep(0.002)
