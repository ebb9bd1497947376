"""What does the way through the socket add to a decision?

A bot in a process of its own speaks in turn to a bare echo server and to the service, which live in one
loop here: the same kind of socket, the same line, the same load of the machine.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import msgspec
from rich.table import Table

from plugin.answer import Answer
from plugin.app import App
from plugin.bar import BarClosed
from plugin.candles import ABSENT, Candles
from plugin.clock import ReplayClock
from plugin.deadlines import LIVE
from plugin.decision import Serving
from plugin.features import LOOKBACK_BARS
from plugin.live_flags import LiveFlags
from plugin.protocol import Bars, History, PushedBar
from plugin.serving.desk import Desk
from plugin.serving.reception import Reception
from plugin.serving.socket_server import SocketServer
from plugin.sources.pushed import PushedSource
from tests.benchmarks.child import RoundTrips
from tests.benchmarks.market import HOURLY
from tests.benchmarks.setting import Setting
from tests.benchmarks.showing import duration_text, table_of
from tests.benchmarks.timing import Spread

N_FIRST = 5
"""Round trips that are not measured."""
_FAR_MS = 2**52


class RoundTrip(msgspec.Struct, frozen=True):
    """One symbol and its companions in one request. `above` is the trip less the echo and the decision
    of the same bar; `decided` the share of bars with probabilities."""

    echo: Spread
    decision: Spread
    trip: Spread
    above: Spread
    decided: float


def measure(setting: Setting) -> RoundTrip:
    """As many bars as the smallest size is closed with."""
    n_bars = N_FIRST + setting.scale.hot_bars[1]
    with TemporaryDirectory(dir=setting.scratch) as folder:
        return asyncio.run(_Side(setting, Path(folder), n_bars).measure())


class _Side:
    """The service, wired as `python -m plugin run` does it, and what the bot is to send."""

    def __init__(self, setting: Setting, folder: Path, n_bars: int) -> None:
        self._folder = folder
        env = folder / "env"
        models_dir = setting.bundle.parents[1]
        env.write_text(
            f"ML_SYMBOLS={setting.market.reference[0]}\nML_STACKING_MIN_SAMPLES=1\n"
            f"ML_DECISION_TIMEOUT_MS=60000\nML_MODELS_DIR={models_dir}\n"
            f"ML_SHADOW_DIR={folder / 'shadow'}\n"
        )
        flags, clock = LiveFlags(env, {}), ReplayClock(0)
        source = PushedSource(clock)
        self._app = App(flags, lambda _: source, clock, setting.market.long_venue, deadlines=LIVE)
        candles = [setting.market.long(symbol) for symbol in self._app.pipeline.buffers]
        self._candles = [_last(one, LOOKBACK_BARS + n_bars) for one in candles]
        clock.advance_to(max(_end_ms(one) for one in self._candles))
        self._desk = Desk(HOURLY, flags.current.symbols, lambda: flags.current, self._serving, clock)
        reception = Reception(self._app.pipeline, source, self._desk, HOURLY, dict, clock)
        self._server = SocketServer(folder / "plugin.sock", reception.take)
        self._decided = 0

    async def measure(self) -> RoundTrip:
        durations_ns: list[int] = []
        answer = self._app.pipeline.answer

        def timed(batch: Sequence[BarClosed]) -> list[Answer]:
            started = time.perf_counter_ns()
            answers = answer(batch)
            durations_ns.append(time.perf_counter_ns() - started)
            return answers

        told: list[RoundTrips] = []
        with mock.patch.object(self._app.pipeline, "answer", timed):
            await self._app.run(self._deliver, (_echoing(self._echo), self._server, self._bot(told)))
        (bot,) = told
        parts = (bot.echo_ns, durations_ns, bot.trip_ns)
        echo, decision, trip = (part[N_FIRST:] for part in parts)
        above = [all_ns - bare - made for bare, made, all_ns in zip(echo, decision, trip, strict=True)]
        return RoundTrip(
            echo=Spread.of(echo),
            decision=Spread.of(decision),
            trip=Spread.of(trip),
            above=Spread.of(above),
            decided=self._decided / len(durations_ns),
        )

    @asynccontextmanager
    async def _bot(self, told: list[RoundTrips]) -> AsyncIterator[None]:
        """A process that sends all and ends the service."""
        lines = self._folder / "requests"
        lines.write_bytes(b"\n".join(map(msgspec.json.encode, self._requests())) + b"\n")
        arguments = ["round_trips", *map(str, (self._echo, self._folder / "plugin.sock", lines))]

        async def converse() -> None:
            command = [sys.executable, "-m", "tests.benchmarks.child", *arguments]
            child = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
            said, _ = await child.communicate()
            self._app.source.stop()
            told.append(msgspec.json.decode(said, type=RoundTrips))

        conversation = asyncio.create_task(converse())
        yield
        await conversation

    def _requests(self) -> Iterator[History | Bars]:
        for one in self._candles:
            rows = tuple(zip(one.open_time_ms.tolist(), *one.bars[:ABSENT].tolist(), strict=True))
            yield History(id=1, symbol=one.symbol, timeframe=HOURLY.name, bars=rows[:LOOKBACK_BARS])
        for column in range(LOOKBACK_BARS, self._candles[0].n_bars):
            bars = tuple(_pushed(one, column) for one in self._candles if not one.bars[ABSENT, column])
            yield Bars(id=2, expires_ms=_FAR_MS, bars=bars)

    @property
    def _echo(self) -> Path:
        return self._folder / "echo.sock"

    def _deliver(self, answers: Sequence[Answer]) -> None:
        self._desk.deliver(answers)
        self._decided += sum(bool(answer.decision.probabilities) for answer in answers)

    def _serving(self) -> Serving | None:
        champion = self._app.reloader.champion
        return champion.serving if champion else None


@asynccontextmanager
async def _echoing(address: Path) -> AsyncIterator[None]:
    """What the loop alone needs to take a line and give it back."""

    class Echo(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self._write: Callable[[bytes], None] = transport.write  # type: ignore[attr-defined]

        def data_received(self, data: bytes) -> None:
            self._write(data)

    server = await asyncio.get_running_loop().create_unix_server(Echo, address)
    yield
    server.close()


def _last(candles: Candles, n_bars: int) -> Candles:
    end_ms = _end_ms(candles)
    return candles.between(end_ms - n_bars * HOURLY.length_ms, end_ms)


def _end_ms(candles: Candles) -> int:
    return candles.first_open_ms + candles.n_bars * HOURLY.length_ms


def _pushed(candles: Candles, column: int) -> PushedBar:
    opening, high, low, close, volume = candles.bars[:ABSENT, column].tolist()
    return PushedBar(
        symbol=candles.symbol,
        timeframe=HOURLY.name,
        open_time_ms=candles.first_open_ms + column * HOURLY.length_ms,
        open=opening,
        high=high,
        low=low,
        close=close,
        volume=volume,
    )


def tables(figures: RoundTrip) -> Iterator[Table]:
    """The trip and what it is made of."""
    named = {
        "bare echo": figures.echo,
        "decision": figures.decision,
        "round trip": figures.trip,
        "above both": figures.above,
    }
    yield table_of(
        "Through the socket, one symbol and its companions",
        ("", "median", "p99"),
        [
            (name, duration_text(one.median_us), duration_text(one.p99_us))
            for name, one in named.items()
        ],
    )
