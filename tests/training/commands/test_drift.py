"""`python -m training drift`, as a person or the report meets it."""

import json

import pytest

from shadow.drift_file import read_drift
from tests.support.small_training import END_MS, SmallTraining
from training import triggers
from training.__main__ import main


@pytest.fixture
def now(small_training: SmallTraining, models, monkeypatch) -> str:
    """The end of the stored bars, with a bundle whose few months are cut into enough blocks."""
    for name, text in small_training.environment(models / "shadow").items():
        monkeypatch.setenv(name, text)
    monkeypatch.setenv("ML_MODELS_DIR", str(models))
    monkeypatch.setattr(triggers, "STRIDE_DAYS", 4)
    return "2025-01-01"


def test_what_was_measured_is_kept_and_shown(now, models, tmp_path, capsys):
    arguments = ["drift", "--now", now, "--env", str(tmp_path / "none")]
    code = main([*arguments, "--json"])
    told = json.loads(capsys.readouterr().out)
    assert code == (1 if told["share"] > told["limit"] else 0)
    kept = read_drift(models)
    assert kept is not None
    assert kept.bundle == told["bundle"]
    assert kept.n_rows > 1000
    assert len(kept.features) == 101
    assert main(arguments) == code
    assert kept.features[0].name in capsys.readouterr().out


def test_without_bars_it_can_not_be_told(now, models, tmp_path, capsys):
    arguments = ["drift", "--now", "2026-01-01", "--env", str(tmp_path / "none")]
    assert main(arguments) == 3
    assert "not known" in capsys.readouterr().out
    assert read_drift(models) is None
    assert END_MS
