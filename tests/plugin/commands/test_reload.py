"""What a person who asks for a reload is told, by a process that runs and without one."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from plugin.candles import SIMULATED_VENUE
from plugin.registry import Registry
from plugin.serving_state import STATE_FILE, read_state
from tests.support.bundles import AT, add_twin, appoint, bundle_of, flip_byte
from tests.support.replays import ROOT, environment
from tests.support.small_training import SmallTraining
from tests.support.twins import appoint_challenger

_PATIENCE_S = 60


class Process:
    """A paced replay, and the command that asks it to reload."""

    def __init__(self, training: SmallTraining, models: Path, folder: Path) -> None:
        self.run_folder = folder / "run"
        flags = {"ML_MODELS_DIR": str(models), "ML_SOCKET": str(self.run_folder / "plugin.sock")}
        self.environment = environment(training, folder / "shadow", **flags)
        self.env = folder / ".env"
        self.child: subprocess.Popen[str] | None = None

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "plugin", *arguments, "--env", str(self.env)]

    def start(self) -> None:
        pace = ("--venue", SIMULATED_VENUE, "--bars-per-second", "20", "--json")
        self.child = subprocess.Popen(
            self.command("replay", *pace),
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        give_up_at = time.monotonic() + _PATIENCE_S
        while read_state(self.run_folder) is None:
            assert self.child.poll() is None, self.child.communicate()[1]
            assert time.monotonic() < give_up_at
            time.sleep(0.02)

    def reload(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command("reload", *arguments),
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
            check=False,
        )

    def stop(self) -> None:
        if self.child is not None:
            self.child.kill()
            self.child.communicate()
            self.child = None


@pytest.fixture
def process(small_training: SmallTraining, models: Path, tmp_path: Path) -> Iterator[Process]:
    one = Process(small_training, models, tmp_path)
    yield one
    one.stop()


def test_it_waits_until_the_bundle_serves_or_was_refused(models: Path, process: Process) -> None:
    first, twin = bundle_of(models), add_twin(models)
    process.start()
    ended = process.reload()
    assert (ended.returncode, ended.stdout) == (0, f"{first.name} serves\n"), ended.stderr

    appoint(models, twin)
    appoint_challenger(models, first)
    ended = process.reload("--json")
    answer = json.loads(ended.stdout)
    assert ended.returncode == 0, ended.stderr
    assert (answer["serves"], answer["champion"], answer["challenger"], answer["reasons"]) == (
        True,
        twin.name,
        first.name,
        [],
    )
    assert process.child is not None
    assert answer["pid"] == process.child.pid

    flip_byte(first / "meta.json", 7)
    Registry(models).dismiss(at=AT, who="a test", why="enough")
    appoint(models, first, why="rolled back")
    for _ in range(2):
        ended = process.reload()
        assert ended.returncode == 1
        reason, serves = ended.stdout.splitlines()
        assert reason.startswith("champion: ")
        assert "meta.json: expected sha256" in reason
        assert serves == f"{twin.name} still serves"


def test_a_process_that_was_killed_is_none(process: Process) -> None:
    process.start()
    process.stop()
    assert (process.run_folder / STATE_FILE).exists(), "it was left behind"
    ended = process.reload()
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "expected a live process" in ended.stderr


def test_without_a_process_there_is_nothing_to_reload(process: Process) -> None:
    ended = process.reload("--json")
    assert (ended.returncode, ended.stdout) == (2, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith("expected a live process, was none")


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "3601", "soon"])
def test_a_timeout_that_makes_no_sense_is_named(process: Process, seconds: str) -> None:
    ended = process.reload("--timeout", seconds)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "--timeout: expected 0 to 3600 seconds" in ended.stderr.splitlines()[-1]


def test_help_shows_an_example(process: Process) -> None:
    ended = process.reload("--help")
    assert ended.returncode == 0
    assert "example:\n  python -m plugin reload" in ended.stdout


def test_a_stopped_process_is_waited_for_no_longer_than_the_timeout(process: Process) -> None:
    process.start()
    assert process.child is not None
    process.child.send_signal(signal.SIGSTOP)  # it lives, and does nothing
    try:
        ended = process.reload("--timeout", "0.5")
    finally:
        process.child.send_signal(signal.SIGCONT)
    assert ended.returncode == 1
    assert "within 0.5 s" in ended.stdout


def test_a_damaged_pointer_is_said(models: Path, process: Process) -> None:
    process.start()
    (models / "champion").write_bytes(b"{}")
    ended = process.reload()
    assert ended.returncode == 1
    assert "expected a pointer to a bundle" in ended.stderr
