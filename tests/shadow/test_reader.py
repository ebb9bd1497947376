"""The log as it is read: what is whole comes through, what is not is counted."""

from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from shadow.files import MAX_LINE_BYTES
from shadow.reader import BarKey, Damage, LogReader
from shadow.record import SCHEMA, BarRecord, RecoveredRecord, RevisionRecord, encode_line
from tests.support.records import START_MS, bar, write_log

DAY = "2025-01-01"


def _read(folder: Path, **days: str) -> tuple[list[int], Damage]:
    """Which bars come through, by their number, and the damage."""
    reader = LogReader(folder, BarRecord, **days)
    bars = [(record.open_time_ms - START_MS) // 3_600_000 for record in reader]
    return bars, reader.damage


def _lines(n: int, first_seq: int = 1) -> list[bytes]:
    return [encode_line(bar(at, seq=first_seq + at, written_at="")) for at in range(n)]


def _put(folder: Path, content: bytes, day: str = DAY) -> None:
    (folder / f"{day}.jsonl").write_bytes(content)


def test_a_healthy_log_has_no_damage(tmp_path):
    write_log(tmp_path, [bar(n) for n in range(60)])
    bars, damage = _read(tmp_path)
    assert bars == list(range(60))
    assert damage == Damage()
    assert len(list(tmp_path.glob("*.jsonl"))) == 3


def test_a_missing_folder_reads_as_an_empty_log(tmp_path):
    assert _read(tmp_path / "nowhere") == ([], Damage())


def test_a_slim_bar_type_reads_the_same_bars(tmp_path):
    write_log(tmp_path, [bar(n) for n in range(5)])
    keys = list(LogReader(tmp_path, BarKey))
    assert [key.open_time_ms for key in keys] == [bar(n).open_time_ms for n in range(5)]


def test_only_the_files_of_the_days_are_opened(tmp_path):
    write_log(tmp_path, [bar(n) for n in range(72)])
    (tmp_path / "2025-01-01.jsonl").write_bytes(b"not read\n")
    bars, damage = _read(tmp_path, since_day="2025-01-02", until_day="2025-01-02")
    assert bars == list(range(23, 47))
    assert damage == Damage(), "a log of a few days may start at any seq"


@pytest.mark.parametrize("cut", [1, 20, 100, 500])
def test_a_tail_in_flight_is_ignored(tmp_path, cut):
    first, second = _lines(2)
    _put(tmp_path, first + second[:-cut])
    assert _read(tmp_path) == ([0], Damage())


def test_a_torn_tail_of_an_older_file_is_damage(tmp_path):
    first, second, third = _lines(3)
    _put(tmp_path, first + second[:-9])
    _put(tmp_path, third, "2025-01-02")
    assert _read(tmp_path) == ([0, 2], Damage(broken_lines=1, missing_lines=1))


@pytest.mark.parametrize(
    "spoilt",
    [
        b"\0" * 4096 + b"\n",
        b"\xff\xfe broken \xc3\x28\n",
        b"\n",
        b"{}\n",
        b'{"type":"bar","crc32":"00000000"}\n',
    ],
    ids=["NUL block", "invalid UTF-8", "empty", "no crc32", "wrong crc32"],
)
def test_a_spoilt_line_in_the_middle_is_skipped_and_counted(tmp_path, spoilt):
    first, _, third = _lines(3)
    _put(tmp_path, first + spoilt + third)
    assert _read(tmp_path) == ([0, 2], Damage(broken_lines=1, missing_lines=1))


def test_two_glued_lines_are_one_broken_and_two_missing(tmp_path):
    first, second, third, fourth = _lines(4)
    _put(tmp_path, first + second[:-1] + third + fourth)
    assert _read(tmp_path) == ([0, 3], Damage(broken_lines=1, missing_lines=2))


@pytest.mark.parametrize("n_bytes", [MAX_LINE_BYTES + 1, 1 << 20, (5 << 20) + 3])
def test_an_overlong_line_counts_once_whatever_its_length(tmp_path, n_bytes):
    first, second = _lines(2)
    _put(tmp_path, first + b"x" * n_bytes + b"\n" + second)
    assert _read(tmp_path) == ([0, 1], Damage(overlong_lines=1))


def test_an_overlong_line_is_not_read_even_with_a_right_crc(tmp_path):
    _put(tmp_path, encode_line(bar(seq=1, written_at="", ml_error="x" * MAX_LINE_BYTES)))
    assert _read(tmp_path) == ([], Damage(overlong_lines=1))


def test_a_hole_in_seq_counts_the_lines_that_are_gone(tmp_path):
    lines = _lines(6)
    _put(tmp_path, lines[0] + lines[4] + lines[5])
    assert _read(tmp_path) == ([0, 4, 5], Damage(missing_lines=3))


def test_seq_goes_on_from_file_to_file(tmp_path):
    lines = _lines(3)
    _put(tmp_path, lines[0])
    _put(tmp_path, lines[2], "2025-01-03")
    assert _read(tmp_path)[1] == Damage(missing_lines=1)


def test_of_a_bar_that_stands_twice_the_first_is_kept(tmp_path):
    again = encode_line(bar(0, seq=2, written_at="", close=999.0))
    _put(tmp_path, _lines(1)[0] + again)
    reader = LogReader(tmp_path, BarRecord)
    assert [record.close for record in reader] == [100.0]
    assert reader.damage == Damage(repeated_bars=1)


def test_the_same_bar_of_another_symbol_or_timeframe_is_another_bar(tmp_path):
    others = [bar(0, seq=1), bar(0, seq=2, symbol="ETH/USDT"), bar(0, seq=3, timeframe="4h")]
    _put(tmp_path, b"".join(map(encode_line, others)))
    bars, damage = _read(tmp_path)
    assert (len(bars), damage) == (3, Damage())


def test_a_copied_line_is_a_repeat(tmp_path):
    first, second = _lines(2)
    _put(tmp_path, first + second + second)
    assert _read(tmp_path) == ([0, 1], Damage(repeated_lines=1, repeated_bars=1))


def test_lines_of_a_later_schema_are_counted_and_leave_no_hole(tmp_path):
    later = replace(bar(1, seq=2, written_at=""), schema=SCHEMA + 1)
    first, _, third = _lines(3)
    _put(tmp_path, first + encode_line(later) + third)
    assert _read(tmp_path) == ([0, 2], Damage(newer_lines=1))


def test_revisions_and_repairs_are_counted_and_are_no_damage(tmp_path):
    values = (1.0, 1.0, 1.0, 1.0, 1.0)
    revision = RevisionRecord(
        seq=2,
        written_at="",
        symbol="BTC/USDT",
        timeframe="1h",
        open_time_ms=0,
        seen=values,
        revised=values,
    )
    repair = RecoveredRecord(seq=3, written_at="", dropped_bytes=5)
    _put(tmp_path, _lines(1)[0] + encode_line(revision) + encode_line(repair))
    reader = LogReader(tmp_path, BarRecord)
    assert len(list(reader)) == 1
    assert (reader.n_revisions, reader.n_repairs, reader.damage) == (1, 1, Damage())


def test_other_files_of_the_folder_are_left_alone(tmp_path):
    write_log(tmp_path, [bar(0)])
    (tmp_path / "2025-01-01.jsonl.torn-1").write_bytes(b"x")
    (tmp_path / "notes.jsonl").write_bytes(b"x\n")
    assert _read(tmp_path) == ([0], Damage())


def test_lines_are_cut_at_block_borders_without_loss(tmp_path):
    write_log(tmp_path, [bar(n, ml_error="e" * 50_000) for n in range(60)])
    bars, damage = _read(tmp_path)
    assert (bars, damage) == (list(range(60)), Damage())


@pytest.mark.parametrize(
    "body",
    [b'{"schema":1,"seq":2,"type":"weather"}', b'{"schema":"x"}', b'{"type":"bar","schema":1,"seq":2}'],
)
def test_a_line_with_a_right_crc_that_is_no_record_is_broken(tmp_path, body):
    first, _, third = _lines(3)
    _put(tmp_path, first + encode_line(msgspec.Raw(body)) + third)  # type: ignore[arg-type]
    assert _read(tmp_path) == ([0, 2], Damage(broken_lines=1, missing_lines=1))


def test_a_later_schema_is_known_by_its_number_however_else_it_looks(tmp_path):
    first, _, third = _lines(3)
    later = b'{"schema":%d,"seq":2,"type":"weather"}' % (SCHEMA + 1)
    _put(tmp_path, first + encode_line(msgspec.Raw(later)) + third)  # type: ignore[arg-type]
    assert _read(tmp_path) == ([0, 2], Damage(newer_lines=1))
