"""kill -9 at every step of publishing, appointing, promoting and rolling back."""

import signal
from collections import Counter
from pathlib import Path

import pytest

from plugin.registry import Registry
from tests.support.intact import champion_of_intact
from tests.support.small_training import SmallTraining
from tests.support.steps import Publisher, fresh, rehearse, traced

CREATED, LATER = "2099-01-01T00:00:00Z", "2099-01-02T00:00:00Z"
FEWEST_STEPS = 90


@pytest.mark.slow
def test_after_a_kill_at_any_step_an_intact_bundle_serves_and_the_next_one_is_published(
    small_training: SmallTraining, publisher: Publisher, fast_folder: Path
) -> None:
    models = fast_folder / "models"
    places, steps = rehearse(publisher, small_training.models, models, CREATED)
    assert len(steps) >= FEWEST_STEPS
    serving, n_drafts_left = Counter[bool](), 0
    for step in steps:
        fresh(small_training.models, models)
        child = publisher.begin(models, CREATED)
        with traced(child, places, models.with_name("log"), step.inject("SIGKILL")):
            pass
        assert publisher.end() == signal.SIGKILL, step
        serving[champion_of_intact(models) == small_training.outcome.bundle.name] += 1
        n_drafts_left += any((models / "drafts").glob("*/*"))
        publisher.publish(models, LATER)
        champion_of_intact(models)
        assert list((models / "drafts").iterdir()) == [], step
        assert Registry(models).is_settled(), step
    print(f"{len(steps)} kills: {serving[True]} old, {serving[False]} new, {n_drafts_left} drafts left")
    assert min(serving[True], serving[False], n_drafts_left) > 0
