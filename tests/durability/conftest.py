"""What the tests of this folder share: a process that publishes step by step, and a fast folder."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.small_training import SmallTraining
from tests.support.steps import Publisher


@pytest.fixture(scope="module")
def publisher(small_training: SmallTraining) -> Iterator[Publisher]:
    process = Publisher(small_training)
    yield process
    process.close()


@pytest.fixture
def fast_folder() -> Iterator[Path]:
    """In memory where there is such a folder: a thousand syncs of a real disk take minutes."""
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108  (the name of the mount)
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder).resolve()
