"""What the tests of the whole process share."""

from pathlib import Path

import pytest

from tests.support.replays import replay
from tests.support.small_training import SmallTraining


@pytest.fixture(scope="session")
def undisturbed(small_training: SmallTraining, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shadow log of an undisturbed replay of the last 14 days."""
    shadow = tmp_path_factory.mktemp("undisturbed") / "shadow"
    ended = replay(small_training, shadow, "--json")
    assert ended.returncode == 0, ended.stderr
    return shadow
