"""The whole live process on an exchange that runs fast and goes wrong, and the same bars replayed."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from msgspec.structs import replace

from plugin.app import App
from plugin.bar import BarClosed
from plugin.buffer import Ohlcv
from plugin.candles import ABSENT
from plugin.clock import Clock, ReplayClock
from plugin.deadlines import REPLAY
from plugin.features import LOOKBACK_BARS
from plugin.live_flags import LiveFlags
from plugin.pipeline import Pipeline
from plugin.registry import Registry
from plugin.reloader import Reloader
from plugin.shadow_log import ShadowLog
from plugin.sources import BarSource
from shadow.record import AnyRecord, BarRecord, RevisionRecord
from shadow.writer import ShadowWriter
from tests.support.chaos_proxy import ChaosProxy
from tests.support.chaos_schedule import Chaos
from tests.support.fast_clock import FastClock
from tests.support.live import read_records, without_timings
from tests.support.live_exchange import LiveExchange
from tests.support.minute_market import MINUTE, SERVED, MinuteMarket

_BAR_MS = MINUTE.length_ms
_CALM_BARS = 12
"""Bars without faults at the end, in which all that is owed has to come."""

OpenFeed = Callable[[str, Sequence[str], Clock], BarSource]
"""From the address of an exchange, the symbols and a clock."""


@dataclass(frozen=True)
class Walked:
    """What a walk left behind. Bars that open in `[from_ms, until_ms)` closed while it ran.

    `complaints` are what the event loop was told of and nobody caught.
    """

    records: list[AnyRecord]
    chaos: Chaos
    complaints: list[str]
    n_handshakes: int
    from_ms: int
    until_ms: int

    @property
    def bars(self) -> list[BarRecord]:
        return [record for record in self.records if isinstance(record, BarRecord)]

    @property
    def n_decided(self) -> int:
        return sum(map(is_decided, self.bars))

    def figures(self) -> dict[str, object]:
        """For people."""
        return {
            "bars": len(self.bars),
            "decided": self.n_decided,
            "reasons": dict(Counter(record.decision.reason for record in self.bars).most_common()),
            "actions": dict(Counter(record.decision.action for record in self.bars).most_common()),
            "revisions": len(self.records) - len(self.bars),
            "faults": dict(Counter(name for _, name in self.chaos.applied).most_common()),
            "handshakes": self.n_handshakes,
        }


def is_decided(record: BarRecord) -> bool:
    return record.ml_stacking_mode == "active"


def walk(
    market: MinuteMarket,
    shadow: Path,
    open_feed: OpenFeed,
    *,
    n_bars: int,
    speed: float,
    seed: int | None,
) -> Walked:
    """Run the live process for `n_bars` closes, with the faults of `seed`, or without any."""
    clock = FastClock(market.live_from_ms, speed)
    with (
        LiveExchange(market.candles, clock, MINUTE) as exchange,
        ChaosProxy(exchange.url, seed or 0) as proxy,
    ):
        chaos = Chaos(exchange, proxy, Random(seed), SERVED)
        flags = LiveFlags(shadow.parent / ".env", market.environment(shadow))
        app = App(flags, lambda names: open_feed(proxy.url, names, clock), clock, "binance")
        from_ms = MINUTE.floor(clock.now_ms())  # loading the models has taken some bars
        until_ms = from_ms + n_bars * _BAR_MS
        calm_from_ms = until_ms - _CALM_BARS * _BAR_MS if seed is not None else 0
        reign = chaos.reign(clock, MINUTE, calm_from_ms)
        complaints = asyncio.run(_live(app, clock, until_ms + _BAR_MS // 2, reign))
    n_handshakes = len(exchange.asked("ws"))
    return Walked(read_records(shadow), chaos, complaints, n_handshakes, from_ms, until_ms)


async def _live(app: App, clock: Clock, until_ms: int, reign: Any) -> list[str]:
    complaints: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: complaints.append(_complaint(context)))
    running = asyncio.create_task(app.run(lambda _: None))
    reigning = asyncio.create_task(reign)
    lasting = asyncio.create_task(clock.sleep((until_ms - clock.now_ms()) / 1000))
    await asyncio.wait((running, lasting), return_when=asyncio.FIRST_COMPLETED)
    app.source.stop()
    lasting.cancel()
    reigning.cancel()
    await asyncio.wait_for(running, 60)
    gc.collect()  # a task whose exception nobody took complains when it goes
    await asyncio.sleep(0)
    return complaints


def _complaint(context: dict[str, Any]) -> str:
    return f"{context['message']}: {context.get('exception')!r}"


def replay_of(walked: Walked, market: MinuteMarket, shadow: Path) -> list[BarRecord]:
    """What a pipeline without a network says of the same bars, taken in the order of the log.

    The values come from the candles; the log says only where a bar stood that was revised.
    """
    return _Replay(walked, market, shadow).run()


class _Replay:
    def __init__(self, walked: Walked, market: MinuteMarket, shadow: Path) -> None:
        self._records = walked.records
        self._market = market
        self._shadow = shadow
        self._clock = ReplayClock(walked.bars[0].open_time_ms)
        self._taken_ms: dict[str, int] = {}
        # A bar that came only after its revision was never seen as it had been.
        self._came_revised = {
            (record.symbol, record.open_time_ms): revised
            for record in walked.bars
            if (revised := walked.chaos.revised.get((record.symbol, record.open_time_ms)))
            and revised[3] == record.close
        }

    def run(self) -> list[BarRecord]:
        flags = LiveFlags(self._shadow.parent / "none.env", self._market.environment(self._shadow))
        reloader = Reloader(Registry(self._market.models))
        reloader.refresh()
        self._log = ShadowLog(ShadowWriter(self._shadow, self._clock.now_ms), "binance")
        self._pipeline = Pipeline(
            timeframe=MINUTE,
            served=SERVED,
            followed=[name for name in self._market.candles if name not in SERVED],
            flags=flags,
            reloader=reloader,
            clock=self._clock,
            deadlines=REPLAY,
        )
        self._take_history()
        for record in self._records:
            if isinstance(record, RevisionRecord):
                self._answer(record.symbol, record.open_time_ms, record.revised, refused=None)
            elif isinstance(record, BarRecord):
                self._repeat(record)
        return [one for one in read_records(self._shadow) if isinstance(one, BarRecord)]

    def _take_history(self) -> None:
        first_ms = self._clock.now_ms()
        for symbol, candles in self._market.candles.items():
            since_ms = first_ms - LOOKBACK_BARS * _BAR_MS
            self._pipeline.take_history(candles.between(since_ms, first_ms))
            self._taken_ms[symbol] = first_ms - _BAR_MS

    def _repeat(self, record: BarRecord) -> None:
        opened_ms = record.open_time_ms
        if is_decided(record):  # then the others' bars were there, too
            for symbol in self._market.candles:
                if symbol != record.symbol:
                    self._catch_up(symbol, opened_ms)
        self._catch_up(record.symbol, opened_ms - _BAR_MS)
        refused = None if is_decided(record) else record.decision.reason
        self._answer(record.symbol, opened_ms, self._values(record.symbol, opened_ms), refused)
        self._taken_ms[record.symbol] = max(self._taken_ms[record.symbol], opened_ms)

    def _catch_up(self, symbol: str, until_ms: int) -> None:
        """Let the buffer hold all bars of the symbol up to that open time."""
        while self._taken_ms[symbol] < until_ms:
            opened_ms = self._taken_ms[symbol] = self._taken_ms[symbol] + _BAR_MS
            self._pipeline.buffers[symbol].push(
                _bar(symbol, opened_ms, self._values(symbol, opened_ms), None)
            )

    def _answer(self, symbol: str, opened_ms: int, ohlcv: Ohlcv, refused: str | None) -> None:
        self._clock.advance_to(max(self._clock.now_ms(), opened_ms + _BAR_MS))
        for answer in self._pipeline.answer([_bar(symbol, opened_ms, ohlcv, refused)]):
            self._log.write(answer)

    def _values(self, symbol: str, opened_ms: int) -> Ohlcv:
        candles = self._market.candles[symbol]
        column = (opened_ms - candles.first_open_ms) // _BAR_MS
        o, h, low, c, v = candles.bars[:ABSENT, column].tolist()
        return self._came_revised.get((symbol, opened_ms), (o, h, low, c, v))


def _bar(symbol: str, opened_ms: int, ohlcv: Ohlcv, refused: str | None) -> BarClosed:
    closed_ms = opened_ms + _BAR_MS
    return BarClosed(
        symbol, MINUTE.name, opened_ms, *ohlcv, "ccxt", closed_ms, already_answered=refused
    )


def comparable(record: BarRecord) -> AnyRecord:
    """A record less what says when and where it was written."""
    return without_timings(replace(record, seq=0, written_at="", flags={}))
