"""Whatever happened to the log: the report is made, counts the damage, and is not enough evidence."""

import json
from pathlib import Path

import pytest

from shadow.files import day_files
from shadow.report import main
from shadow.retention import keep_small
from shadow.writer import ShadowWriter
from tests.support.evidence_log import evidence_log
from tests.support.records import HOUR_MS, START_MS, HandClock, bar

N_BARS = 240


def middle(log: Path) -> Path:
    return day_files(log)[4]


def tear_an_old_day(log: Path) -> None:
    path = middle(log)
    path.write_bytes(path.read_bytes()[:-30])


def fill_with_nul(log: Path) -> None:
    content = bytearray(middle(log).read_bytes())
    content[3000:7000] = bytes(4000)
    middle(log).write_bytes(content)


def glue_two_lines(log: Path) -> None:
    lines = middle(log).read_bytes().split(b"\n")
    lines[5:7] = [lines[5] + lines[6]]
    middle(log).write_bytes(b"\n".join(lines))


def break_a_crc(log: Path) -> None:
    lines = middle(log).read_bytes().split(b"\n")
    lines[7] = lines[7][:-4] + b'ff"}'
    middle(log).write_bytes(b"\n".join(lines))


def lose_lines(log: Path) -> None:
    lines = middle(log).read_bytes().split(b"\n")
    del lines[3:6]
    middle(log).write_bytes(b"\n".join(lines))


def lose_a_day(log: Path) -> None:
    middle(log).unlink()


def repeat_lines(log: Path) -> None:
    content = middle(log).read_bytes()
    middle(log).write_bytes(content + content)


def fill_with_noise(log: Path) -> None:
    middle(log).write_bytes(bytes(range(256)) * 400)


def damage_an_archive(log: Path) -> None:
    keep_small(log, log, START_MS + N_BARS * HOUR_MS, compress_after_days=1, keep_days=None)
    middle(log).write_bytes(middle(log).read_bytes()[:-2000])


@pytest.mark.parametrize(
    "spoil",
    [
        tear_an_old_day,
        fill_with_nul,
        glue_two_lines,
        break_a_crc,
        lose_lines,
        lose_a_day,
        repeat_lines,
        fill_with_noise,
        damage_an_archive,
    ],
)
def test_the_report_is_made_and_counts_the_damage(tmp_path, capsys, spoil):
    log = tmp_path / "log"
    end_ms = evidence_log(log, n_bars=N_BARS)
    arguments = ["--dir", str(log), "--now", str(end_ms), "--days", "10"]
    assert main([*arguments, "--json"]) == 0, "whole, it is ready"
    capsys.readouterr()

    spoil(log)

    files = ["--html", str(tmp_path / "page.html"), "--csv", str(tmp_path / "bars.csv")]
    code = main([*arguments, *files, "--json"])
    report = json.loads(capsys.readouterr().out)
    assert (code, report["ready"]) == (3, None)
    assert sum(report["damage"].values()) > 0
    assert any("damage in the log" in reason for reason in report["reasons"])
    assert report["outcomes"]["5"]["n"] > 100, "what is whole is still weighed"
    assert (tmp_path / "page.html").stat().st_size > 10_000
    assert len((tmp_path / "bars.csv").read_text().splitlines()) > 200
    for language in ("en", "zh"):
        assert main([*arguments, "--lang", language]) == 3
        assert capsys.readouterr().out


def test_a_tail_that_was_torn_and_repaired_is_no_damage(tmp_path, capsys):
    end_ms = evidence_log(tmp_path, n_bars=N_BARS)
    last = day_files(tmp_path)[-1]
    last.write_bytes(last.read_bytes() + b'{"type":"bar","half')
    with ShadowWriter(tmp_path, HandClock(end_ms)) as writer:
        assert writer.write_bar(bar(N_BARS))
    main(["--dir", str(tmp_path), "--now", str(end_ms + HOUR_MS), "--days", "10", "--json"])
    report = json.loads(capsys.readouterr().out)
    assert (report["n_repairs"], sum(report["damage"].values())) == (1, 0)


def test_two_days_of_clock_steps_lose_nothing(tmp_path, capsys):
    """The writer's clock runs ahead by two days, and back by three."""
    clock = HandClock()
    with ShadowWriter(tmp_path, clock) as writer:
        for n in range(96):
            step_ms = {30: 48, 60: -72}.get(n, 1) * HOUR_MS
            clock.now_ms += step_ms
            assert writer.write_bar(bar(n, probabilities={"5": 0.5 + 0.001 * (n % 9)}))
    end_ms = START_MS + 96 * HOUR_MS
    assert main(["--dir", str(tmp_path), "--now", str(end_ms), "--days", "4", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["bars_recorded"], sum(report["damage"].values())) == (96, 0)
