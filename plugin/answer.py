"""What does one closed bar lead to?"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from plugin.bar import BarClosed
from plugin.buffer import Ohlcv
from plugin.decision import Decision
from plugin.ensemble import Prediction
from plugin.regime import Regime
from plugin.settings import Settings
from shadow.record import ChallengerRecord, RecalibratedRecord


class Asked(msgspec.Struct, frozen=True):
    """A bundle's word on one bar. `reason` says why there is no prediction, if there is none.

    `regime` is known where features are; `error` is what went wrong inside. `recalibrated` has the
    horizons whose probability is read otherwise than it is said.
    """

    prediction: Prediction | None = None
    reason: str | None = None
    regime: Regime = "unknown"
    error: str | None = None
    recalibrated: dict[str, RecalibratedRecord] = {}

    @property
    def probabilities(self) -> Mapping[str, float] | None:
        """What is decided on, by horizon: p' where it acts, else p; None without a prediction."""
        if self.prediction is None:
            return None
        acting = {horizon: one.p for horizon, one in self.recalibrated.items() if one.acts}
        return {**self.prediction.probabilities, **acting} if acting else self.prediction.probabilities


class Answer(msgspec.Struct, frozen=True):
    """The decision on one bar of a served symbol, and what it rests on.

    Only a new bar leads to a record of its own: one that was refused, came again or came too late does
    not. `came_again` says that this is the first answer once more, to a bar that came again; `replaced`
    are the values that a revision replaced. `challenger` is filled in once the answer is out.
    """

    bar: BarClosed
    decision: Decision
    asked: Asked
    flags: Settings
    is_new: bool
    came_again: bool = False
    replaced: Ohlcv | None = None
    challenger: ChallengerRecord | None = None

    @property
    def is_decided(self) -> bool:
        """Whether the decision was made for this bar, and not before it came."""
        return self.is_new and self.bar.already_answered is None
