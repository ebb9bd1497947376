"""What happens when bars close? The whole walk of a bar, from its arrival to its shadow record.

`answer` comes first and is what the bot waits for; `challenge` and `record` follow when it is out, and
`prepare` does for the next close what can be done before it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from operator import attrgetter

from msgspec.structs import replace

from plugin.answer import Answer, Asked
from plugin.asking import FeatureRows, ask
from plugin.bar import BarClosed, Timeframe
from plugin.buffer import BarBuffer
from plugin.bundle import Bundle
from plugin.candles import ABSENT, Candles
from plugin.challenger import Challenger
from plugin.clock import Clock
from plugin.collection import collection_put_off
from plugin.deadlines import LIVE, Deadlines
from plugin.decision import Decision, decide
from plugin.ensemble import Ensemble
from plugin.features import LOOKBACK_BARS
from plugin.intake import Intake, Taken
from plugin.live_flags import LiveFlags
from plugin.looking_back import lookback
from plugin.recalibrating import recalibrate
from plugin.reloader import Champion, Reloader
from plugin.settings import Settings
from plugin.windows import up_to_newest

_CAME_AGAIN = ("repeat", "revision")
# The first rehearsal finds the caches cold, after the fifth no further one brings anything.
_REHEARSALS = 5
_REHEARSED_SYMBOLS = 8
_in_time_order = attrgetter("open_time_ms")


class Pipeline:
    """The live process without its ways in and out.

    `served` symbols get decisions; `followed` ones beyond them are only seen beside them.
    """

    def __init__(
        self,
        *,
        timeframe: Timeframe,
        served: Sequence[str],
        followed: Sequence[str],
        flags: LiveFlags,
        reloader: Reloader,
        clock: Clock,
        deadlines: Deadlines = LIVE,
    ) -> None:
        self.buffers = {symbol: BarBuffer(symbol, timeframe) for symbol in (*served, *followed)}
        self._timeframe = timeframe
        self._served = frozenset(served)
        self._flags = flags
        self._reloader = reloader
        self._clock = clock
        self._deadlines = deadlines
        self._challenger = Challenger(deadlines.challenger_s, clock)
        self._rows: FeatureRows = {}
        self._last_answer: dict[str, Answer] = {}
        self._intake = Intake(self.buffers, timeframe, clock)

    def answer(self, batch: Sequence[BarClosed]) -> list[Answer]:
        """Decide on bars that closed together: one answer for each of a served symbol, oldest first.

        Of two bars of one symbol only the newer is decided on. Bars of unknown symbols are dropped.
        """
        with collection_put_off():
            return self._answers(batch)

    def _answers(self, batch: Sequence[BarClosed]) -> list[Answer]:
        started_ns = self._clock.monotonic_ns()
        champion, flags = self._reloader.champion, self._flags.current  # one bundle for the whole batch
        self._rows = {}
        known = [bar for bar in batch if bar.symbol in self.buffers]
        taken = [self._intake.take(bar) for bar in sorted(known, key=_in_time_order)]
        served = [one for one in taken if one.bar.symbol in self._served]
        new = [one.bar for one in served if one.refusal is None]
        said = iter(self._ask(champion, flags, new, self._rows))
        return [
            self._answer(
                one,
                Asked(reason=one.refusal) if one.refusal else next(said),
                champion,
                flags,
                started_ns,
            )
            for one in served
        ]

    async def challenge(self, answers: Sequence[Answer]) -> Sequence[Answer]:
        """The same answers, those on new bars with what the challenger says of them, if there is one.

        Await it as soon as the answers are out, for it is asked of what the buffers hold now. It takes
        no longer than the challenger's deadline.
        """
        ensemble, flags = self._reloader.challenger, self._flags.current
        bars = [answer.bar for answer in answers if answer.is_decided]
        if ensemble is None or not flags.enabled or not bars:
            return answers
        question = partial(ask, ensemble, flags, self.buffers, bars, self._timeframe, self._rows)
        said = iter(await self._challenger.ask(ensemble, len(bars), question))
        return [replace(one, challenger=next(said)) if one.is_decided else one for one in answers]

    def prepare(self, symbols: Sequence[str]) -> None:
        """Let networks look at the bars of these symbols up to now, so that little is left to do when
        the next ones close. Never raises: what goes wrong here comes out at the close, as an answer."""
        served = [self.buffers[symbol] for symbol in symbols if symbol in self._served]
        windows = [up_to_newest(buffer) for buffer in served]
        champion = self._reloader.champion
        challenger = None if self._challenger.is_busy else self._reloader.challenger
        for ensemble in (champion.ensemble if champion else None, challenger):
            if ensemble is not None and windows:
                with suppress(Exception):
                    ensemble.prepare(windows)

    @property
    def lookback(self) -> int:
        """How many bars of each symbol those who answer look at."""
        champion, challenger = self._reloader.champion, self._reloader.challenger
        bundles = (champion and champion.bundle, challenger and challenger.bundle)
        needed = [lookback(bundle.manifest) for bundle in bundles if bundle]
        return max(needed, default=LOOKBACK_BARS)

    def make_room(self) -> bool:
        """Let every buffer hold as many bars as are looked at; whether it could not before. Call it
        between two batches."""
        grown = [buffer.hold(self.lookback) for buffer in self.buffers.values()]
        return any(grown)

    @property
    def champion(self) -> Bundle | None:
        """The bundle that answers now."""
        champion = self._reloader.champion
        return champion.bundle if champion else None

    def take_history(self, history: Candles) -> None:
        """Put older bars of a known symbol into its buffer; call it between two batches."""
        if history.symbol in self.buffers:
            self.buffers[history.symbol].extend(history)

    def warm_up(self) -> None:
        """Rehearse a close on bars held now and remember nothing of it; call it just before one is due.

        A bar closes once an hour: without this the first answer after the pause takes several times as
        long as the next one, and the very first a quarter of a second, to load the kernels.
        """
        champion, flags = self._reloader.champion, self._flags.current
        if champion is None:
            return
        # What a member said last is remembered by the ensemble: another one stands in.
        understudy = dataclasses.replace(champion, ensemble=Ensemble(champion.bundle))
        served = [buffer for symbol, buffer in self.buffers.items() if symbol in self._served]
        bars = [_newest_bar(buffer) for buffer in served[:_REHEARSED_SYMBOLS] if buffer.n_bars]
        for _ in range(_REHEARSALS):
            for bar, asked in zip(bars, self._ask(understudy, flags, bars, {}), strict=True):
                self._decide(bar, asked, understudy, flags, self._clock.monotonic_ns())

    def _ask(
        self,
        champion: Champion | None,
        flags: Settings,
        bars: Sequence[BarClosed],
        known: FeatureRows,
    ) -> Sequence[Asked]:
        if champion is None or not flags.enabled:
            return [Asked()] * len(bars)
        said = ask(champion.ensemble, flags, self.buffers, bars, self._timeframe, known)
        return [
            recalibrate(
                one, champion.recalibration, flags, bar.open_time_ms + self._timeframe.length_ms
            )
            for bar, one in zip(bars, said, strict=True)
        ]

    def _answer(
        self,
        taken: Taken,
        asked: Asked,
        champion: Champion | None,
        flags: Settings,
        started_ns: int,
    ) -> Answer:
        bar, is_new, refusal, replaced = taken
        last = self._last_answer.get(bar.symbol)
        if refusal in _CAME_AGAIN and last and last.bar.open_time_ms == bar.open_time_ms:
            return replace(last, bar=bar, flags=flags, is_new=False, came_again=True, replaced=replaced)
        decision = self._decide(bar, asked, champion, flags, started_ns)
        answer = Answer(bar, decision, asked, flags, is_new=is_new, replaced=replaced)
        if answer.is_new:
            self._last_answer[bar.symbol] = answer
        return answer

    def _decide(
        self,
        bar: BarClosed,
        asked: Asked,
        champion: Champion | None,
        flags: Settings,
        started_ns: int,
    ) -> Decision:
        latency_us = (self._clock.monotonic_ns() - started_ns) / 1000
        too_late = self._deadlines.decision and latency_us > flags.decision_timeout_ms * 1000
        return decide(
            bar,
            self._timeframe,
            flags,
            champion.serving if champion else None,
            probabilities=asked.probabilities,
            abstain_reason=asked.reason or ("timeout" if too_late else None),
            regime=asked.regime,
            latency_us=latency_us,
        )


def _newest_bar(buffer: BarBuffer) -> BarClosed:
    opening, high, low, close, volume = buffer.bars[:ABSENT, buffer.newest].tolist()
    return BarClosed(
        symbol=buffer.symbol,
        timeframe=buffer.timeframe.name,
        open_time_ms=buffer.newest_open_ms,
        open=opening,
        high=high,
        low=low,
        close=close,
        volume=volume,
        source="",
        received_ms=0,
    )
