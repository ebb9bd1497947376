"""p' beside p in the live process: recorded, and told to the bot by leave only."""

from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from plugin.decision import action_of
from plugin.registry import Registry
from plugin.reloader import Reloader
from shadow.recalibration import (
    Coefficients,
    Fit,
    Horizon,
    Recalibration,
    recalibrated,
    recalibration_file,
)
from tests.support.bars import HOURLY
from tests.support.live import FIRST, Live
from tests.support.promotions import champion_of
from tests.support.small_training import SmallTraining

PRIMARY = "5"
ON = {"ML_STACKING_MIN_SAMPLES": "100", "ML_RECALIBRATE": "1"}
# So strong a shift that it turns every action to long.
FAR = Coefficients(0.15, 0.25)


def horizon(coefficients: Coefficients | None, *, holds: bool) -> Horizon:
    return Horizon(
        fit=Fit(n=900, n_effective=200.0, coefficients=coefficients),
        n_judged=100,
        mean_difference=-0.01,
        better=25.0,
        holds_since_ms=0 if holds else None,
    )


def recalibration(bundle_id: str, known_ms: int, **changes: object) -> Recalibration:
    made = Recalibration(
        kind="updated",
        bundle_id=bundle_id,
        since_ms=0,
        until_ms=known_ms,
        next_ms=known_ms,
        valid_until_ms=known_ms + 168 * HOURLY.length_ms,
        at="2025-01-01T00:00:00.000Z",
        who="a test",
        why="to see",
        horizons={PRIMARY: horizon(FAR, holds=True), "12": horizon(None, holds=False)},
    )
    return replace(made, **changes)


def live(training: SmallTraining, folder: Path, environ: dict[str, str], **changes: object) -> Live:
    """A pipeline whose champion is read so; by default what was known when its first bar opened."""
    made = Live(training, folder, environ=environ)
    champion = made.reloader.champion
    assert champion is not None
    own = recalibration(champion.bundle.bundle_id, made.open_ms(FIRST), **changes)
    made.reloader.champion = type(champion)(champion.bundle, champion.ensemble, champion.serving, own)
    return made


def test_by_leave_of_operator_and_evidence_the_bot_is_told_what_was_learnt(small_training, tmp_path):
    acting = live(small_training, tmp_path, ON)
    answers = acting.close(FIRST)
    for answer, record in zip(answers, acting.bar_records(), strict=True):
        p, read = record.probabilities[PRIMARY], record.recalibrated[PRIMARY]
        assert read.p == recalibrated(p, FAR) != p
        assert (read.shift, read.slope, read.acts) == (0.15, 0.25, True)
        assert record.recalibrated.keys() == {PRIMARY}, "the others have no coefficients"
        assert answer.decision.probabilities == {**record.probabilities, PRIMARY: read.p}
        assert answer.decision.action == action_of(read.p) == "long"
        assert record.meta_p == p, "what was said stays what it is"
        assert record.flags["ML_RECALIBRATE"] == "1"


@pytest.mark.parametrize(
    ("environ", "holds"),
    [({**ON, "ML_RECALIBRATE": "0"}, True), (ON, False)],
    ids=["not wanted", "no evidence"],
)
def test_without_the_one_or_the_other_it_is_recorded_only(small_training, tmp_path, environ, holds):
    beside = live(small_training, tmp_path, environ, horizons={PRIMARY: horizon(FAR, holds=holds)})
    for answer, record in zip(beside.close(FIRST), beside.bar_records(), strict=True):
        assert not record.recalibrated[PRIMARY].acts
        assert answer.decision.probabilities == record.probabilities
        assert answer.decision.action == action_of(record.probabilities[PRIMARY])


@pytest.mark.parametrize(
    ("opens_after", "is_read"), [(-2, False), (-1, True), (167, True), (168, False)]
)
def test_what_is_learnt_is_for_the_bars_after_it_and_for_a_week_of_them(
    small_training, tmp_path, opens_after, is_read
):
    made = Live(small_training, tmp_path)
    known_ms = made.open_ms(FIRST) - opens_after * HOURLY.length_ms
    timed = recalibration("", known_ms)
    made = live(
        small_training,
        tmp_path / "timed",
        ON,
        until_ms=known_ms,
        next_ms=known_ms,
        valid_until_ms=timed.valid_until_ms,
    )
    made.close(FIRST)
    assert [bool(one.recalibrated) for one in made.bar_records()] == [is_read] * 2


def written(models: Path, found: Recalibration) -> Path:
    path = recalibration_file(models, found.bundle_id)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(msgspec.json.encode(found))
    return path


def test_the_process_follows_the_file_and_what_it_can_not_believe_changes_nothing(models: Path) -> None:
    reloader = Reloader(Registry(models))
    reloader.refresh()
    assert reloader.champion is not None
    assert reloader.champion.recalibration is None
    ensemble = reloader.champion.ensemble
    found = recalibration(str(champion_of(models)), 10)
    path = written(models, found)
    with capture_logs() as logged:
        reloader.refresh()
    assert reloader.champion.recalibration == found
    assert [one["event"] for one in logged] == ["recalibration_changed"]
    path.write_bytes(path.read_bytes().replace(b'"slope":0.25', b'"slope":0.24'))
    with capture_logs() as logged:
        reloader.refresh()
        reloader.refresh()
    assert reloader.champion.recalibration is None
    assert [one["event"] for one in logged] == ["recalibration_refused", "recalibration_changed"]
    written(models, found)
    reloader.refresh()
    assert reloader.champion.recalibration == found
    path.unlink()
    reloader.refresh()
    assert reloader.champion.recalibration is None
    assert reloader.champion.ensemble is ensemble
