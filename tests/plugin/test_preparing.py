"""Between two closes networks look at the bars that are there, and make way for a bar that comes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from plugin import preparing
from plugin.preparing import Preparing

SYMBOLS = [f"S{number}/USDT" for number in range(20)]


class Watched:
    """A pipeline that only notes what is to be prepared."""

    def __init__(self) -> None:
        self.buffers = dict.fromkeys(SYMBOLS)
        self.prepared: list[str] = []

    def prepare(self, symbols: Sequence[str]) -> None:
        self.prepared += symbols


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparing, "_QUIET_S", 0.01)


def story(tell: Any) -> Watched:
    pipeline = Watched()

    async def told() -> None:
        await tell(Preparing(pipeline), pipeline)  # type: ignore[arg-type]

    asyncio.run(told())
    return pipeline


def test_all_symbols_are_prepared_some_at_a_time() -> None:
    async def tell(preparing: Preparing, pipeline: Watched) -> None:
        preparing.begin()
        await asyncio.sleep(0.05)
        assert pipeline.prepared == SYMBOLS

    story(tell)


def test_a_bar_that_comes_goes_first() -> None:
    async def tell(preparing: Preparing, pipeline: Watched) -> None:
        preparing.begin()
        while not pipeline.prepared:
            await asyncio.sleep(0)
        preparing.stop()
        await asyncio.sleep(0.05)
        assert 0 < len(pipeline.prepared) < len(SYMBOLS)

    story(tell)


def test_bars_that_trickle_in_put_it_off() -> None:
    async def tell(preparing: Preparing, pipeline: Watched) -> None:
        for _ in range(10):
            preparing.begin()
            await asyncio.sleep(0)
        assert pipeline.prepared == []
        await asyncio.sleep(0.05)
        assert pipeline.prepared == SYMBOLS

    story(tell)
