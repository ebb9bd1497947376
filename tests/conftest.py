"""What all tests share: the folder of real candles."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def market() -> Path:
    """The folder of real candles that MARKET_DATA names; the test is skipped where there is none."""
    folder = os.environ.get("MARKET_DATA")
    if not folder:
        pytest.skip("MARKET_DATA names no folder of real candles")
    return Path(folder)
