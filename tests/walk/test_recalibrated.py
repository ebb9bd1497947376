"""The whole circle: records, what is learnt from them, p' in the next records, evidence, and back."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from gates import recalibrate
from plugin.audit import audit
from plugin.audit_bars import AuditBars
from plugin.candle_store import CandleStore
from plugin.candles import SIMULATED_VENUE
from plugin.clock import utc_text
from plugin.command_line import run_command
from plugin.decision import action_of
from plugin.registry import Registry
from shadow.recalibration import Recalibration, read_recalibration, recalibration_file
from shadow.record import BarRecord
from tests.support.live import read_records
from tests.support.promotions import champion_of
from tests.support.replays import replay
from tests.support.small_training import END_MS, HOUR_MS, SmallTraining

PRIMARY = "5"
LEARNT_MS = END_MS - 60 * HOUR_MS
N_LEARNT = 700
"""The bundle has learnt from most of these bars, which does not matter here."""
MORE_MS = END_MS - 30 * HOUR_MS


@pytest.fixture
def training(small_training: SmallTraining, models: Path) -> SmallTraining:
    return dataclasses.replace(small_training, models=models)


def replayed(training: SmallTraining, shadow: Path, since_ms: int, until_ms: int, flag: str) -> None:
    dates = ("--since", utc_text(since_ms), "--until", utc_text(until_ms))
    ended = replay(training, shadow, *dates, "--json", flags={"ML_RECALIBRATE": flag})
    assert ended.returncode == 0, ended.stderr


def command(training: SmallTraining, shadow: Path, capsys: Any, *arguments: str) -> Any:
    folders = ("--models-dir", str(training.models), "--dir", str(shadow), "--json")
    given = ["recalibrate", *folders, *arguments]
    assert run_command("python -m gates", "", [recalibrate], given) == 0
    return json.loads(capsys.readouterr().out)


def bars(shadow: Path, since_ms: int) -> list[BarRecord]:
    found = [one for one in read_records(shadow) if isinstance(one, BarRecord)]
    return [one for one in found if one.open_time_ms >= since_ms]


def let_it_act(models: Path) -> Recalibration:
    """What weeks of evidence would leave behind."""
    found = read_recalibration(models, str(champion_of(models)))
    assert found is not None
    five = replace(found.horizons[PRIMARY], better=25.0, holds_since_ms=found.until_ms)
    after = replace(found, horizons={**found.horizons, PRIMARY: five})
    recalibration_file(models, found.bundle_id).write_bytes(msgspec.json.encode(after))
    return after


@pytest.mark.slow
def test_from_records_to_p_prime_in_the_records_and_to_what_the_bot_is_told(
    training: SmallTraining, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shadow = tmp_path / "shadow"
    first_ms = LEARNT_MS - N_LEARNT * HOUR_MS
    replayed(training, shadow, first_ms, LEARNT_MS, "1")
    assert all(one.recalibrated == {} for one in bars(shadow, 0)), "nothing was learnt yet"

    learnt = command(training, shadow, capsys)["recalibration"]["horizons"][PRIMARY]
    assert learnt["fit"]["coefficients"] is not None
    assert (learnt["n_judged"], learnt["holds_since_ms"]) == (0, None)

    # Taken over, recorded, and without evidence not acted on, whatever the operator wants.
    replayed(training, shadow, LEARNT_MS, MORE_MS, "1")
    fresh = bars(shadow, LEARNT_MS)
    assert len(fresh) == 60
    for one in fresh:
        read = one.recalibrated[PRIMARY]
        assert (read.shift, read.slope) == tuple(learnt["fit"]["coefficients"].values())
        assert read.p != one.probabilities[PRIMARY]
        assert not read.acts
        assert one.decision.action == action_of(one.probabilities[PRIMARY])

    looked = command(training, shadow, capsys)
    judged = looked["recalibration"]["horizons"][PRIMARY]
    assert looked["written"]
    assert judged["n_judged"] == 30 - 5
    assert judged["better"] is not None

    let_it_act(training.models)
    replayed(training, shadow, MORE_MS, END_MS - 15 * HOUR_MS, "0")
    assert not any(one.recalibrated[PRIMARY].acts for one in bars(shadow, MORE_MS)), "not wanted"
    replayed(training, shadow, END_MS - 15 * HOUR_MS, END_MS, "1")
    acting = bars(shadow, END_MS - 15 * HOUR_MS)
    assert len(acting) == 30
    for one in acting:
        assert {name for name, read in one.recalibrated.items() if read.acts} == {PRIMARY}
        assert one.decision.action == action_of(one.recalibrated[PRIMARY].p)
    stored = AuditBars(CandleStore(training.store), SIMULATED_VENUE)
    audited = audit(shadow, training.models, stored, first_ms, END_MS)
    assert (audited.n_bars, audited.n_differences) == (2 * (N_LEARNT + 60), 0)
    assert not audited.not_compared

    command(training, shadow, capsys, "--reset")
    kept = Registry(training.models).folder / "recalibration" / "history.jsonl"
    kinds = [json.loads(line)["kind"] for line in kept.read_text().splitlines()]
    assert kinds == ["updated", "updated", "reset"]
