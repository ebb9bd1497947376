"""A power cut at every step of publishing, appointing, promoting and rolling back, on a real ext4."""

import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from plugin.errors import ShadowgateError
from plugin.registry import Registry
from tests.support.disks import Disk
from tests.support.intact import champion_of_intact
from tests.support.small_training import SmallTraining
from tests.support.steps import Publisher, fresh, rehearse, traced, wait_for_stop

CREATED, LATER = "2099-01-01T00:00:00Z", "2099-01-02T00:00:00Z"
FEWEST_STEPS = 70


@pytest.fixture
def disk(fast_folder: Path) -> Iterator[Disk]:
    disk = Disk(fast_folder)
    try:
        disk.format()
        yield disk
    finally:
        disk.close()


@pytest.fixture
def models(small_training: SmallTraining, disk: Disk) -> Path:
    """A models folder on the disk, safely there."""
    models = disk.place / "models"
    fresh(small_training.models, models)
    disk.unmount()  # which writes everything
    disk.keep()
    disk.mount()
    return models


def sync_something_else(disk: Disk) -> None:
    """What any other process may do at any time; it writes the journal, with the names of all files."""
    descriptor = os.open(disk.place / "other", os.O_CREAT | os.O_WRONLY)
    os.write(descriptor, b"x\n")
    os.fsync(descriptor)
    os.close(descriptor)


def power_returns(disk: Disk) -> None:
    disk.unmount()
    disk.mount()


@pytest.mark.slow
def test_after_a_power_cut_at_any_step_an_intact_bundle_serves_and_the_next_one_is_published(
    small_training: SmallTraining, publisher: Publisher, disk: Disk, models: Path, tmp_path: Path
) -> None:
    places, steps = rehearse(publisher, small_training.models, models, CREATED)
    steps = [step for step in steps if step.call != "openat"]  # the next step finds the same names
    assert len(steps) >= FEWEST_STEPS
    serving = Counter[bool]()
    for number, step in enumerate(steps):
        disk.unmount()
        disk.restore()
        disk.mount()
        child, log = publisher.begin(models, CREATED), tmp_path / f"log{number}"
        with traced(child, places, log, step.inject("SIGSTOP")):
            wait_for_stop(child, log)
            sync_something_else(disk)
            disk.cut_power()
            os.kill(child, signal.SIGKILL)
        assert publisher.end() == signal.SIGKILL, step
        power_returns(disk)
        serving[champion_of_intact(models) == small_training.outcome.bundle.name] += 1
        publisher.publish(models, LATER)
        champion_of_intact(models)
        assert list((models / "drafts").iterdir()) == [], step
        assert Registry(models).is_settled(), step
    print(f"{len(steps)} power cuts: {serving[True]} old, {serving[False]} new")
    assert min(serving[True], serving[False]) > 0


def test_what_was_published_and_appointed_is_still_there_after_a_power_cut(
    publisher: Publisher, disk: Disk, models: Path
) -> None:
    before = len(Registry(models).history())
    publisher.publish(models, CREATED)
    disk.cut_power()
    power_returns(disk)
    champion_of_intact(models)
    kinds = [move.kind for move in Registry(models).history()[before:]]
    assert kinds == ["appointed", "promoted", "appointed", "rolled back", "dismissed"]
    assert Registry(models).is_settled()
    assert len(list((models / "bundles").iterdir())) == 2


def test_without_its_syncs_the_same_walk_would_leave_a_broken_bundle(
    publisher: Publisher, disk: Disk, models: Path
) -> None:
    """So the tests above can fail: this disk loses what nobody synced."""
    publisher.publish(models, CREATED, careless=True)
    champion_of_intact(models)
    sync_something_else(disk)
    disk.cut_power()
    power_returns(disk)
    with pytest.raises((ShadowgateError, AssertionError)):
        champion_of_intact(models)
