"""The command `python -m shadow.report`, as a person or a script meets it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from shadow.report import main
from tests.support.records import bar, silent_bar, write_log

ROOT = Path(__file__).parents[2]
NOW = "2025-01-03T00:00:00Z"


@pytest.fixture
def log(tmp_path):
    write_log(tmp_path, [bar(n) for n in range(48)])
    return tmp_path


def _json(capsys, *arguments: str) -> tuple[int, dict]:
    code = main(["--json", *arguments])
    return code, json.loads(capsys.readouterr().out)


def test_a_healthy_log_is_ready(log, capsys):
    code, report = _json(capsys, "--dir", str(log), "--now", NOW)
    assert code == 0
    assert report["ready"] is True
    assert report["reasons"] == []
    assert (report["bars_expected"], report["bars_recorded"], report["coverage"]) == (48, 48, 1.0)


def test_the_json_has_the_agreed_fields(log, capsys):
    _, report = _json(capsys, "--dir", str(log), "--now", NOW)
    agreed = (
        "bars_expected bars_recorded coverage stacking_activation inactive_reasons members errors"
        " hours_in_shadow share_within_0.3_0.7 ready reasons outcomes luck"
    )
    assert set(agreed.split()) <= report.keys()
    agreed = (
        "n n_effective auc auc_low auc_high rank_ic rank_ic_t brier brier_constant reversal_rule_auc"
    )
    assert set(agreed.split()) <= report["outcomes"]["5"].keys()
    assert {"normal_rate", "statuses", "latency_us_p50", "latency_us_p99"} <= report["members"][
        "lgb"
    ].keys()
    assert report["outcomes"]["5"]["auc"] is None, "a constant probability has no AUC"


def test_a_failing_check_is_not_ready(tmp_path, capsys):
    write_log(tmp_path, [bar(n) if n % 2 else silent_bar(n, "warming_up") for n in range(48)])
    code, report = _json(capsys, "--dir", str(tmp_path), "--now", NOW)
    assert (code, report["ready"]) == (1, False)
    assert "bars with a probability: expected more than 80%, was 50.0%" in report["reasons"]
    assert report["inactive_reasons"] == {"warming_up": 24}


def test_a_damaged_log_is_not_enough_evidence(log, capsys):
    path = log / "2025-01-02.jsonl"
    lines = path.read_bytes().split(b"\n")
    lines[5] = lines[5][:40] + b"?" + lines[5][41:]
    path.write_bytes(b"\n".join(lines))
    code, report = _json(capsys, "--dir", str(log), "--now", NOW)
    assert (code, report["ready"]) == (3, None)
    assert (report["damage"]["broken_lines"], report["damage"]["missing_lines"]) == (1, 1)


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_an_empty_folder_is_not_enough_evidence(tmp_path, capsys, arguments):
    assert main(["--dir", str(tmp_path), *arguments]) == 3
    assert capsys.readouterr().out


def test_few_bars_are_not_enough_evidence(tmp_path, capsys):
    write_log(tmp_path, [bar(n) for n in range(10)])
    code, report = _json(capsys, "--dir", str(tmp_path), "--now", "2025-01-01T10:01:00Z")
    assert (code, report["ready"]) == (3, None)
    assert "on too few bars to judge" in " ".join(report["reasons"])


def test_a_service_that_died_is_not_ready_and_the_report_says_what_to_do(log, capsys):
    assert main(["--dir", str(log), "--now", "2025-02-01T00:00:00Z"]) == 1
    said = capsys.readouterr().out
    assert "NOT READY" in said
    assert "Is the plugin running?" in said


def test_a_replayed_log_is_read_at_its_own_time(tmp_path, capsys):
    write_log(tmp_path, [bar(n, flags={"ML_SOURCE": "replay"}) for n in range(48)])
    _, report = _json(capsys, "--dir", str(tmp_path))
    assert report["now"] == "2025-01-03T00:00:00.000Z"
    assert report["bars_recorded"] == 48


def test_the_folder_comes_from_the_environment(log, capsys, monkeypatch):
    monkeypatch.setenv("ML_SHADOW_DIR", str(log))
    assert _json(capsys, "--now", NOW)[0] == 0


@pytest.mark.parametrize("now", ["2025-01-03T00:00:00Z", "2025-01-03T01:00:00+01:00", "1735862400000"])
def test_now_is_a_time_with_its_zone_or_milliseconds(log, capsys, now):
    assert _json(capsys, "--dir", str(log), "--now", now)[1]["now"] == "2025-01-03T00:00:00.000Z"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--days", "0"], "from 1 to 3650, was 0"),
        (["--days", "-1"], "was -1"),
        (["--days", "two"], "was two"),
        (["--min-bars", "0"], "was 0"),
        (["--now", "2025-01-03"], "with its zone"),
        (["--now", "yesterday"], "was yesterday"),
        (["--now", "1735862400"], "milliseconds"),
        (["--colour"], "--colour"),
    ],
)
def test_a_wrong_flag_is_wrong_use(log, capsys, arguments, says):
    with pytest.raises(SystemExit) as stopped:
        main(["--dir", str(log), *arguments])
    assert stopped.value.code == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--now", "2999-01-01T00:00:00Z"], "has passed"),
        (["--symbol", "btc/usdt"], "try BTC/USDT"),
        (["--symbol", "none"], "try BTC/USDT"),
        (["--dir", "no/such/folder"], "no/such/folder"),
    ],
)
def test_bad_input_is_told_without_a_traceback(log, capsys, arguments, says):
    assert main(["--dir", str(log), *arguments]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert says in output.err
    assert output.err.count("\n") == 1


def test_a_record_with_no_known_timeframe_is_told_without_a_traceback(tmp_path, capsys):
    write_log(tmp_path, [bar(0, timeframe="soon")])
    assert main(["--dir", str(tmp_path), "--now", NOW]) == 2
    assert "'soon'" in capsys.readouterr().err


def _screen(capsys, *arguments: str) -> str:
    main(list(arguments))
    return capsys.readouterr().out


def test_the_report_fits_80_columns(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    symbols = [f"LONGNAME{at}/USDT" for at in range(12)]
    write_log(tmp_path, [bar(n, symbol=symbol) for n in range(48) for symbol in symbols])
    said = _screen(capsys, "--dir", str(tmp_path), "--now", NOW)
    assert max(map(len, said.splitlines())) <= 80
    assert "4 better ones" in said


def test_a_simulated_market_is_named_before_anything_else(tmp_path, capsys):
    write_log(tmp_path, [bar(n, flags={"ML_EXCHANGE": "simulated"}) for n in range(48)])
    said = _screen(capsys, "--dir", str(tmp_path), "--now", NOW)
    assert "SIMULATED" in said.splitlines()[0]
    assert "NOT ENOUGH EVIDENCE" in said


def test_texts_of_the_log_can_not_steer_the_terminal(tmp_path, capsys):
    write_log(
        tmp_path, [bar(0, ml_error="[bold]x[/nope] \x1b[2J\x07 end"), *(bar(n) for n in range(1, 48))]
    )
    said = _screen(capsys, "--dir", str(tmp_path), "--now", NOW)
    assert "[bold]x[/nope] ·[2J· end 1" in said
    assert "\x1b[2J" not in said


def test_it_runs_as_a_module_and_shows_its_help(log):
    command = [sys.executable, "-m", "shadow.report"]
    helped = subprocess.run([*command, "--help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "examples:" in helped.stdout
    ran = subprocess.run(
        [*command, "--dir", str(log), "--now", NOW],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "80"},
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "Could it be luck?" in ran.stdout


def test_reading_the_log_brings_in_neither_scipy_nor_numpy():
    """The live process writes with these modules, and is to stay small."""
    script = (
        "import sys, shadow.writer; print([name for name in ('numpy', 'scipy') if name in sys.modules])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ran.stdout == "[]\n"
