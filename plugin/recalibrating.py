"""What does the bundle's word on a bar mean, after what came of its earlier ones?"""

from __future__ import annotations

from msgspec.structs import replace

from plugin.answer import Asked
from plugin.settings import Settings
from shadow.recalibration import Coefficients, Recalibration, recalibrated
from shadow.record import RecalibratedRecord


def recalibrate(
    asked: Asked, recalibration: Recalibration | None, flags: Settings, close_ms: int
) -> Asked:
    """The same with p' beside p, for a bar that closes at `close_ms`.

    p' acts where the operator wants it and the evidence holds. Where there is any doubt there is none.
    """
    prediction = asked.prediction
    if recalibration is None or prediction is None or not recalibration.is_for(close_ms):
        return asked
    beside = {}
    for horizon, p in prediction.probabilities.items():
        own = recalibration.horizons.get(horizon)
        coefficients = own.fit.coefficients if own else None
        read = recalibrated(p, coefficients) if coefficients else None
        if own is not None and coefficients is not None and read is not None:
            acts = flags.recalibrate and own.holds
            beside[horizon] = RecalibratedRecord(read, coefficients.shift, coefficients.slope, acts)
    return replace(asked, recalibrated=beside) if beside else asked


def recalibrated_again(p: float | None, recorded: RecalibratedRecord) -> float | None:
    """p' of a recomputed `p`, by the coefficients that a record carries."""
    return recalibrated(p, Coefficients(recorded.shift, recorded.slope))
