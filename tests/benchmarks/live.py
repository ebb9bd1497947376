"""What stands between a bar and its record, wired as in `plugin.app`, for any number of symbols?"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

from msgspec.structs import replace

from plugin.answer import Answer
from plugin.bar import BarClosed
from plugin.bundle import Bundle
from plugin.candles import ABSENT, Candles
from plugin.clock import ReplayClock
from plugin.decision import Serving
from plugin.ensemble import Ensemble
from plugin.features.joined import N_COMPANIONS
from plugin.live_flags import LiveFlags
from plugin.looking_back import lookback
from plugin.pipeline import Pipeline
from plugin.preparing import AT_ONCE
from plugin.registry import Registry
from plugin.reloader import Champion, Reloader
from plugin.shadow_log import ShadowLog
from shadow.writer import ShadowWriter
from tests.benchmarks.market import HOURLY, Market


class Live:
    """A pipeline that serves `n_symbols` of a market and stands `n_bars` before the end of its bars.

    `candles` are the bars by symbol, those of companions too: `n_history`, then the `n_bars` to come.
    """

    def __init__(
        self, bundle: Bundle, market: Market, n_symbols: int, n_bars: int, folder: Path
    ) -> None:
        n_held = max(n_symbols, N_COMPANIONS + 1)
        self.n_history = lookback(bundle.manifest)
        candles = list(market.many(n_held, n_bars + self.n_history))
        self.served = tuple(one.symbol for one in candles[:n_symbols])
        reference = [one.symbol for one in candles[: 1 + N_COMPANIONS]]
        self.companions = {symbol: _companions_of(symbol, reference) for symbol in self.served}
        followed = dict.fromkeys(name for names in self.companions.values() for name in names)
        self.champion = _champion(bundle, self.companions)
        self._n_bars = n_bars
        self._clock = ReplayClock(candles[0].first_open_ms + self.n_history * HOURLY.length_ms)
        self.writer = ShadowWriter(folder / "shadow", self._clock.now_ms)
        env = folder / "env"
        env.write_text("ML_STACKING_MIN_SAMPLES=1\n")
        reloader = Reloader(Registry(folder))
        reloader.champion = self.champion
        self.log = ShadowLog(self.writer, market.venue)
        self.pipeline = Pipeline(
            timeframe=HOURLY,
            served=self.served,
            followed=[name for name in followed if name not in self.served],
            flags=LiveFlags(env, {}),
            reloader=reloader,
            clock=self._clock,
        )
        self.pipeline.make_room()
        self.candles = {one.symbol: one for one in candles if one.symbol in self.pipeline.buffers}
        for symbol, one in self.candles.items():
            self.pipeline.buffers[symbol].extend(one.between(0, self._clock.now_ms()))
        self.prepare()

    def prepare(self) -> None:
        """Let networks do what can be done before the next bars close, in steps as in the app."""
        for first in range(0, len(self.served), AT_ONCE):
            self.pipeline.prepare(self.served[first : first + AT_ONCE])

    def record(self, answers: Sequence[Answer]) -> None:
        """Write their records and wait until they are on disk."""
        for answer in answers:
            self.log.write(answer)
        self.writer.sync()

    def batches(self) -> Iterator[list[BarClosed]]:
        """The bars that close together, hour by hour, with the clock set to their close."""
        for column in range(self.n_history, self.n_history + self._n_bars):
            stretches = self.candles.values()
            batch = [_bar(one, column) for one in stretches if not one.bars[ABSENT, column]]
            self._clock.advance_to(batch[0].received_ms)
            yield batch


def _companions_of(symbol: str, reference: Sequence[str]) -> tuple[str, ...]:
    return tuple(other for other in reference if other != symbol)[:N_COMPANIONS]


def _champion(bundle: Bundle, companions: dict[str, tuple[str, ...]]) -> Champion:
    """`bundle` in service of other symbols than those it was trained for."""
    manifest = replace(bundle.manifest, companions=companions)
    bundle = dataclasses.replace(bundle, manifest=manifest)
    serving = Serving(
        bundle_id=bundle.bundle_id,
        feature_hash=bundle.feature_hash,
        primary_horizon=str(manifest.primary_horizon),
        verdict="shadow",
        missing_gates=("shadow_evidence",),
    )
    return Champion(bundle, Ensemble(bundle), serving)


def _bar(candles: Candles, column: int) -> BarClosed:
    opened_ms = candles.first_open_ms + column * HOURLY.length_ms
    opening, high, low, close, volume = candles.bars[:ABSENT, column].tolist()
    return BarClosed(
        symbol=candles.symbol,
        timeframe=HOURLY.name,
        open_time_ms=opened_ms,
        open=opening,
        high=high,
        low=low,
        close=close,
        volume=volume,
        source="replay",
        received_ms=opened_ms + HOURLY.length_ms,
    )
