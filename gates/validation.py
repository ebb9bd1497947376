"""Is it as good on the newest bars as on those before?

A bundle whose parameters were chosen on a stretch of bars looks better there than on bars that came
later. The newest test block is the "test", all blocks before it are the "validation".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from gates.base import NOT_MEASURED, Candidate, answer, not_known, words
from gates.limits import Limits
from gates.measured import Measured
from plugin.manifest import GateResult, Verdict

_NAME = "validation_test"
_WHAT = "AUC of the stack in the newest block less that in all blocks before it"


def validation_test(candidate: Candidate, limits: Limits) -> Sequence[GateResult]:
    """Within the limit either way passes; shown to lie beyond it fails; else there is no evidence."""
    measured, most = candidate.measured, limits.validation_test
    limit = f"within {words(most)}"
    if isinstance(measured, str):
        return [not_known(_NAME, "live", limit, f"{_WHAT}: {measured}")]
    found = [_difference(measured, number) for number in range(len(measured.symbols))]
    unknown = [one for one in found if not math.isfinite(one.value + one.half_width)]
    if unknown:
        why = unknown[0].reason or NOT_MEASURED
        return [not_known(_NAME, "live", limit, f"{_WHAT}: {why}")]
    # The symbol on which the verdict is worst, then the one that lies farthest apart.
    worst = max(found, key=lambda one: (_rank(one, most), abs(one.value)))
    where = f", on its worst of {len(found)} symbols" if len(found) > 1 else ""
    sentence = (
        f"{_WHAT}{where}: expected {limit}, was {words(worst.value)} ± {worst.half_width:.3f} (95 %)"
    )
    return [answer(_NAME, "live", worst.value, limit, _VERDICTS[_rank(worst, most)], sentence)]


class _Difference(NamedTuple):
    """Test less validation, and half the width of its 95 % interval; NaN where there is a reason."""

    value: float
    half_width: float
    reason: str | None


_VERDICTS: tuple[Verdict, ...] = ("pass", "not enough evidence", "fail")


def _rank(found: _Difference, most: float) -> int:
    if abs(found.value) <= most:
        return 0
    return 2 if abs(found.value) - found.half_width > most else 1


def _difference(measured: Measured, symbol: int) -> _Difference:
    """Blocks do not overlap in time, so that the errors of the two add in squares."""
    rows, newest = measured.of_symbol(symbol), measured.rows.fold == measured.blocks[-1]
    test, validation = measured.interval(rows & newest), measured.interval(rows & ~newest)
    half_width = math.hypot(test.high - test.estimate, validation.high - validation.estimate)
    reason = test.reason or validation.reason
    return _Difference(test.estimate - validation.estimate, half_width, reason)
