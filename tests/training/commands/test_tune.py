"""`python -m training tune` as a person types it, and the training that uses what it found."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.small_training import END_MS
from training.__main__ import main
from training.candles import simulate
from training.models.torch_fit import FitSettings
from training.network_members import DEFAULTS as OF_NETWORKS
from training.network_members import NETWORKS
from training.settings import MEMBERS, REFERENCE_ASSETS
from training.trials import DEFAULTS

N_BARS = 3_000


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    simulate(folder, REFERENCE_ASSETS, "1h", N_BARS, seed=3, end_ms=END_MS)
    return folder


def arguments(command: str, store: Path, models: Path, *more: str) -> list[str]:
    where = ["--store", str(store), "--venue", "simulated", "--models-dir", str(models)]
    return [command, *where, "--folds", "2", *more]


def test_a_person_reads_the_best_beside_the_defaults(
    store: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    code = main(arguments("tune", store, tmp_path, "--trials", "3"))
    printed = capsys.readouterr()
    [result] = (tmp_path / "studies").glob("*.json")
    found = json.loads(result.read_bytes())
    assert set(found) >= {"parameters", "trials", "auc", "default_auc"}
    assert (found["trials"], found["study"]) == (3, result.stem)
    assert code == (0 if found["auc"] > found["default_auc"] else 1)
    cells = [line.split() for line in printed.out.splitlines()]
    for name, default in DEFAULTS.items():
        assert [name, f"{found['parameters'][name]:.4g}", f"{default:.4g}"] in cells
    assert ["mean", f"{found['auc']:.4f}", f"{found['default_auc']:.4f}"] in cells
    assert "The best of 3 trials ever run in this study" in printed.out
    assert f"study: {result.with_suffix('.db')}" in printed.out
    assert "best AUC" in printed.err


def test_a_program_reads_one_object_and_the_same_command_adds_nothing(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = tmp_path / "deeper" / "my.db"
    command = arguments("tune", store, tmp_path, "--trials", "2", "--study", str(study), "--json")
    codes, told = [], []
    for _ in range(2):
        codes.append(main(command))
        printed = capsys.readouterr()
        assert printed.err == ""
        told.append(json.loads(printed.out))
    assert codes[0] == codes[1]
    assert told[0] == told[1]
    assert (told[0]["study_file"], told[0]["trials"]) == (str(study), 2)
    assert told[0]["default_parameters"] == DEFAULTS
    assert len(told[0]["folds"]) == 2
    assert study.with_suffix(".json").exists()
    assert main([*command, "--seed", "8"]) == 2, "another seed is another study"


def test_a_training_uses_what_was_found_and_says_so(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = tmp_path / "studies" / "found.json"
    study = ["--study", str(result.with_suffix(".db"))]
    main(arguments("tune", store, tmp_path, "--trials", "3", *study))
    found = json.loads(result.read_bytes())
    # The defaults may be the best: here others are used, so that something is there to be seen.
    found["parameters"] |= {"n_trees": 60, "min_data_in_leaf": 40}
    result.write_text(json.dumps(found))
    capsys.readouterr()
    main(arguments("run", store, tmp_path, "--tuned", str(result), "--json"))
    record = json.loads(capsys.readouterr().out)
    assert record["tuning"] == {
        "study": found["study"],
        "member": "lgb",
        "n_trials": 3,
        "auc": found["auc"],
    }
    assert record["settings"]["tuning"] == found
    defaults = {member.name: dict(member.parameters) for member in MEMBERS}
    said = {name: member["parameters"] for name, member in record["members"].items()}
    assert said == {**defaults, "lgb": {**defaults["lgb"], **found["parameters"]}}

    main(arguments("run", store, tmp_path, "--json"))
    plain = json.loads(capsys.readouterr().out)
    assert plain["tuning"] is None
    areas, tuned = plain["metrics"]["5"]["mean_fold_auc"], record["metrics"]["5"]["mean_fold_auc"]
    assert areas["lgb"] != tuned["lgb"]
    assert (areas["xgb"], areas["cross"]) == (tuned["xgb"], tuned["cross"])

    others = ["--members", "xgb", "cross", "--tuned", str(result)]
    assert main(arguments("run", store, tmp_path, *others)) == 2
    assert "expected the member lgb, as it was tuned, was not trained" in capsys.readouterr().err

    early = ["--hold-out-days", "7", "--tuned", str(result)]
    assert main(arguments("run", store, tmp_path, *early)) == 2
    assert "tune with the same --since, --until and --hold-out-days" in capsys.readouterr().err


def test_a_network_is_tuned_and_trained_with_what_was_found(
    store: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    few = FitSettings(epochs=2, per_epoch=300, batch_size=64)
    monkeypatch.setitem(NETWORKS, "lstm", replace(NETWORKS["lstm"], n_steps=6, settings=few))
    monkeypatch.setenv("COLUMNS", "120")
    study = ["--study", str(tmp_path / "lstm.db")]
    main(arguments("tune", store, tmp_path, "--member", "lstm", "--trials", "2", *study))
    printed = capsys.readouterr()
    found = json.loads((tmp_path / "lstm.json").read_bytes())
    assert (found["member"], found["trials"]) == ("lstm", 2)
    cells = [line.split() for line in printed.out.splitlines()]
    for name, default in OF_NETWORKS["lstm"].items():
        assert [name, f"{found['parameters'][name]:.4g}", f"{default:.4g}"] in cells

    found["parameters"] |= {"width": 16, "dropout": 0.25}
    (tmp_path / "lstm.json").write_text(json.dumps(found))
    trained = ["--members", "lgb", "lstm", "--tuned", str(tmp_path / "lstm.json"), "--json"]
    main(arguments("run", store, tmp_path, *trained))
    record = json.loads(capsys.readouterr().out)
    assert (record["tuning"]["member"], record["tuning"]["n_trials"]) == ("lstm", 2)
    said = record["members"]["lstm"]["parameters"]
    assert said["shape"] == {"hidden": 16, "dropout": 0.25}
    for name in ("learning_rate", "weight_decay"):
        assert said["settings"][name] == found["parameters"][name]
    assert record["members"]["lgb"]["parameters"] == dict(MEMBERS[0].parameters)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--member", "xgb"], "invalid choice: 'xgb'"),
        (["--trials", "0"], "expected a number from 1 on"),
        (["--folds", "two"], "expected a number from 1 on"),
        (["--horizon", "7"], "invalid choice: 7"),
        (["--seed", "-1"], "expected a seed from 0 to 2147483647"),
        (["--hold-out-days", "nan"], "expected a number of days such as 14"),
    ],
)
def test_an_argument_that_is_none_is_exit_code_2(
    store: Path, tmp_path: Path, more: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments("tune", store, tmp_path, *more))
    assert caught.value.code == 2
    assert told in " ".join(capsys.readouterr().err.split())


def test_a_study_can_not_stand_where_its_result_will(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments("tune", store, tmp_path, "--study", str(tmp_path / "x.json"))) == 2
    assert "another ending, such as .db" in capsys.readouterr().err


def test_too_short_a_history_is_wrong_use(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments("tune", store, tmp_path, "--hold-out-days", "60")) == 2
    assert "test blocks of at least 240 bars" in capsys.readouterr().err


def test_help_shows_an_example_and_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["tune", "--help"])
    assert caught.value.code == 0
    printed = capsys.readouterr().out
    assert "example:\n  python -m training tune " in printed
    assert "exit codes: 0 better parameters than the defaults" in printed
