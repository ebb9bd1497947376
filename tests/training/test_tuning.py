"""What a study found is used as it was written, by trainings whose test blocks it never saw."""

from pathlib import Path

import msgspec
import pytest

from plugin.errors import WrongUse
from training.settings import MEMBERS, TrainingSettings
from training.tuning import Tuning, read_tuning, write_tuning

HOUR_MS = 3_600_000
FOUND = Tuning(
    study="0123456789abcdef",
    member="lgb",
    horizon=5,
    seen_until_ms=1_000 * HOUR_MS,
    parameters={
        "n_trees": 99,
        "learning_rate": 0.03,
        "num_leaves": 9,
        "min_data_in_leaf": 77,
        "feature_fraction": 0.4,
        "bagging_fraction": 0.6,
        "lambda_l2": 3.0,
    },
    trials=15,
    auc=0.58,
    default_auc=0.57,
)


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_tuning(tmp_path / "found.json", FOUND)
    assert read_tuning(tmp_path / "found.json") == FOUND


OF_NETWORK = {"width": 32, "dropout": 0.3, "learning_rate": 0.001, "weight_decay": 0.01}
NETWORK = msgspec.structs.replace(FOUND, member="lstm", parameters=OF_NETWORK)


def test_so_is_that_of_a_network(tmp_path: Path) -> None:
    write_tuning(tmp_path / "found.json", NETWORK)
    assert read_tuning(tmp_path / "found.json") == NETWORK


def change(**changes: object) -> bytes:
    whole = msgspec.to_builtins(FOUND)
    whole["parameters"] |= changes.pop("parameters", {})
    return msgspec.json.encode(whole | changes)


def of_network(**changes: object) -> bytes:
    return msgspec.json.encode(msgspec.to_builtins(NETWORK) | {"parameters": OF_NETWORK | changes})


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "truncated"),
        (b"\xff\xfe", "malformed"),
        (b"[]", "got `array`"),
        (change(parameters={"n_trees": 0}), "n_trees"),
        (change(parameters={"learning_rate": 1.5}), "learning_rate"),
        (change(parameters={"num_leaves": 7.5}), "num_leaves"),
        (change(parameters={"max_bin": 255}), "max_bin"),
        (change(parameters={"lambda_l2": None}), "parameters"),
        (change(member="lstm"), "n_trees"),
        (change(member="xgb"), "lgb, lstm, tft, tcn, transformer"),
        (of_network(width=30), "width"),
        (of_network(dropout=1.0), "dropout"),
        (of_network(learning_rate=0.0), "learning_rate"),
        (of_network(weight_decay=-0.1), "weight_decay"),
        (of_network(n_trees=50), "n_trees"),
        (change(trials=0), "trials"),
        (change(seen_until_ms=10**15), "seen_until_ms"),
    ],
)
def test_anything_else_is_wrong_use(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "found.json").write_bytes(content)
    with pytest.raises(WrongUse, match="beside the study") as caught:
        read_tuning(tmp_path / "found.json")
    assert told in str(caught.value).lower()


def test_a_file_that_is_not_there_is_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match="No such file"):
        read_tuning(tmp_path / "found.json")


def test_no_label_of_a_trial_may_reach_the_embargo_before_the_test_blocks() -> None:
    FOUND.check_unseen(1_025 * HOUR_MS, 24 * HOUR_MS)
    with pytest.raises(WrongUse, match="saw labels up to 1970-02-11 16:00"):
        FOUND.check_unseen(1_024 * HOUR_MS, 24 * HOUR_MS)


def test_the_member_lgb_alone_takes_the_parameters() -> None:
    plain = TrainingSettings(venue="simulated")
    assert plain.row_members == MEMBERS
    tuned = TrainingSettings(venue="simulated", tuning=FOUND)
    for before, after in zip(MEMBERS, tuned.row_members, strict=True):
        changed = FOUND.parameters if before.name == "lgb" else {}
        assert dict(after.parameters) == {**before.parameters, **changed}
        assert (after.name, after.feature_set) == (before.name, before.feature_set)
