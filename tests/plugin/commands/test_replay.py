"""What a person, or a program, meets at the command line of a replay."""

import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog

from plugin.command_line import run_command
from plugin.commands import replay as command
from shadow.reader import Damage, LogReader
from shadow.record import BarRecord
from shadow.writer import ShadowWriter
from tests.support import replays
from tests.support.small_training import END_MS, SmallTraining

Said = tuple[int, str, str]
Replay = Callable[..., Said]


@pytest.fixture
def replay(
    small_training: SmallTraining,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Replay]:
    """Replay in this process: the exit code, stdout and stderr."""
    for key, value in small_training.environment(tmp_path / "shadow").items():
        monkeypatch.setenv(key, value)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Said:
        try:
            code = run_command("python -m plugin", "", (command,), ["replay", *arguments])
        except SystemExit as stopped:  # argparse's own way to end
            code = int(stopped.code or 0)
        return code, *capsys.readouterr()

    yield run
    structlog.reset_defaults()


def one_line(text: str) -> str:
    (line,) = text.splitlines()
    return line


def test_help_shows_an_example(replay):
    code, out, _ = replay("--help")
    assert code == 0
    assert "example:\n  python -m plugin replay" in out


def test_json_is_one_object_on_stdout_and_nothing_else(replay, tmp_path):
    code, out, err = replay("--venue", "simulated", "--days", "0.5", "--json")
    answer = json.loads(one_line(out))
    assert code == 0
    assert answer["simulated"] is True
    assert (answer["since"], answer["until"]) == (
        "2024-12-31T12:00:00.000Z",
        "2025-01-01T00:00:00.000Z",
    )
    assert answer["answered"] == sum(answer["actions"].values()) == 2 * 12
    assert answer["modes"] == {"shadow": 24}
    assert answer["record_errors"] == 0
    assert answer["shadow_dir"] == str(tmp_path / "shadow")
    assert all(json.loads(line)["event"] for line in err.splitlines()), "stderr has the log alone"


def test_a_person_is_told_what_happened_and_progress_stays_off_stdout(replay):
    code, out, err = replay("--venue", "simulated", "--days", "0.5")
    assert code == 0
    assert out.startswith("SIMULATED market: no real prices\n24 bars answered in mode shadow: ")
    assert "replaying SIMULATED bars" in err
    assert "replaying" not in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--venue", "binance_spot"], "choose the venue simulated"),
        (["--venue", "../simulated"], "expected a venue such as binance_spot"),
        (["--venue", "simulated", "--store", "nowhere"], "a folder of stored bars"),
        (["--venue", "simulated", "--since", "2024-12-30", "--until", "2024-12-30"], "--since"),
        (["--venue", "simulated", "--since", "2031-01-01"], "earlier --since"),
        (["--venue", "simulated", "--until", "2020-01-01"], "choose other dates"),
        (["--venue", "simulated", "--since", "2024-12-31", "--until", "2024-12-30"], "--since"),
    ],
)
def test_bars_that_are_not_there_are_said_in_one_line(replay, arguments, says):
    code, out, err = replay(*arguments)
    assert (code, out) == (2, "")
    assert says in one_line(err)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--days", "nan"],
        ["--days", "inf"],
        ["--days", "-1"],
        ["--days", "0"],
        ["--days", "two"],
        ["--since", "2024-13-01"],
        ["--until", "yesterday"],
        ["--bars-per-second", "0"],
        ["--bars-per-second", "nan"],
        ["--bars-per-second", "fast"],
        ["--sinse", "2024-12-01"],
    ],
)
def test_an_argument_that_makes_no_sense_is_named(replay, arguments):
    code, out, err = replay(*arguments)
    assert (code, out) == (2, "")
    assert "error: " in err.splitlines()[-1]
    assert "Traceback" not in err


def test_a_slow_replay_takes_its_time_and_leaves_no_state_behind(replay, tmp_path):
    began = time.monotonic()
    code, out, _ = replay("--venue", "simulated", "--days", "0.5", "--bars-per-second", "48", "--json")
    assert time.monotonic() - began > 1.0, "48 bars of four symbols"
    assert (code, json.loads(out)["answered"]) == (0, 24)
    assert list((tmp_path / "run").iterdir()) == []


def test_a_fast_replay_is_not_taken_for_the_live_process(replay, tmp_path):
    assert replay("--venue", "simulated", "--days", "0.5", "--json")[0] == 0
    assert not (tmp_path / "run").exists()


def test_an_unknown_symbol_is_said_in_one_line(replay, monkeypatch):
    monkeypatch.setenv("ML_SYMBOLS", "BTC/USDX")
    code, out, err = replay("--venue", "simulated")
    assert (code, out) == (2, "")
    assert "did you mean BTC/USDT" in one_line(err)


def test_flags_that_can_not_be_understood_are_said_in_one_line(replay, tmp_path):
    (tmp_path / ".env").write_text("ML_ENABLED=yes\n")
    code, out, err = replay("--venue", "simulated")
    assert (code, out) == (2, "")
    assert "line 1" in one_line(err)


def test_a_replay_from_before_the_first_bar_begins_with_it(replay):
    code, out, _ = replay(
        "--venue", "simulated", "--since", "2009-01-03", "--until", "2024-07-19", "--json"
    )
    answer = json.loads(out)
    assert (code, answer["since"]) == (0, "2024-07-18T08:00:00.000Z")
    assert answer["answered"] == 2 * 16
    assert answer["actions"] == {"abstain": 32}, "nothing before the first bar warms it up"


def test_a_log_in_use_ends_with_1(replay, tmp_path):
    with ShadowWriter(tmp_path / "shadow", lambda: END_MS):
        code, out, err = replay("--venue", "simulated", "--days", "1")
    assert (code, out) == (1, "")
    assert "to be the only writer" in err.splitlines()[-1]


_LIMIT_BYTES = 20_000


def test_records_that_do_not_fit_on_the_disk_are_counted_and_the_replay_goes_on(
    small_training, tmp_path
):
    shadow = tmp_path / "shadow"
    limit = (sys.executable, "-c", _LIMITED, str(_LIMIT_BYTES))
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    ended = replays.replay(small_training, shadow, "--days", "2", "--json", before=limit)
    answer = json.loads(ended.stdout)
    assert ended.returncode == 1
    assert answer["answered"] == 2 * 48, "the answers went out all the same"
    assert answer["actions"].keys() <= {"long", "short", "flat"}
    reader = LogReader(shadow, BarRecord)
    n_written = len(list(reader))
    assert n_written == 2 * 48 - answer["record_errors"] < 2 * 48
    assert reader.damage == Damage(missing_lines=reader.damage.missing_lines), "no line was torn"
    assert 0 < reader.damage.missing_lines <= answer["record_errors"], "and the loss shows"
    again = replays.replay(small_training, shadow, "--days", "2", "--json")
    assert (again.returncode, json.loads(again.stdout)["record_errors"]) == (0, 0)


_LIMITED = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
os.execv(sys.argv[2], sys.argv[2:])
"""


def test_the_report_of_a_simulated_replay_says_so_and_ends_where_the_replay_did(
    replay, tmp_path, capsys
):
    from shadow.report import main

    replay("--venue", "simulated", "--days", "2", "--json")
    code = main(["--dir", str(tmp_path / "shadow"), "--days", "2", "--json"])
    report = json.loads(capsys.readouterr().out)
    assert report["simulated"] is True
    assert (report["bars_expected"], report["bars_recorded"]) == (96, 96)
    assert report["now"] == "2025-01-01T00:00:00.000Z"
    assert code == 3, "made-up bars are no evidence"
    main(["--dir", str(tmp_path / "shadow"), "--days", "2"])
    assert "SIMULATED MARKET" in capsys.readouterr().out


def test_a_replay_of_bars_that_were_learnt_from_says_that_it_shows_no_skill(replay):
    _, unseen, _ = replay("--venue", "simulated", "--days", "14")
    assert "learnt from" not in unseen
    _, seen, _ = replay("--venue", "simulated", "--days", "14.5")
    assert "it learnt from bars up to 2024-12-18 00:00" in seen
