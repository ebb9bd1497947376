"""`python -m training experiments` as a person types it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.small_training import SmallTraining
from training.__main__ import main

ROOT = Path(__file__).parents[3]
IDS = (
    "20260101T000000Z-aaaaaaaaaaaa",
    "20260102T000000Z-bbbbbbbbbbbb",
    "20260103T000000Z-cccccccccccc",
)
TUNED = {"study": "0123456789abcdef", "member": "lstm", "n_trials": 15, "auc": 0.58}


@pytest.fixture
def models(small_training: SmallTraining, tmp_path: Path) -> Path:
    """Three records, the second of them of a tuned training."""
    [path] = (small_training.models / "runs").glob("*.json")
    folder = tmp_path / "models"
    (folder / "runs").mkdir(parents=True)
    for number, bundle_id in enumerate(IDS):
        record = json.loads(path.read_bytes()) | {"bundle_id": bundle_id}
        record["settings"]["seed"] = number
        record["tuning"] = TUNED if number == 1 else None
        (folder / "runs" / f"{bundle_id}.json").write_text(json.dumps(record))
    return folder


def said(models: Path, *more: str) -> int:
    return main(["experiments", "--models-dir", str(models), *more])


def test_a_person_reads_the_runs_the_newest_last(
    models: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert said(models) == 0
    printed = capsys.readouterr().out
    assert [line.split()[0] for line in printed.splitlines() if line.startswith("2026")] == list(IDS)
    assert printed.count("best of 15 trials") == 1
    assert "lgb xgb cross" in printed
    assert "…" not in printed
    assert max(map(len, printed.splitlines())) <= 80
    record = json.loads((models / "runs" / f"{IDS[0]}.json").read_bytes())
    one = record["metrics"]["5"]["symbols"]["ETH/USDT"]["stack"]
    assert f"{one['auc']:.3f} ({one['auc_low']:.3f}-{one['auc_high']:.3f})" in printed


def test_the_newest_alone(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(models, "--last", "2", "--json") == 0
    runs = json.loads(capsys.readouterr().out)["runs"]
    assert [one["bundle_id"] for one in runs] == list(IDS[1:])
    assert runs[0]["tuning"] == TUNED
    assert (runs[0]["symbols"], runs[0]["horizon"]) == (["BTC/USDT", "ETH/USDT"], 5)
    assert runs[0]["members"] == ["lgb", "xgb", "cross"]
    assert set(runs[0]["stack"]) == {"BTC/USDT", "ETH/USDT"}


def test_damaged_records_are_named_and_the_others_listed(
    models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (models / "runs" / f"{IDS[0]}.json").write_text("{")
    (models / "runs" / "no\x1b[2Jtes.json").write_text("[]")
    assert said(models) == 0
    printed = capsys.readouterr()
    assert f"skipped {IDS[0]}.json: " in printed.err
    assert "skipped no·[2Jtes.json: " in printed.err
    assert IDS[1] in printed.out
    assert said(models, "--json") == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert len(json.loads(printed.out)["skipped"]) == 2


def test_without_a_record_it_is_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(tmp_path) == 1
    assert "no record in " in capsys.readouterr().out
    assert said(tmp_path, "--json") == 1
    assert json.loads(capsys.readouterr().out) == {"runs": [], "skipped": []}


def test_two_are_compared_by_the_beginnings_of_their_ids(
    models: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert said(models, "20260103", "20260102") == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"A  {IDS[2]} ")
    cells = [line.split() for line in printed.splitlines()]
    assert ["seed", "2", "1"] in cells
    assert not any("num_leaves" in line for line in printed.splitlines())
    titles = [line for line in printed.splitlines() if "bars ahead" in line]
    assert "BTC/USDT, 24 bars ahead: AUC (95 %)" in titles
    assert "Stack, all served symbols, 5 bars ahead: AUC by fold" in titles
    assert "Stack, ETH/USDT, 12 bars ahead: AUC by year" in titles
    assert "…" not in printed


def test_the_comparison_as_json_and_as_a_page(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.html"
    assert said(models, *IDS, "--json", "--html", str(page)) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["differences"] == {
        "seed": [0, 1, 2],
        "tuning.study": [None, TUNED["study"], None],
        "tuning.member": [None, "lstm", None],
        "tuning.n_trials": [None, 15, None],
        "tuning.auc": [None, 0.58, None],
    }
    assert [len(each) for each in told["folds"]["5"].values()] == [3, 3]
    assert all(bundle_id in page.read_text() for bundle_id in IDS)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["20260101"], "expected 2 to 6 ids to compare, was 1"),
        (["x"] * 7, "expected 2 to 6 ids to compare, was 7"),
        (["2026", "20260101"], "was 3 of them"),
        (["2027", "20260101"], "was none of them"),
        (["20260101", "20260101T"], "one of them twice"),
        (["20260101", "20260102", "--last", "2"], "expected ids or --last, was both"),
        (["--last", "0"], "from 1 on after --last"),
        (["--html", "page.html"], "ids to compare with --html"),
        (["20260101", "20260102", "--html", "/no/such/folder/page.html"], "No such file"),
    ],
)
def test_wrong_use_is_exit_code_2(
    models: Path, more: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said(models, *more) == 2
    assert told in capsys.readouterr().err


def test_listing_loads_no_training_library(models: Path) -> None:
    code = (
        "import sys\nfrom training.__main__ import main\n"
        f"main(['experiments', '--models-dir', {str(models)!r}])\n"
        "heavy = ('torch', 'lightgbm', 'xgboost', 'sklearn', 'scipy', 'optuna', 'jinja2')\n"
        "assert not [name for name in heavy if name in sys.modules]\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, timeout=60)


def test_help_shows_an_example_and_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["experiments", "--help"])
    assert caught.value.code == 0
    printed = capsys.readouterr().out
    assert "  python -m training experiments --last 10" in printed
    assert "exit codes: 0 listed or compared" in printed
