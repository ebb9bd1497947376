"""`python -m training run` as a person types it."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from plugin.bundle import load_bundle
from plugin.registry import Registry
from tests.support.small_training import END_MS, HOUR_MS, SmallTraining
from training.__main__ import main
from training.attempts import attempts
from training.candles import simulate
from training.settings import REFERENCE_ASSETS

ROOT = Path(__file__).parents[3]
N_BARS = 2_400


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    simulate(folder, REFERENCE_ASSETS, "1h", N_BARS, seed=3, end_ms=END_MS)
    return folder


def arguments(store: Path, models: Path, *more: str) -> list[str]:
    where = ["--store", str(store), "--venue", "simulated", "--models-dir", str(models)]
    return ["run", *where, "--folds", "2", *more]


def test_a_person_reads_how_good_it_is_and_where_it_is(
    store: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main(arguments(store, tmp_path / "models")) == 0
    printed = capsys.readouterr()
    [bundle] = (tmp_path / "models" / "bundles").iterdir()
    assert f"bundle:  {bundle} (champion)" in printed.out
    assert "BTC/USDT, 5 bars ahead:" in printed.out
    assert "SIMULATED" in printed.out
    assert "…" not in printed.out
    assert "gates" in printed.err
    assert printed.out.splitlines()[-1] == "candidate number 1 is champion: it serves from now on"


@pytest.mark.parametrize(
    ("role", "told"),
    [
        ("challenger", "challenger, beside {champion}; `python -m gates review` says how it does"),
        ("waiting", "waiting: the challenger's seat is taken by {challenger}"),
    ],
)
def test_the_last_words_say_what_became_of_it(
    small_training: SmallTraining,
    models: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    role: str,
    told: str,
) -> None:
    champion = small_training.outcome.bundle.name
    shutil.copytree(models / "bundles" / champion, models / "bundles" / "another")
    Registry(models).appoint("another", at="", who="test", why="fit", role="challenger")
    outcome = replace(
        small_training.outcome, role=role, record={**small_training.outcome.record, "candidate": 7}
    )
    monkeypatch.setattr("training.commands.run.retrain", lambda *_, **__: outcome)
    assert main(arguments(small_training.store, models)) == 0
    last_line = capsys.readouterr().out.splitlines()[-1]
    told = told.format(champion=champion, challenger="another")
    assert last_line == f"candidate number 7 is {told}"


def test_why_it_was_trained_is_written_down(store: Path, tmp_path: Path) -> None:
    assert main(arguments(store, tmp_path, "--folds", "200", "--trigger", "for a test")) == 2
    assert [one.began.trigger for one in attempts(tmp_path)] == ["for a test"]


def test_a_person_is_told_what_was_taken_over_and_what_was_damaged(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def cut(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("training.retrain.draft_bundle", cut)
        assert main(arguments(store, tmp_path)) == 130
    assert "with --resume the same command goes on from there" in capsys.readouterr().err
    [damaged] = (tmp_path / "resume").glob("*/xgb_h12_final")
    damaged.write_bytes(damaged.read_bytes()[:-1])
    assert main(arguments(store, tmp_path, "--resume")) == 0
    assert capsys.readouterr().out.splitlines()[-3:] == [
        "resumed: 32 models had been trained before the cut",
        "damaged and made again: xgb_h12_final",
        "candidate number 2 is champion: it serves from now on",
    ]


def test_json_is_one_object_and_nothing_else(store: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "training", *arguments(store, tmp_path / "models", "--json")]
    held_out = ["--hold-out-days", "1.5", "--until", "2024-12-31", "--seed", "11"]
    symbols = ["--symbols", "ETH/USDT", "BTC/USDT", "ETH/USDT"]
    ended = subprocess.run(
        [*command, *held_out, *symbols],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    answer = json.loads(ended.stdout)
    [bundle] = (tmp_path / "models" / "bundles").iterdir()
    assert load_bundle(bundle).bundle_id == answer["bundle_id"]
    assert (answer["role"], answer["candidate"], answer["trigger"]) == ("champion", 1, "by command")
    settings = answer["settings"]
    assert settings["until_ms"] == END_MS - (24 + 36) * HOUR_MS
    assert settings["symbols"] == ["ETH/USDT", "BTC/USDT"], "each once, in the order asked for"
    assert (settings["seed"], settings["n_folds"]) == (11, 2)
    assert set(answer["metrics"]["5"]["symbols"]) == {"ETH/USDT", "BTC/USDT"}


def test_a_bundle_that_is_fit_for_nothing_is_exit_code_1(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a single fold the stack is never judged, and what is not known is never a pass."""
    assert main(arguments(store, tmp_path / "models", "--folds", "1")) == 1
    printed = capsys.readouterr().out
    assert "fit for nothing" in printed
    assert "candidate number 1 is unfit: " in printed
    assert not (tmp_path / "models" / "champion").exists()


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--symbols", "BTCUSDT"], "did you mean BTC/USDT?"),
        (["--venue", "simulatd"], "choose the venue simulated"),
        (["--timeframe", "1hour"], "a timeframe such as"),
        (["--folds", "0"], "fewer folds"),
        (["--folds", "200"], "fewer folds"),
        (["--until", "2020-01-01"], "choose other dates"),
        (["--since", "2024-12-30"], "use a longer history"),
        (["--hold-out-days", "3000"], "choose other dates"),
        (["--store", "nowhere"], "fetch first"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(
    store: Path, tmp_path: Path, more: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(store, tmp_path / "models", "--json", *more)) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    [line] = printed.err.splitlines()
    assert told in line
    assert not (tmp_path / "models" / "bundles").exists()


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--hold-out-days", "nan"], "expected a number of days such as 14, was 'nan'"),
        (["--hold-out-days", "-1"], "expected a number of days such as 14, was '-1'"),
        (["--hold-out-days", "two"], "expected a number of days such as 14, was 'two'"),
        (["--hold-out-days", "1e9"], "expected a number of days such as 14, was '1e9'"),
        (["--since", "yesterday"], "expected a date such as 2021-01-01, was 'yesterday'"),
        (["--seed", "18446744073709551616"], "expected a seed from 0 to 2147483647"),
        (["--seed", "-1"], "expected a seed from 0 to 2147483647"),
    ],
)
def test_an_argument_that_is_none_is_exit_code_2(
    store: Path, tmp_path: Path, more: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments(store, tmp_path / "models", *more))
    assert caught.value.code == 2
    assert told in " ".join(capsys.readouterr().err.split())


def test_help_shows_an_example_and_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["run", "--help"])
    assert caught.value.code == 0
    printed = capsys.readouterr().out
    assert "example:\n  python -m training run " in printed
    assert "exit codes: 0 fit for shadow or live" in printed


def test_members_are_chosen_by_name_and_the_others_do_not_learn(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = ["--members", "lstm", "lgb", "--quick-test", "--json"]
    main(arguments(store, tmp_path / "models", *chosen))
    record = json.loads(capsys.readouterr().out)
    assert list(record["members"]) == ["lgb", "lstm"]
    assert record["networks"]["lstm"]["n_parameters"] > 10_000
    assert record["settings"]["quick"] is True
    picture = tmp_path / "models" / "runs" / f"{record['bundle_id']}.png"
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_networks_alone_are_refused(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(store, tmp_path / "models", "--members", "lstm")) == 2
    assert "at least one of lgb, xgb, cross" in capsys.readouterr().err
