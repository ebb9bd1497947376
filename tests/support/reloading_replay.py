"""A replay during which two bundles take turns, as one JSON object: how often, in what time and memory.

Its arguments are the number of reloads, that of all batches, and the seconds from one to the next; the
settings are those of the environment.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

from plugin.answer import Answer
from plugin.app import App
from plugin.bar import BarClosed
from plugin.candle_store import CandleStore
from plugin.candles import SIMULATED_VENUE, Candles
from plugin.clock import ReplayClock
from plugin.deadlines import REPLAY
from plugin.live_flags import LiveFlags
from plugin.registry import Registry
from plugin.sources import BarSource, ReplaySource
from tests.support.bundles import appoint
from tests.support.scripted_source import until

SETTLED_AFTER = 20
N_RELOADS, N_BATCHES, PAUSE_S = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])


def memory_mib() -> float:
    with open("/proc/self/status") as status:
        (line,) = (line for line in status if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


class Swapping:
    """The batches of `source`; `N_RELOADS` times the other bundle is appointed, and bars come in while
    it loads. It serves before the next one is appointed."""

    def __init__(self, source: BarSource, models: Path) -> None:
        self._source, self._models = source, models
        first = Registry(models).champion()
        assert first is not None
        bundles = sorted((models / "bundles").iterdir())
        self._turns = sorted(bundles, key=lambda bundle: bundle.name == first.bundle_id)
        self._n_reloads = 0
        self._appointed: Path | None = None
        self.memory: list[float] = []

    async def batches(self) -> AsyncIterator[list[BarClosed]]:
        number = 0
        async for batch in self._source.batches():
            if number * N_RELOADS // N_BATCHES >= self._n_reloads < N_RELOADS:
                await self._appoint_the_other()
            yield batch
            await asyncio.sleep(PAUSE_S)
            number += 1
        await until(self._has_swapped)
        self.memory.append(memory_mib())

    async def _appoint_the_other(self) -> None:
        await until(self._has_swapped)
        self.memory.append(memory_mib())
        self._appointed = self._turns[self._n_reloads % 2]
        self._n_reloads += 1
        appoint(self._models, self._appointed, why=str(self._n_reloads))

    def _has_swapped(self) -> bool:
        in_service = app.reloader.roles()["champion"].bundle
        return self._appointed is None or in_service == self._appointed.name

    def stop(self) -> None:
        self._source.stop()

    def state(self) -> Mapping[str, object]:
        return self._source.state()

    async def history(self, symbol: str, n_bars: int) -> Candles | None:
        return await self._source.history(symbol, n_bars)


flags = LiveFlags(Path("none"), os.environ)
store = CandleStore(flags.current.candles_dir)
newest = store.read(SIMULATED_VENUE, "1h", flags.current.symbols[0])
until_ms = newest.first_open_ms + newest.n_bars * newest.timeframe.length_ms
since_ms = until_ms - N_BATCHES * newest.timeframe.length_ms
clock = ReplayClock(since_ms)


def open_source(symbols: Sequence[str]) -> BarSource:
    candles = [store.read(SIMULATED_VENUE, "1h", symbol) for symbol in symbols]
    return Swapping(ReplaySource(candles, since_ms, until_ms, clock), flags.current.models_dir)


latencies: list[float] = []  # the answers themselves would look like a leak
app = App(flags, open_source, clock, SIMULATED_VENUE, deadlines=REPLAY)


def deliver(answers: Sequence[Answer]) -> None:
    latencies.extend(answer.decision.latency_us for answer in answers)


began = time.monotonic()
asyncio.run(app.run(deliver))
source = app.source
assert isinstance(source, Swapping)
latencies.sort()
print(
    json.dumps(
        {
            "n_answered": len(latencies),
            "seconds": time.monotonic() - began,
            "settled_mib": source.memory[min(SETTLED_AFTER, len(source.memory) - 1)],
            "ended_mib": source.memory[-1],
            "errors": app.writer.errors,
            "median_us": latencies[len(latencies) // 2],
            "p99_us": latencies[int(len(latencies) * 0.99)],
            "slowest_us": latencies[-1],
        }
    )
)
