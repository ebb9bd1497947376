"""The writer: what it acknowledged stays, nothing stands twice, and no fault reaches its caller."""

import errno
import os
import random
import resource
import stat
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

import shadow.day_file
from shadow.errors import LogInUse, LogUnusable
from shadow.reader import Damage, LogReader
from shadow.record import BarRecord, RecoveredRecord, RevisionRecord, decode_line, encode_line
from shadow.writer import ShadowWriter
from tests.support.records import DAY_MS, HOUR_MS, START_MS, HandClock, bar

ROOT = Path(__file__).parents[2]


def _read(folder: Path) -> tuple[list[int], LogReader[BarRecord]]:
    reader = LogReader(folder, BarRecord)
    return [(record.open_time_ms - START_MS) // HOUR_MS for record in reader], reader


def _records(path: Path) -> list[msgspec.Struct]:
    return [decode_line(line) for line in path.read_bytes().split(b"\n")[:-1]]


@pytest.fixture
def clock():
    return HandClock()


@pytest.fixture
def writer(tmp_path, clock):
    with ShadowWriter(tmp_path / "log", clock) as writer:
        yield writer


def test_lines_are_numbered_and_dated_by_the_clock(tmp_path, clock):
    with ShadowWriter(tmp_path, clock) as writer:
        for n in range(3):
            clock.now_ms = START_MS + n * HOUR_MS + 7
            assert writer.write_bar(bar(n))
    records = _records(tmp_path / "2025-01-01.jsonl")
    assert [record.seq for record in records] == [1, 2, 3]
    assert records[1].written_at == "2025-01-01T01:00:00.007Z"
    assert records[1].close == bar(1).close


def test_a_revision_is_a_line_of_its_own(tmp_path, clock):
    values = (1.0, 2.0, 0.5, 1.5, 10.0)
    revision = RevisionRecord(
        seq=0, written_at="", symbol="A", timeframe="1h", open_time_ms=0, seen=values, revised=values
    )
    with ShadowWriter(tmp_path, clock) as writer:
        assert writer.write_revision(revision)
        assert writer.write_revision(revision)
    assert [record.seq for record in _records(tmp_path / "2025-01-01.jsonl")] == [1, 2]


def test_records_are_for_their_owner_alone(tmp_path, clock):
    folder = tmp_path / "deep" / "log"
    with ShadowWriter(folder, clock) as writer:
        writer.write_bar(bar())
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_a_bar_at_or_before_the_newest_recorded_is_refused(writer):
    assert writer.write_bar(bar(5))
    assert not writer.write_bar(bar(5))
    assert not writer.write_bar(bar(4))
    assert writer.write_bar(bar(4, symbol="ETH/USDT"))
    assert writer.write_bar(bar(4, timeframe="4h"))
    assert writer.errors == 0
    assert writer.last_recorded("BTC/USDT", "1h") == bar(5).open_time_ms
    assert writer.last_recorded("SOL/USDT", "1h") is None


def test_numbers_and_bars_go_on_after_reopening(tmp_path, clock):
    with ShadowWriter(tmp_path, clock) as writer:
        writer.write_bar(bar(0))
        writer.write_bar(bar(1))
    clock.now_ms += DAY_MS
    with ShadowWriter(tmp_path, clock) as writer:
        assert writer.last_recorded("BTC/USDT", "1h") == bar(1).open_time_ms
        assert not writer.write_bar(bar(1))
        assert writer.write_bar(bar(2))
    assert [record.seq for record in _records(tmp_path / "2025-01-02.jsonl")] == [3]


def test_a_second_writer_is_refused_until_the_first_closes(tmp_path, clock):
    first = ShadowWriter(tmp_path, clock)
    with pytest.raises(LogInUse, match="only writer"):
        ShadowWriter(tmp_path, clock)
    first.close()
    ShadowWriter(tmp_path, clock).close()


def test_a_closed_writer_writes_no_more(tmp_path, clock):
    writer = ShadowWriter(tmp_path, clock)
    writer.close()
    assert not writer.write_bar(bar())
    assert "closed" in writer.last_error
    assert not list(tmp_path.glob("*.jsonl"))


@pytest.mark.parametrize("name", ["a file", "a file/below"])
def test_a_folder_that_can_not_be_made_is_refused_with_its_name(tmp_path, clock, name):
    (tmp_path / "a file").write_bytes(b"")
    with pytest.raises(LogUnusable, match="a file"):
        ShadowWriter(tmp_path / name, clock)


def test_a_log_that_can_not_be_read_is_refused_and_the_folder_let_go(tmp_path, clock):
    (tmp_path / "2025-01-01.jsonl").mkdir()
    with pytest.raises(LogUnusable, match="readable log"):
        ShadowWriter(tmp_path, clock)
    (tmp_path / "2025-01-01.jsonl").rmdir()
    ShadowWriter(tmp_path, clock).close()


def test_a_new_day_begins_a_new_file(tmp_path, clock):
    with ShadowWriter(tmp_path, clock) as writer:
        clock.now_ms = START_MS + DAY_MS - 1
        writer.write_bar(bar(0))
        clock.now_ms += 1
        writer.write_bar(bar(1))
        assert writer.sync()
    assert [len(_records(tmp_path / f"2025-01-0{day}.jsonl")) for day in (1, 2)] == [1, 1]
    assert _read(tmp_path)[1].damage == Damage()


def test_a_clock_that_steps_back_does_not_lead_back_to_an_earlier_file(tmp_path, clock):
    clock.now_ms = START_MS + DAY_MS
    with ShadowWriter(tmp_path, clock) as writer:
        writer.write_bar(bar(0))
        clock.now_ms = START_MS
        writer.write_bar(bar(1))
    with ShadowWriter(tmp_path, clock) as writer:
        writer.write_bar(bar(2))
    assert [path.name for path in tmp_path.glob("*.jsonl")] == ["2025-01-02.jsonl"]
    bars, reader = _read(tmp_path)
    assert (bars, reader.damage) == ([0, 1, 2], Damage())


def test_a_record_that_can_not_be_written_is_counted_and_leaves_a_hole(writer, tmp_path):
    assert writer.write_bar(bar(0))
    assert not writer.write_bar(bar(1, challenger={"p": object()}))
    assert not writer.write_bar(bar(2, ml_error="x" * 70_000))
    assert not writer.write_bar(bar(3, ml_reason="\ud800"))
    assert writer.errors == 3
    assert writer.write_bar(bar(4))
    bars, reader = _read(tmp_path / "log")
    assert (bars, reader.damage) == ([0, 4], Damage(missing_lines=3))


def test_a_clock_that_fails_does_not_reach_the_caller(tmp_path):
    def broken() -> int:
        raise RuntimeError("no time")

    with ShadowWriter(tmp_path, broken) as writer:
        assert not writer.write_bar(bar())
        assert writer.last_error == "RuntimeError: no time"


def test_a_bar_that_was_lost_may_come_again(writer):
    assert not writer.write_bar(bar(1, ml_error="x" * 70_000))
    assert writer.write_bar(bar(1))


def _reopen_on(folder: Path, content: bytes, clock: HandClock) -> LogReader[BarRecord]:
    """The log after a writer was opened on `content` and wrote bar 1."""
    folder.mkdir()
    (folder / "2025-01-01.jsonl").write_bytes(content)
    with ShadowWriter(folder, clock) as writer:
        assert writer.write_bar(bar(1))
        assert writer.errors == 0
    bars, reader = _read(folder)
    assert bars[-1] == 1
    assert reader.damage == Damage()
    return reader


def test_a_tail_torn_at_any_byte_is_set_aside(tmp_path, clock):
    whole, torn = encode_line(bar(0, seq=1)), encode_line(bar(1, seq=2))
    for n_bytes in range(1, len(torn)):
        folder = tmp_path / str(n_bytes)
        reader = _reopen_on(folder, whole + torn[:n_bytes], clock)
        assert reader.n_repairs == 1
        assert _records(folder / "2025-01-01.jsonl")[1].dropped_bytes == n_bytes
        assert next(folder.glob("*.torn-*")).read_bytes() == torn[:n_bytes]


def test_a_log_that_is_nothing_but_a_torn_line_begins_anew(tmp_path, clock):
    reader = _reopen_on(tmp_path / "log", encode_line(bar(0, seq=1))[:100], clock)
    assert (reader.n_repairs, reader.next_seq) == (1, 3)


def test_a_block_of_nul_at_the_end_is_a_torn_tail(tmp_path, clock):
    (tmp_path / "2025-01-01.jsonl").write_bytes(encode_line(bar(0, seq=1)) + b"\0" * 3_000_000)
    with ShadowWriter(tmp_path, clock) as writer:
        assert writer.write_bar(bar(1))
    bars, reader = _read(tmp_path)
    assert (bars, reader.n_repairs, reader.damage) == ([0, 1], 1, Damage())


def test_a_damaged_line_in_the_middle_is_neither_mark_nor_number(tmp_path, clock):
    line = bytearray(encode_line(bar(9_999_999, seq=77)))
    line[30] ^= 1
    (tmp_path / "2025-01-01.jsonl").write_bytes(encode_line(bar(0, seq=1)) + bytes(line))
    with ShadowWriter(tmp_path, clock) as writer:
        assert writer.write_bar(bar(1))
    assert [record.seq for record in LogReader(tmp_path, BarRecord)] == [1, 2]


class _FailingSync:
    """`os.fdatasync` that fails once, as a disk does."""

    def __init__(self) -> None:
        self.descriptors: list[int] = []

    def __call__(self, descriptor: int) -> None:
        self.descriptors.append(os.stat(descriptor).st_ino)
        if len(self.descriptors) == 1:
            raise OSError(errno.EIO, "Input/output error")


def test_after_a_failed_sync_the_file_is_reopened_and_the_log_says_so(tmp_path, clock, monkeypatch):
    sync = _FailingSync()
    monkeypatch.setattr(shadow.day_file.os, "fdatasync", sync)
    with ShadowWriter(tmp_path, clock) as writer:
        writer.write_bar(bar(0))
        descriptor_before = writer._file._descriptor
        assert not writer.sync()
        assert len(sync.descriptors) == 1
        taken = os.open(tmp_path, os.O_RDONLY)  # the number that was given back
        assert writer.sync(), "nothing was written since"
        assert len(sync.descriptors) == 1, "the same descriptor must not be synced again"
        assert writer.write_bar(bar(1))
        assert writer._file._descriptor != descriptor_before
        assert writer.sync()
        assert writer.errors == 1
        os.close(taken)
    kinds = [type(record) for record in _records(tmp_path / "2025-01-01.jsonl")]
    assert kinds == [BarRecord, RecoveredRecord, BarRecord]


_SHORT_WRITES = """
import resource, sys
from pathlib import Path
from shadow.writer import ShadowWriter
from tests.support.records import HandClock, bar
with ShadowWriter(Path(sys.argv[1]), HandClock()) as writer:
    assert writer.write_bar(bar(0))
    size = next(Path(sys.argv[1]).glob("*.jsonl")).stat().st_size
    for room in range(0, size, 37):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + room, resource.RLIM_INFINITY))
        assert not writer.write_bar(bar(1 + room)), room
        assert next(Path(sys.argv[1]).glob("*.jsonl")).stat().st_size == size, room
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert writer.write_bar(bar(size + 1))
    print(writer.errors, size)
"""


def _run(
    script: str, *arguments: str, before: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*before, sys.executable, "-c", script, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_short_write_is_taken_back_at_every_length(tmp_path):
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    child = _run(_SHORT_WRITES, str(tmp_path))
    assert child.returncode == 0, child.stderr
    n_errors, size = map(int, child.stdout.split())
    bars, reader = _read(tmp_path)
    assert bars == [0, size + 1]
    assert reader.damage == Damage(missing_lines=n_errors)


_NO_ROOM_TO_REPAIR = """
import resource, sys
from pathlib import Path
from shadow.writer import ShadowWriter
from tests.support.records import HandClock, bar
resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
with ShadowWriter(Path(sys.argv[1]), HandClock()) as writer:
    assert writer.errors == 1
    assert not writer.write_bar(bar(1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert writer.write_bar(bar(2)), writer.last_error
"""


def test_a_torn_tail_is_repaired_once_there_is_room_for_its_copy(tmp_path):
    torn = encode_line(bar(1, seq=2))[:200]
    (tmp_path / "2025-01-01.jsonl").write_bytes(encode_line(bar(0, seq=1)) + torn)
    child = _run(_NO_ROOM_TO_REPAIR, str(tmp_path))
    assert child.returncode == 0, child.stderr
    bars, reader = _read(tmp_path)
    assert (bars, reader.n_repairs) == ([0, 2], 1)
    assert torn in [path.read_bytes() for path in tmp_path.glob("*.torn-*")]


def test_a_part_of_a_line_that_can_not_be_taken_back_is_set_aside(tmp_path, clock, monkeypatch):
    write, truncate = os.write, os.ftruncate

    def half(descriptor: int, line: bytes) -> int:
        monkeypatch.setattr(shadow.day_file.os, "write", write)
        return write(descriptor, line[: len(line) // 2])

    def broken(descriptor: int, length: int) -> None:
        monkeypatch.setattr(shadow.day_file.os, "ftruncate", truncate)
        raise OSError(errno.EIO, "Input/output error")

    with ShadowWriter(tmp_path, clock) as writer:
        assert writer.write_bar(bar(0))
        monkeypatch.setattr(shadow.day_file.os, "write", half)
        monkeypatch.setattr(shadow.day_file.os, "ftruncate", broken)
        assert not writer.write_bar(bar(1))
        assert writer.write_bar(bar(2))
        assert writer.errors == 1
    bars, reader = _read(tmp_path)
    assert (bars, reader.n_repairs, reader.damage) == ([0, 2], 1, Damage(missing_lines=1))


_FULL_DISK = """
import subprocess, sys
from pathlib import Path
from shadow.writer import ShadowWriter
from tests.support.records import HandClock, bar
disk = sys.argv[1]
with ShadowWriter(Path(disk), HandClock()) as writer:
    n = 0
    while not writer.errors:
        writer.write_bar(bar(n))
        n += 1
    lost = n - 1
    assert "Errno 28" in writer.last_error, writer.last_error
    writer.write_bar(bar(n))
    assert writer.errors == 2
    subprocess.run(["mount", "-o", "remount,size=256k", disk], check=True)
    assert writer.write_bar(bar(n + 1)) and writer.sync()
    assert writer.errors == 2
from shadow.reader import Damage, LogReader
from shadow.record import BarRecord
reader = LogReader(Path(disk), BarRecord)
opened = [(record.open_time_ms - bar(0).open_time_ms) // 3600000 for record in reader]
assert opened == [*range(lost), n + 1], opened
assert reader.damage == Damage(missing_lines=2), reader.damage
print("recovered")
"""


def test_a_full_disk_costs_only_what_did_not_fit(tmp_path):
    mount = f'mount -t tmpfs -o size=64k tmpfs {tmp_path} && exec "$@"'
    if subprocess.run(
        ["unshare", "-m", "sh", "-c", mount, "sh", "true"], capture_output=True, check=False
    ).returncode:
        pytest.skip("a file system can not be mounted here")
    child = _run(_FULL_DISK, str(tmp_path), before=("unshare", "-m", "sh", "-c", mount, "sh"))
    assert child.stdout == "recovered\n", child.stderr


def _write_until_killed(folder: Path, seconds: float) -> int:
    """Let a child write for a while and kill it; the last bar that it called safe."""
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.support.writing_child", str(folder), "3000"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    time.sleep(seconds)
    child.kill()
    said = child.communicate()[0].split("\n")[:-1]  # the last piece may be half a number
    return max((int(line) for line in said if line != "done"), default=-1)


def test_killed_at_random_moments_it_loses_nothing_and_repeats_nothing(tmp_path):
    moments = random.Random(11)
    safe = -1
    for _ in range(12):
        safe = max(safe, _write_until_killed(tmp_path, moments.uniform(0.1, 0.6)))
        bars, reader = _read(tmp_path)
        assert bars == list(range(len(bars))), "in order, none left out, none twice"
        assert len(bars) > safe, "what was called safe is there"
        assert reader.damage == Damage()
    assert safe > 0, "the children got to write"
    seqs = [record.seq for path in sorted(tmp_path.glob("*.jsonl")) for record in _records(path)]
    assert seqs == list(range(1, len(seqs) + 1)), "repairs are numbered too"
    undisturbed = [sys.executable, "-m", "tests.support.writing_child", str(tmp_path), "3000"]
    subprocess.run(undisturbed, cwd=ROOT, check=True, capture_output=True, timeout=60)
    bars, reader = _read(tmp_path)
    assert (bars, reader.damage) == (list(range(3000)), Damage())
