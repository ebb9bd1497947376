"""Does the live process still say what its bundle says on disk, and what a fresh row says?

One decided bar in N is recomputed when its answer is out and its record is on its way: from a copy of
the bars that the buffers held, with a bundle that is read and verified anew, in a thread of its own.
That finds models or rows that went wrong in memory. Bars that came in wrong it can not find, as it has
no others: that is what `python -m shadow.audit` does, with bars from a store.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import numpy as np
import structlog

from plugin.answer import Answer
from plugin.bar import Timeframe
from plugin.bundle import load_bundle
from plugin.clock import utc_text
from plugin.distance import distance
from plugin.ensemble import Ensemble, Prediction
from plugin.errors import ShadowgateError
from plugin.features.joined import Window, write_joined_row
from plugin.pipeline import Pipeline
from plugin.windows import Stretch

_log = structlog.get_logger()
EQUAL, DIFFERENT, NOT_POSSIBLE = "equal", "different", "not_possible"


class _Case(NamedTuple):
    """One answer, and copies of the windows that it rests on: its own first."""

    answer: Answer
    prediction: Prediction
    bundle_id: str
    windows: list[Window]
    timeframe: Timeframe


class _Found(NamedTuple):
    """The largest difference, and where it is."""

    size: float
    member: str
    horizon: str
    recorded: float
    recomputed: float


class SelfAudit:
    """Takes answers when they are out; never raises, and never keeps an answer waiting.

    It audits the first decided bar and every `every`-th after it; 0 is off. The end of its `async with`
    block waits for the audit under way. `results` counts audits by outcome, `difference` is that of
    the last one, None before the first.
    """

    def __init__(self, pipeline: Pipeline, models_dir: Path, every: int) -> None:
        self.results: Counter[str] = Counter({EQUAL: 0, DIFFERENT: 0, NOT_POSSIBLE: 0})
        self.difference: float | None = None
        self.last_different: str | None = None
        self._pipeline = pipeline
        self._models_dir = models_dir
        self._every = every
        self._n_decided = 0
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> None:
        """Nothing to begin."""

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    def take(self, answers: Sequence[Answer]) -> None:
        """Look whether one of these is due."""
        for answer in answers:
            prediction = answer.asked.prediction
            if not self._every or not answer.is_decided or prediction is None:
                continue
            is_due = self._n_decided % self._every == 0
            self._n_decided += 1
            if is_due and (self._task is None or self._task.done()):
                case = self._case(answer, prediction)
                if case is None:
                    self.results[NOT_POSSIBLE] += 1
                else:
                    self._task = asyncio.create_task(self._audit(case))

    def state(self) -> dict[str, object]:
        """For the status."""
        return {
            "every": self._every,
            **self.results,
            "difference": self.difference,
            "last_different": self.last_different,
        }

    def _case(self, answer: Answer, prediction: Prediction) -> _Case | None:
        """None where the buffers have gone on already, or another bundle has answered."""
        decision, bar = answer.decision, answer.bar
        champion = self._pipeline.champion
        if champion is None or champion.bundle_id != decision.bundle_id:
            return None
        windows: list[Window] = []
        for name in (bar.symbol, *champion.manifest.companions[bar.symbol]):
            buffer = self._pipeline.buffers.get(name)
            if buffer is None or buffer.newest_open_ms != bar.open_time_ms:
                return None
            first = max(0, buffer.newest + 1 - self._pipeline.lookback)
            copy = buffer.bars[:, first : buffer.newest + 1].copy()
            windows.append((copy, copy.shape[1] - 1))
        timeframe = self._pipeline.buffers[bar.symbol].timeframe
        return _Case(answer, prediction, champion.bundle_id, windows, timeframe)

    async def _audit(self, case: _Case) -> None:
        try:
            found = await asyncio.to_thread(_recompute, case, self._models_dir)
        except (ShadowgateError, OSError, ValueError) as error:
            self.results[NOT_POSSIBLE] += 1
            _log.warning("audit_not_possible", reason=str(error)[:200])
            return
        self.difference = found.size
        if not found.size:
            self.results[EQUAL] += 1
            return
        self.results[DIFFERENT] += 1
        bar = case.answer.bar
        self.last_different = f"{bar.symbol} {utc_text(bar.open_time_ms)}: {found.member}"
        _log.error(
            "audit_different", symbol=bar.symbol, bar=utc_text(bar.open_time_ms), **found._asdict()
        )


def _recompute(case: _Case, models_dir: Path) -> _Found:
    bundle = load_bundle(models_dir / "bundles" / case.bundle_id)
    row = np.full((1, bundle.n_columns), np.nan, dtype=np.float32)
    own, *companions = case.windows
    open_ms = case.answer.bar.open_time_ms
    refusal = write_joined_row(own, companions, open_ms, case.timeframe.length_ms, row[0])
    if refusal:
        raise ValueError(f"the same window is refused now: {refusal}")
    symbol, (bars, newest) = case.answer.bar.symbol, own
    earlier = Stretch(symbol, case.timeframe, bars, newest - 1, open_ms - case.timeframe.length_ms)
    [again] = Ensemble(bundle).predict([symbol], row, [earlier])
    asking = case.prediction.asking
    pairs = [
        _Found(distance(None if math.isnan(before) else before, now), member, horizon, before, now)
        for member, said, said_again in zip(
            asking.members, case.prediction.said, again.said, strict=True
        )
        for horizon, before, now in zip(asking.horizons, said, said_again, strict=True)
    ]
    stacked = again.stacked_by(case.prediction.statuses)
    for horizon, before in case.prediction.probabilities.items():
        now = stacked.get(horizon, math.nan)
        pairs.append(_Found(distance(before, now), "stack", horizon, before, now))
    for question, before in case.prediction.regime_probabilities.items():
        now = again.regime_probabilities.get(question, math.nan)
        size = distance(None if math.isnan(before) else before, now)
        pairs.append(_Found(size, f"regime_{question}", "", before, now))
    return max(pairs, key=lambda one: one.size)
