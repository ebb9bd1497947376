"""The table that other programs read."""

import csv
import io

import pytest

from shadow.errors import LogUnusable
from shadow.table_file import STDOUT, write_table
from tests.support.evidence_log import evidence_log, found
from tests.support.records import HOUR_MS, START_MS, bar, write_log


def read(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_each_bar_has_a_line_with_what_was_said_and_what_came(tmp_path):
    closes = [100.0, 101.0, 99.0, 98.0, 97.0, 102.0, 103.0]
    told = [bar(n, close=close, probabilities={"5": 0.6}) for n, close in enumerate(closes)]
    write_log(tmp_path / "log", told)
    _, window = found(tmp_path / "log", START_MS + 7 * HOUR_MS)
    path = tmp_path / "bars.csv"
    write_table(path, window)
    lines = read(path)
    assert len(lines) == 7
    first = lines[0]
    assert (first["symbol"], first["closed"]) == ("BTC/USDT", "2025-01-01T01:00:00.000Z")
    assert (float(first["return_5"]), float(first["up_5"])) == (pytest.approx(0.02), 1.0)
    assert (lines[1]["return_5"] != "", lines[2]["return_5"], lines[2]["up_5"]) == (True, "", "")
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_was_not_said_is_empty(tmp_path):
    end_ms = evidence_log(tmp_path / "log", n_bars=100)
    _, window = found(tmp_path / "log", end_ms)
    write_table(tmp_path / "bars.csv", window)
    lines = read(tmp_path / "bars.csv")
    assert len(lines) == sum(int(rows.in_window.sum()) for rows in window.rows)
    assert {line["p_5"] for line in lines if line["reason"] == "gap"} == {""}


def test_no_text_of_the_log_is_a_formula_or_breaks_a_line(tmp_path):
    hostile = '=cmd|"/c calc"!A1\r\n,'
    write_log(
        tmp_path / "log", [bar(n, symbol=hostile, host_signal="@x", champion="-1") for n in range(3)]
    )
    _, window = found(tmp_path / "log", START_MS + 3 * HOUR_MS)
    write_table(tmp_path / "bars.csv", window)
    for line in read(tmp_path / "bars.csv"):
        assert line["symbol"].startswith("'=cmd")
        assert (line["host_signal"], line["champion"]) == ("'@x", "'-1")


def test_a_dash_is_stdout(tmp_path, capsys):
    write_log(tmp_path, [bar(0)])
    write_table(STDOUT, found(tmp_path, START_MS + HOUR_MS)[1])
    assert len(list(csv.reader(io.StringIO(capsys.readouterr().out)))) == 2


def test_a_file_that_can_not_be_written_is_an_error_that_names_it(tmp_path):
    write_log(tmp_path, [bar(0)])
    with pytest.raises(LogUnusable, match="name another file"):
        write_table(tmp_path / "none" / "bars.csv", found(tmp_path, START_MS + HOUR_MS)[1])
