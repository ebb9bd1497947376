"""What is left when a replay is killed or stopped, and does the same command go on from there?"""

import json
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
from msgspec.structs import replace as with_fields

from shadow.files import day_files
from shadow.reader import Damage, LogReader
from shadow.record import AnyRecord, BarRecord, RecoveredRecord
from tests.support.live import read_records, without_timings
from tests.support.replays import ROOT, environment, replay, replay_command
from tests.support.small_training import HELD_OUT_BARS, SETTINGS, SmallTraining

N_RECORDS = HELD_OUT_BARS * len(SETTINGS.symbols)
N_KILLS = 20
_PATIENCE_S = 60


def whole_lines(shadow: Path) -> bytes:
    """All complete lines of the log, as one."""
    files = [path.read_bytes() for path in day_files(shadow)]
    return b"".join(content[: content.rfind(b"\n") + 1] for content in files)


def bars_of(records: list[AnyRecord]) -> list[AnyRecord]:
    """The bars of a log, less timings and numbers: a repair between them takes a number of its own."""
    bars = [record for record in records if isinstance(record, BarRecord)]
    return [with_fields(without_timings(bar), seq=0) for bar in bars]


def signalled_at(
    training: SmallTraining, shadow: Path, n_lines: int, number: signal.Signals
) -> tuple[int, bytes, str]:
    """Start a replay and signal it once the log has `n_lines`; its exit code, what stood there just
    before, and its stderr."""
    child = subprocess.Popen(
        replay_command(shadow, "--json"),
        cwd=ROOT,
        env=environment(training, shadow),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    give_up_at = time.monotonic() + _PATIENCE_S
    while (stood := whole_lines(shadow)).count(b"\n") < n_lines:
        assert child.poll() is None, child.communicate()[1]
        assert time.monotonic() < give_up_at
        time.sleep(0.001)
    child.send_signal(number)
    _, said = child.communicate(timeout=_PATIENCE_S)
    return child.returncode, stood, said


@pytest.mark.slow
def test_killed_twenty_times_the_log_ends_as_if_never_disturbed(small_training, undisturbed, tmp_path):
    shadow = tmp_path / "shadow"
    moments = sorted(random.Random(5).sample(range(N_RECORDS - 20), N_KILLS))
    snapshots = []
    for moment in moments:
        code, stood, _ = signalled_at(small_training, shadow, moment, signal.SIGKILL)
        assert code == -signal.SIGKILL, "it was killed in the middle"
        snapshots.append(stood)
    ended = replay(small_training, shadow, "--json")
    assert (ended.returncode, json.loads(ended.stdout)["record_errors"]) == (0, 0)

    log = whole_lines(shadow)
    assert all(log.startswith(stood) for stood in snapshots), "nothing that was written is lost"
    records = read_records(shadow)
    assert [record.seq for record in records] == list(range(1, len(records) + 1))
    assert bars_of(records) == bars_of(read_records(undisturbed))
    n_repairs = sum(isinstance(record, RecoveredRecord) for record in records)
    assert len(records) == N_RECORDS + n_repairs
    reader = LogReader(shadow, BarRecord)
    assert len(list(reader)) == N_RECORDS
    assert (reader.damage, reader.n_repairs) == (Damage(), n_repairs)


def test_interrupted_it_says_so_and_the_same_command_goes_on(small_training, undisturbed, tmp_path):
    shadow = tmp_path / "shadow"
    code, stood, said = signalled_at(small_training, shadow, 100, signal.SIGINT)
    assert code == 130
    assert said.splitlines()[-1] == (
        "stopped; what was done is saved, the same command goes on from there"
    )
    assert "Traceback" not in said
    log = whole_lines(shadow)
    assert log.startswith(stood)
    assert log.count(b"\n") < N_RECORDS
    assert replay(small_training, shadow, "--json").returncode == 0
    assert whole_lines(shadow).startswith(log)
    assert bars_of(read_records(shadow)) == bars_of(read_records(undisturbed))
    assert not [record for record in read_records(shadow) if isinstance(record, RecoveredRecord)]
