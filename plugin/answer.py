"""What does one closed bar lead to?"""

from __future__ import annotations

from dataclasses import dataclass

from plugin.bar import BarClosed
from plugin.buffer import Ohlcv
from plugin.decision import Decision
from plugin.ensemble import Prediction
from plugin.regime import Regime
from plugin.settings import Settings
from shadow.record import ChallengerRecord


@dataclass(frozen=True, slots=True)
class Asked:
    """A bundle's word on one bar. `reason` says why there is no prediction, if there is none.

    `regime` is known where features are; `error` is what went wrong inside.
    """

    prediction: Prediction | None = None
    reason: str | None = None
    regime: Regime = "unknown"
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
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
