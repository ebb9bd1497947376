"""The newest records of a log, from its end."""

import pytest

from shadow.board.last_lines import newest_records, read_end
from shadow.files import day_files
from tests.support.records import bar, write_log


def opened(records) -> list[int]:
    return [record.open_time_ms for record in records]


@pytest.mark.parametrize("n", [1, 5, 24, 25, 60, 200])
def test_they_are_the_last_ones_of_the_log_over_all_days(tmp_path, n):
    written = [bar(at) for at in range(75)]
    write_log(tmp_path, written)
    assert opened(newest_records(tmp_path, n)) == opened(written[::-1][:n])


@pytest.mark.parametrize("first_bytes", [100, 700, 5000])
def test_it_goes_as_far_back_as_it_must(tmp_path, monkeypatch, first_bytes):
    monkeypatch.setattr("shadow.board.last_lines._FIRST_BYTES", first_bytes)
    written = [bar(at, symbol="ETH/USDT" if at % 7 == 0 else "BTC/USDT") for at in range(40)]
    write_log(tmp_path, written)
    found = newest_records(tmp_path, 4, frozenset({"ETH/USDT"}))
    assert opened(found) == opened([written[at] for at in (35, 28, 21, 14)])


def test_it_gives_up_before_it_has_read_everything(tmp_path, monkeypatch):
    monkeypatch.setattr("shadow.board.last_lines._FIRST_BYTES", 1000)
    monkeypatch.setattr("shadow.board.last_lines._MOST_BYTES", 1000)
    write_log(tmp_path, [bar(at) for at in range(20)])
    assert 0 < len(newest_records(tmp_path, 20)) < 5


def test_damaged_lines_and_the_one_on_its_way_are_left_out(tmp_path):
    write_log(tmp_path, [bar(at) for at in range(10)])
    [path] = day_files(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[7] = lines[7].replace(b"shadow", b"shadov")
    path.write_bytes(b"".join(lines)[:-30])
    assert opened(newest_records(tmp_path, 3)) == opened([bar(8), bar(6), bar(5)])


def test_a_log_that_is_not_there_has_none(tmp_path):
    assert newest_records(tmp_path / "nothing", 5) == []


def test_the_end_of_a_file_says_whether_it_is_all(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    assert read_end(path, 4) == (b"6789", False)
    assert read_end(path, 10) == (b"0123456789", True)
