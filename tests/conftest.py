"""What all tests share: the folder of real candles, and one small trained bundle."""

import os
import shutil
from pathlib import Path

import pytest

from tests.support.network_training import train_with_networks
from tests.support.replays import replay
from tests.support.small_training import SmallTraining, train_small


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first, so that the processes that share all files end together."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def market() -> Path:
    """The folder of real candles that MARKET_DATA names; the test is skipped where there is none."""
    folder = os.environ.get("MARKET_DATA")
    if not folder:
        pytest.skip("MARKET_DATA names no folder of real candles")
    return Path(folder)


@pytest.fixture(scope="session")
def small_training(tmp_path_factory: pytest.TempPathFactory) -> SmallTraining:
    """Simulated candles and a models folder with a champion; copy them before a change."""
    return train_small(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="session")
def network_training(
    small_training: SmallTraining, tmp_path_factory: pytest.TempPathFactory
) -> SmallTraining:
    """A models folder whose champion has networks, on the same candles."""
    return train_with_networks(small_training, tmp_path_factory.mktemp("networks"))


@pytest.fixture(scope="session")
def undisturbed(small_training: SmallTraining, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shadow log of an undisturbed replay of the last 14 days."""
    shadow = tmp_path_factory.mktemp("undisturbed") / "shadow"
    ended = replay(small_training, shadow, "--json")
    assert ended.returncode == 0, ended.stderr
    return shadow


@pytest.fixture
def models(small_training: SmallTraining, tmp_path: Path) -> Path:
    """A copy of the small training's models folder, to be changed at will."""
    return Path(shutil.copytree(small_training.models, tmp_path / "models"))
