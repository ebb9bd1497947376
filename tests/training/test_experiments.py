"""Run records are read as they were written; what is none is named; none is mixed up."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from plugin.errors import WrongUse
from tests.support.small_training import SmallTraining
from training.experiments import Area, compare, find, read_runs


@pytest.fixture
def record(small_training: SmallTraining) -> dict[str, Any]:
    [path] = (small_training.models / "runs").glob("*.json")
    return json.loads(path.read_bytes())


def put(models: Path, record: dict[str, Any], bundle_id: str, **changes: Any) -> Path:
    """Another record, in its place."""
    path = models / "runs" / f"{bundle_id}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({**record, "bundle_id": bundle_id, **changes}))
    return path


def test_the_record_of_a_training_is_read(
    small_training: SmallTraining, record: dict[str, Any]
) -> None:
    [run], skipped = read_runs(small_training.models)
    assert skipped == []
    assert (run.bundle_id, run.role) == (record["bundle_id"], "champion")
    assert run.tuning is None
    assert run.total_minutes() == pytest.approx(sum(record["minutes"].values()))
    for symbol, area in run.stack().items():
        figures = record["metrics"]["5"]["symbols"][symbol]["stack"]
        assert area == Area(figures["auc"], figures["auc_low"], figures["auc_high"])
    assert list(run.stack()) == ["BTC/USDT", "ETH/USDT"]


def test_a_record_from_before_tuning_is_read(tmp_path: Path, record: dict[str, Any]) -> None:
    del record["tuning"], record["settings"]["tuning"]
    put(tmp_path, record, "old")
    assert [run.tuning for run in read_runs(tmp_path)[0]] == [None]


def test_the_newest_comes_last_and_no_folder_is_no_record(
    tmp_path: Path, record: dict[str, Any]
) -> None:
    assert read_runs(tmp_path) == ([], [])
    for bundle_id in ("20260102T000000Z-b", "20260101T000000Z-c", "20260103T000000Z-a"):
        put(tmp_path, record, bundle_id)
    ids = [run.bundle_id[:8] for run in read_runs(tmp_path)[0]]
    assert ids == ["20260101", "20260102", "20260103"]


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda text: b"", "truncated"),
        (lambda text: text[: len(text) // 2], "truncated"),
        (lambda text: b"\xff" + text, "malformed"),
        (lambda text: b"[" * 100_000, "object"),
        (lambda text: b'{"bundle_id":"one"}', "missing required field"),
        (lambda text: text.replace(b'"primary_horizon": 5', b'"primary_horizon": 6'), "figures of 6"),
        (lambda text: text.replace(b'"stack": {', b'"stock": {'), "figures of stack"),
        (lambda text: text.replace(b'"test_start": "', b'"test_start": "x'), "date"),
        (lambda text: text.replace(b'"bundle_id": "one"', b'"bundle_id": "two"'), "record of 'two'"),
    ],
)
def test_what_is_no_record_is_named_and_skipped(
    tmp_path: Path, record: dict[str, Any], damage: Any, why: str
) -> None:
    path = put(tmp_path, record, "one")
    put(tmp_path, record, "whole")
    before = path.read_bytes()
    path.write_bytes(damage(before))
    assert path.read_bytes() != before
    runs, skipped = read_runs(tmp_path)
    assert [run.bundle_id for run in runs] == ["whole"]
    assert [one.file for one in skipped] == ["one.json"]
    assert why in skipped[0].why.lower()


def test_a_folder_among_the_records_is_named(tmp_path: Path, record: dict[str, Any]) -> None:
    put(tmp_path, record, "whole")
    (tmp_path / "runs" / "folder.json").mkdir()
    assert [one.file for one in read_runs(tmp_path)[1]] == ["folder.json"]


def test_an_id_may_be_cut_as_long_as_one_run_alone_begins_so(
    tmp_path: Path, record: dict[str, Any]
) -> None:
    for bundle_id in ("20260101T000000Z-aa", "20260101T000000Z-ab"):
        put(tmp_path, record, bundle_id)
    runs = read_runs(tmp_path)[0]
    assert find(runs, "20260101T000000Z-ab").bundle_id == "20260101T000000Z-ab"
    with pytest.raises(WrongUse, match="was 2 of them"):
        find(runs, "20260101")
    with pytest.raises(WrongUse, match="was none of them"):
        find(runs, "2027")


def test_only_what_differs_is_named(tmp_path: Path, record: dict[str, Any]) -> None:
    put(tmp_path, record, "a")
    other = json.loads(json.dumps(record))
    other["settings"]["seed"] = 8
    other["members"]["lgb"]["parameters"]["num_leaves"] = 63
    del other["members"]["xgb"]["parameters"]["eta"]
    put(tmp_path, other, "b")
    runs = read_runs(tmp_path)[0]
    assert compare([runs[0], runs[0]]).differences == {}
    assert compare(runs).differences == {
        "seed": [7, 8],
        "members.lgb.parameters.num_leaves": [31, 63],
        "members.xgb.parameters.eta": [0.05, None],
    }


def test_of_a_tuned_training_the_study_is_named_and_each_parameter_once(
    tmp_path: Path, record: dict[str, Any]
) -> None:
    put(tmp_path, record, "a")
    other = json.loads(json.dumps(record))
    other["settings"]["tuning"] = {"parameters": {"num_leaves": 63}}
    other["members"]["lgb"]["parameters"]["num_leaves"] = 63
    put(tmp_path, other, "b", tuning={"study": "x", "member": "lstm", "n_trials": 15, "auc": 0.58})
    assert compare(read_runs(tmp_path)[0]).differences == {
        "tuning.study": [None, "x"],
        "tuning.member": [None, "lstm"],
        "tuning.n_trials": [None, 15],
        "tuning.auc": [None, 0.58],
        "members.lgb.parameters.num_leaves": [31, 63],
    }


def test_figures_stand_side_by_side_in_the_order_given(tmp_path: Path, record: dict[str, Any]) -> None:
    put(tmp_path, record, "a")
    other = json.loads(json.dumps(record))
    of_stack = other["metrics"]["12"]["symbols"]["ETH/USDT"]["stack"]
    of_stack |= {"auc": 0.9, "auc_low": 0.8, "auc_high": 0.95}
    other["metrics"]["12"]["folds"][1] |= {"test_start": "1999-01-01"}
    del other["metrics"]["24"]["symbols"]["BTC/USDT"]
    other["metrics"]["5"]["years"]["BTC/USDT"] = {"1999": {"stack": 0.7}}
    put(tmp_path, other, "b")
    first, second = read_runs(tmp_path)[0]
    found = compare([second, first])
    assert [run.bundle_id for run in found.runs] == ["b", "a"]
    assert list(found.figures) == ["5", "12", "24"]
    one, two = found.figures["12"]["ETH/USDT"]["stack"]
    assert one == Area(0.9, 0.8, 0.95)
    assert two == first.metrics["12"].symbols["ETH/USDT"]["stack"]
    assert found.figures["24"]["BTC/USDT"]["lgb"][0] is None
    assert found.figures["24"]["BTC/USDT"]["lgb"][1] is not None
    area = record["metrics"]["12"]["folds"][1]["auc"]["stack"]
    start = record["metrics"]["12"]["folds"][1]["test_start"]
    assert found.folds["12"]["1999-01-01"] == [area, None]
    assert found.folds["12"][start] == [None, area]
    assert found.years["5"]["BTC/USDT"]["1999"] == [0.7, None]


def test_records_can_be_copied_from_elsewhere(small_training: SmallTraining, tmp_path: Path) -> None:
    shutil.copytree(small_training.models / "runs", tmp_path / "runs")
    assert len(read_runs(tmp_path)[0]) == 1
