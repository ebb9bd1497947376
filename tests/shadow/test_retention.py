"""The log stays small, and nobody misses anything."""

import fcntl
import json
import os
import subprocess
import sys

import pytest

from shadow.files import archive_of, day_files, day_of
from shadow.reader import Damage, LogReader
from shadow.record import BarRecord
from shadow.retention import LEAST_DAYS, keep_small, main
from shadow.writer import ShadowWriter
from tests.support.full_disk import largest_file
from tests.support.records import DAY_MS, HOUR_MS, START_MS, HandClock, bar, write_log
from tests.support.replays import ROOT

N_DAYS = 6
NOW_MS = START_MS + N_DAYS * DAY_MS


@pytest.fixture
def log(tmp_path):
    folder = tmp_path / "log"
    write_log(folder, [bar(n) for n in range(24 * N_DAYS)])
    return folder


def read(folder):
    reader = LogReader(folder, BarRecord)
    return list(reader), reader.damage


def compress(folder, after_days=2, **more):
    return keep_small(
        folder, folder.parent / "models", NOW_MS, compress_after_days=after_days, keep_days=None, **more
    )


def remove(folder, keep_days, now_ms):
    models = folder.parent / "models"
    return keep_small(folder, models, now_ms, compress_after_days=None, keep_days=keep_days)


def role(folder, name, at):
    models = folder.parent / "models"
    models.mkdir(exist_ok=True)
    (models / name).write_text(json.dumps({"bundle_id": "one", "at": at}))


def test_days_that_are_over_are_compressed_and_read_as_before(log):
    before, _ = read(log)
    done = compress(log)
    assert done.compressed == ["2025-01-01", "2025-01-02", "2025-01-03", "2025-01-04"]
    assert done.bytes_after < done.bytes_before / 4
    assert read(log) == (before, Damage())
    assert [day_of(path) for path in day_files(log)][:2] == ["2025-01-01", "2025-01-02"]
    assert {path.stat().st_mode & 0o777 for path in day_files(log)} == {0o600}
    assert compress(log).compressed == [], "once"


def test_the_writer_goes_on_where_it_was(log):
    compress(log)
    clock = HandClock(NOW_MS)
    with ShadowWriter(log, clock) as writer:
        assert not writer.write_bar(bar(24 * N_DAYS - 1)), "it stands in the log"
        assert writer.write_bar(bar(24 * N_DAYS))
    records, damage = read(log)
    assert (len(records), damage) == (24 * N_DAYS + 1, Damage())


def test_it_works_while_the_writer_holds_the_log(log):
    with ShadowWriter(log, HandClock(NOW_MS)) as writer:
        assert compress(log, after_days=1).compressed
        assert writer.write_bar(bar(24 * N_DAYS))


def test_the_newest_file_is_never_touched_however_old(log):
    done = keep_small(log, log.parent, NOW_MS + 4000 * DAY_MS, compress_after_days=1, keep_days=400)
    assert day_of(day_files(log)[-1]) not in {*done.removed, *done.compressed}
    assert day_files(log)[-1].suffix == ".jsonl"


def test_a_torn_day_is_left_to_the_plugin(log):
    first = day_files(log)[0]
    first.write_bytes(first.read_bytes()[:-7])
    done = compress(log)
    assert first.exists()
    assert "2025-01-01" not in done.compressed
    assert "middle of a line" in done.faults[0]


@pytest.mark.parametrize("spoil", [lambda c: c[: len(c) // 2], lambda c: c[:99] + b"?" * 40 + c[139:]])
def test_damage_in_an_archive_is_counted_and_the_other_days_are_read(log, spoil):
    compress(log)
    first = day_files(log)[0]
    first.write_bytes(spoil(first.read_bytes()))
    records, damage = read(log)
    assert damage.broken_lines >= 1
    assert len(records) >= 24 * (N_DAYS - 1)


def test_the_days_since_a_role_was_given_stay(log):
    role(log, "champion", "2025-01-04T10:00:00Z")
    late_ms = NOW_MS + 1000 * DAY_MS
    done = remove(log, 30, late_ms)
    assert done.removed == ["2025-01-01", "2025-01-02", "2025-01-03"]
    assert done.kept_because == "gates still read the days since 2025-01-04"
    role(log, "challenger", "2025-01-02T10:00:00Z")
    assert remove(log, 30, late_ms).removed == []


def test_the_newest_days_stay_whatever_was_asked_for(log):
    assert remove(log, 1, NOW_MS + 100 * DAY_MS).removed == []
    assert len(remove(log, 1, NOW_MS + LEAST_DAYS * DAY_MS + 10 * DAY_MS).removed) == N_DAYS


def test_where_a_role_can_not_be_read_nothing_is_removed(log):
    (log.parent / "models").mkdir()
    (log.parent / "models" / "champion").write_text("{")
    done = remove(log, 30, NOW_MS + 1000 * DAY_MS)
    assert done.removed == []
    assert "can not be read" in done.kept_because


def test_a_pruned_log_has_no_damage(log):
    remove(log, 1, NOW_MS + 1000 * DAY_MS)
    assert read(log)[1] == Damage()


def test_a_full_disk_leaves_the_day_as_it_is(log):
    before, _ = read(log)
    with largest_file(200):
        done = compress(log)
    assert done.compressed == []
    assert all("stays as it is" in fault for fault in done.faults)
    assert read(log) == (before, Damage())
    assert compress(log).compressed, "and another time it works"
    assert not list(log.glob(".*"))


def test_a_dry_run_changes_nothing(log):
    before = sorted(path.name for path in log.iterdir())
    assert compress(log, dry_run=True).compressed
    assert sorted(path.name for path in log.iterdir() if path.name != "retention.lock") == before


def test_of_two_at_once_the_second_is_refused(log, capsys):
    held = os.open(log / "retention.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(held, fcntl.LOCK_EX)
    assert main(["--dir", str(log), "--compress-after-days", "1"]) == 2
    assert "wait for it" in capsys.readouterr().err
    os.close(held)


def test_people_and_programs_are_told_the_same(log, capsys):
    arguments = ["--dir", str(log), "--now", str(NOW_MS), "--compress-after-days", "2", "--dry-run"]
    assert main(arguments) == 0
    assert "4 days would be compressed: 2025-01-01 to 2025-01-04" in capsys.readouterr().out
    assert main([*arguments, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["compressed"]) == 4
    assert main(["--dir", str(log / "none")]) == 2
    assert main(["--dir", str(log)]) == 0
    assert capsys.readouterr().out == "nothing to do\n"


def test_killed_at_any_line_the_log_is_whole_and_the_next_run_ends_it(tmp_path):
    write_log(tmp_path / "source", [bar(n) for n in range(30)])
    now = str(START_MS + 9 * DAY_MS + HOUR_MS)
    command = [sys.executable, "-m", "tests.support.killed_retention", str(tmp_path / "source")]
    ended = subprocess.run(
        [*command, str(tmp_path), now], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    n_kills, n_plain, n_both, n_archives = map(int, ended.stdout.split())
    assert n_kills > 40
    assert min(n_plain, n_both, n_archives) > 0


def test_the_plain_form_counts_while_both_are_there(log):
    compress(log)
    archive = day_files(log)[0]
    plain = archive.with_name("2025-01-01.jsonl")
    plain.write_bytes(b"")
    assert archive_of(plain) == archive != plain
    assert day_files(log)[0] == plain
