"""What would the challenger have said, without the champion ever waiting for it in vain?

It is asked when the answers are out, in a thread of its own and against a deadline. What goes wrong in
it is data. While a call is stuck no other one is begun, so it costs the bars one deadline and no more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future

from plugin.answer import Asked
from plugin.beside import start_beside
from plugin.clock import Clock
from plugin.ensemble import Ensemble
from shadow.record import ChallengerRecord


class Challenger:
    """Asks the ensemble that is tried beside the champion."""

    def __init__(self, deadline_s: float, clock: Clock) -> None:
        self._deadline_s = deadline_s
        self._clock = clock
        self._stuck: tuple[Ensemble, Future[list[Asked]]] | None = None

    @property
    def is_busy(self) -> bool:
        """Whether a call that was not waited for is still under way."""
        return self._stuck is not None and not self._stuck[1].done()

    async def ask(
        self, ensemble: Ensemble, n_bars: int, question: Callable[[], list[Asked]]
    ) -> list[ChallengerRecord]:
        """The record of each of `n_bars` bars; `question` asks `ensemble` about all of them.

        Never raises but when cancelled. A late answer is thrown away.
        """
        started_ns = self._clock.monotonic_ns()
        said = await self._answered_in_time(ensemble, n_bars, question)
        took_us = (self._clock.monotonic_ns() - started_ns) / 1000 / n_bars
        return [_record(ensemble.bundle.bundle_id, one, took_us) for one in said]

    async def _answered_in_time(
        self, ensemble: Ensemble, n_bars: int, question: Callable[[], list[Asked]]
    ) -> list[Asked]:
        too_late = [Asked(reason="timeout")] * n_bars
        if self._stuck is not None and self._stuck[0] is ensemble and not self._stuck[1].done():
            return too_late
        call = start_beside(question, "challenger")
        self._stuck = ensemble, call  # until it is known not to be
        waiting = asyncio.wrap_future(call)
        try:
            done, _ = await asyncio.wait({waiting}, timeout=self._deadline_s)
        finally:
            waiting.cancel()  # the thread can not be stopped; its answer is not waited for any more
        if not done:
            return too_late
        self._stuck = None
        error = waiting.exception()
        if error is not None:
            return [Asked(reason="error", error=f"{type(error).__name__}: {error}")] * n_bars
        return waiting.result()


def _record(bundle_id: str, asked: Asked, took_us: float) -> ChallengerRecord:
    prediction = asked.prediction
    return ChallengerRecord(
        bundle=bundle_id,
        reason=asked.reason or "ok",
        error=asked.error,
        members=prediction.members if prediction else {},
        meta_p=prediction.meta_p if prediction else None,
        probabilities=prediction.probabilities if prediction else {},
        regime_probabilities=prediction.regime_probabilities if prediction else {},
        us=took_us,
    )
