"""A small simulated market and its rows, shared by the tests of training and changed by none."""

from collections.abc import Mapping

import pytest

from plugin.candles import Candles
from tests.support.small_dataset import dataset_of, simulated_candles
from training.dataset import Dataset


@pytest.fixture(scope="session")
def candles(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Candles]:
    """Hourly bars of the reference assets."""
    return simulated_candles(tmp_path_factory.mktemp("candles"))


@pytest.fixture(scope="session")
def dataset(candles: Mapping[str, Candles]) -> Dataset:
    """Rows of two symbols at every horizon of `small_dataset.HORIZONS`."""
    return dataset_of(candles)
