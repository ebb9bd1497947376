"""How does an answer become a shadow record?"""

from __future__ import annotations

from plugin.answer import Answer
from plugin.settings import Settings
from shadow.record import BarRecord, DecisionRecord, RevisionRecord, StackingMode
from shadow.writer import ShadowWriter


class ShadowLog:
    """Answers in, lines out."""

    def __init__(self, writer: ShadowWriter, exchange: str) -> None:
        self.writer = writer
        self._exchange = exchange
        self._written: tuple[Settings | None, str] = None, ""
        self._flags_text: dict[str, str] = {}

    def write(self, answer: Answer) -> bool:
        """Record a new bar, or both versions of a revised one; True where a line was written."""
        if answer.is_new:
            return self.writer.write_bar(self.record_of(answer))
        if answer.replaced is not None:
            return self.writer.write_revision(_revision_record(answer, answer.replaced))
        return False

    def record_of(self, answer: Answer) -> BarRecord:
        """The record of an answer, as it would be written."""
        return bar_record(answer, self._text_of(answer))

    def _text_of(self, answer: Answer) -> dict[str, str]:
        """The flags in force, and where the bar really came from, which may be a replay."""
        flags, source = self._written
        if answer.flags is not flags or answer.bar.source != source:  # a few times a year
            self._written = answer.flags, answer.bar.source
            origin = {"ML_EXCHANGE": self._exchange, "ML_SOURCE": answer.bar.source}
            self._flags_text = answer.flags.live_as_text() | origin
        return self._flags_text


def bar_record(answer: Answer, flags: dict[str, str]) -> BarRecord:
    """The record of one answered bar. Stacking is active where the meta-model had all its members."""
    bar, decision, prediction = answer.bar, answer.decision, answer.asked.prediction
    stacked = prediction is not None and prediction.reason == "ok"
    if decision.mode == "off":
        stacking: StackingMode = "off"
    else:
        stacking = "active" if stacked else "inactive"
    return BarRecord(
        seq=0,
        written_at="",
        symbol=bar.symbol,
        timeframe=bar.timeframe,
        open_time_ms=bar.open_time_ms,
        high=bar.high,
        low=bar.low,
        close=bar.close,
        mode=decision.mode,
        ml_stacking_mode=stacking,
        ml_reason="ok" if stacked else decision.reason,
        ml_error=answer.asked.error,
        members=prediction.members if prediction else {},
        meta_p=prediction.meta_p if prediction else None,
        probabilities=prediction.probabilities if prediction else {},
        recalibrated=answer.asked.recalibrated,
        decision=DecisionRecord(
            action=decision.action,
            valid_until_ms=decision.valid_until_ms,
            size_multiplier=decision.size_multiplier,
            stop_atr=decision.stop_atr,
            regime=decision.regime,
            reason=decision.reason,
        ),
        regime_probabilities=prediction.regime_probabilities if prediction else {},
        host_signal=bar.host_signal,
        champion=decision.bundle_id,
        challenger=answer.challenger,
        flags=flags,
        feature_hash=decision.feature_hash,
        latency_us=decision.latency_us,
    )


def _revision_record(answer: Answer, seen: tuple[float, float, float, float, float]) -> RevisionRecord:
    return RevisionRecord(
        seq=0,
        written_at="",
        symbol=answer.bar.symbol,
        timeframe=answer.bar.timeframe,
        open_time_ms=answer.bar.open_time_ms,
        seen=seen,
        revised=answer.bar.ohlcv,
    )
