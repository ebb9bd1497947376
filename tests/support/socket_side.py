"""A service with a socket, and bots that speak to it: real parts in one loop, a clock set by hand."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import Any
from unittest import mock

from plugin.answer import Answer
from plugin.app import App
from plugin.bar import BarClosed
from plugin.bundle import load_bundle
from plugin.candles import ABSENT, SIMULATED_VENUE, Candles
from plugin.clock import ReplayClock
from plugin.deadlines import REPLAY
from plugin.live_flags import LiveFlags
from plugin.registry import Registry
from plugin.reloader import Reloader
from plugin.serving.connection import Limits
from plugin.serving.desk import Desk
from plugin.serving.reception import Reception
from plugin.serving.socket_server import SocketServer
from plugin.sources import BarSource
from plugin.sources.pushed import PushedSource
from tests.support.bars import HOURLY
from tests.support.live import FOLLOWED, SERVED, champion_of, stored
from tests.support.small_training import END_MS, SmallTraining

ALL = (*SERVED, *FOLLOWED)
N_BARS = 40
SINCE_MS = END_MS - N_BARS * HOURLY.length_ms
FAR_MS = END_MS + 1_000 * HOURLY.length_ms
"""An expiry that does not pass in a test."""
_PATIENCE_S = 60.0

bundle_in_memory = lru_cache(load_bundle)


class HandClock(ReplayClock):
    """Stands still until it is set; who sleeps does so in real time."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class _TriedReloader(Reloader):
    """Serves the bundle of a training from the start."""

    def __init__(self, training: SmallTraining, registry: Registry) -> None:
        super().__init__(registry)
        self.champion = champion_of(bundle_in_memory(training.outcome.bundle))


class FedSource:
    """A feed of its own: delivers what a test puts in."""

    def __init__(self, past: Mapping[str, Candles]) -> None:
        self._past = past
        self._batches: asyncio.Queue[list[BarClosed] | None] = asyncio.Queue()

    def put(self, batch: list[BarClosed]) -> None:
        self._batches.put_nowait(batch)

    async def batches(self) -> AsyncIterator[list[BarClosed]]:
        while (batch := await self._batches.get()) is not None:
            yield batch

    def stop(self) -> None:
        self._batches.put_nowait(None)

    def state(self) -> Mapping[str, object]:
        return {}

    async def history(self, symbol: str, n_bars: int) -> Candles | None:
        start_ms = SINCE_MS - n_bars * HOURLY.length_ms
        return self._past[symbol].between(start_ms, SINCE_MS)


class Bot:
    """One connection, and what a test wants to say on it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer
        self._ids = itertools.count(1)

    async def say(self, kind: str, **fields: object) -> dict[str, Any]:
        """One request and its reply."""
        number = next(self._ids)
        self.send({"type": kind, "id": number, **fields})
        reply = await self.hear()
        assert reply is not None, "the connection was closed"
        assert reply["id"] == number
        return reply

    def send(self, request: Mapping[str, object] | bytes) -> None:
        raw = request if isinstance(request, bytes) else json.dumps(request).encode() + b"\n"
        self.writer.write(raw)

    async def hear(self) -> dict[str, Any] | None:
        """The next reply; None once the connection is closed."""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                line = await self._reader.readline()
        except ConnectionResetError:
            return None
        return json.loads(line) if line else None

    async def ends(self) -> bool:
        """Whether nothing more comes but the end."""
        return await self.hear() is None

    async def close(self) -> None:
        self.writer.close()


class SocketSide:
    """Within `running`, an App that serves at `address`; `source` brings bars, or bots do."""

    def __init__(
        self,
        training: SmallTraining,
        folder: Path,
        *,
        pushed: bool = True,
        limits: Limits | None = None,
        room_bars: int = 4_096,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.store = training.store
        self.shadow = folder / "shadow"
        self.address = folder / "run" / "plugin.sock"
        self.clock = HandClock(SINCE_MS)
        self.answered: list[Answer] = []
        flags = LiveFlags(
            folder / ".env",
            {
                **training.environment(self.shadow),
                "ML_MODELS_DIR": str(folder / "models"),
                **(environ or {}),
            },
        )
        past = {symbol: stored(training.store, symbol) for symbol in ALL}
        self.source: BarSource = PushedSource(self.clock, room_bars) if pushed else FedSource(past)
        # To try a bundle in a child takes seconds, and is not what is tested here.
        with mock.patch("plugin.app.Reloader", partial(_TriedReloader, training)):
            self.app = App(flags, lambda _: self.source, self.clock, SIMULATED_VENUE, deadlines=REPLAY)
        self.desk = Desk(HOURLY, SERVED, lambda: flags.current, self._serving, self.clock)
        self.reception = Reception(
            self.app.pipeline, self.source, self.desk, HOURLY, lambda: {"mode": "shadow"}, self.clock
        )
        self.server = SocketServer(self.address, self.reception.take, limits or Limits())

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        up = asyncio.Event()

        @asynccontextmanager
        async def open_up() -> AsyncIterator[None]:
            up.set()
            yield

        task = asyncio.create_task(self.app.run(self._deliver, (self.server, open_up())))
        waiting = asyncio.create_task(up.wait())
        await asyncio.wait((task, waiting), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            waiting.cancel()
            await task
        try:
            yield
        finally:
            self.source.stop()
            await task

    @asynccontextmanager
    async def bot(self) -> AsyncIterator[Bot]:
        bot = Bot(*await asyncio.open_unix_connection(str(self.address), limit=2**24))
        try:
            yield bot
        finally:
            await bot.close()

    def open_ms(self, number: int) -> int:
        """The open time of bar `number` of the stretch; negative ones are history."""
        return SINCE_MS + number * HOURLY.length_ms

    def close_of(self, number: int) -> None:
        """Let the clock come to the close of bar `number`."""
        self.clock.advance_to(max(self.clock.now_ms(), self.open_ms(number + 1)))

    def candles(self, symbol: str, first: int, last: int) -> Candles:
        """The stored bars from number `first` to before `last`."""
        return stored(self.store, symbol).between(self.open_ms(first), self.open_ms(last))

    def bar(self, number: int, symbol: str = SERVED[0], **changes: object) -> dict[str, object]:
        """A bar as a bot sends it."""
        values = self.candles(symbol, number, number + 1).bars[:ABSENT, 0].tolist()
        named = dict(zip(("open", "high", "low", "close", "volume"), values, strict=True))
        place = {"symbol": symbol, "timeframe": "1h", "open_time_ms": self.open_ms(number)}
        return {**place, **named, **changes}

    def bars(self, number: int, symbols: Sequence[str] = ALL) -> list[dict[str, object]]:
        return [self.bar(number, symbol) for symbol in symbols]

    def rows(self, symbol: str, first: int, last: int) -> list[list[object]]:
        """A history as a bot sends it."""
        candles = self.candles(symbol, first, last)
        times = candles.open_time_ms.tolist()
        columns = candles.bars[:ABSENT].T.tolist()
        return [[time, *values] for time, values in zip(times, columns, strict=True)]

    async def give_history(self, bot: Bot, last: int = 0, n_bars: int = 512) -> None:
        for symbol in ALL:
            rows = self.rows(symbol, last - n_bars, last)
            reply = await bot.say("history", symbol=symbol, timeframe="1h", bars=rows)
            assert reply["type"] == "held", reply

    async def push(
        self, bot: Bot, number: int, symbols: Sequence[str] = ALL, expires_ms: int = FAR_MS
    ) -> list[dict[str, Any]]:
        """What is decided on the bars of one close."""
        self.close_of(number)
        reply = await bot.say("bars", expires_ms=expires_ms, bars=self.bars(number, symbols))
        assert reply["type"] == "decisions", reply
        return list(reply["decisions"])

    def _serving(self) -> Any:
        champion = self.app.reloader.champion
        return champion.serving if champion else None

    def _deliver(self, answers: Sequence[Answer]) -> None:
        self.answered.extend(answers)
        self.desk.deliver(answers)
