"""What every source of bars must keep to, checked without knowing which source it is."""

from __future__ import annotations

from plugin.bar import BarClosed, Timeframe, check_bar
from plugin.clock import Clock
from plugin.sources import BarSource


async def check_source(source: BarSource, timeframe: Timeframe, clock: Clock) -> list[list[BarClosed]]:
    """Drain the source, assert the contract of `BarSource`, and return the batches."""
    batches = []
    last_open_ms = 0
    async for batch in source.batches():
        assert batch, "a batch is never empty"
        open_times = {bar.open_time_ms for bar in batch}
        assert len(open_times) == 1, "the bars of a batch close at the same instant"
        assert min(open_times) > last_open_ms, "batches come in time order"
        assert len({bar.symbol for bar in batch}) == len(batch), "a symbol comes once in a batch"
        for bar in batch:
            check_bar(bar, timeframe, clock.now_ms())
            assert bar.timeframe == timeframe.name
            assert bar.received_ms == clock.now_ms()
        last_open_ms = min(open_times)
        batches.append(batch)
    return batches
