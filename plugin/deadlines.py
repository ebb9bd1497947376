"""How long does the live process wait, and how long a replay, whose records must not depend on the load
of the machine?"""

from __future__ import annotations

from typing import NamedTuple


class Deadlines(NamedTuple):
    """`challenger_s` is the time that the challenger has for a batch. With `decision`, an answer that
    took longer than `ML_DECISION_TIMEOUT_MS` is `abstain`."""

    challenger_s: float
    decision: bool


LIVE = Deadlines(challenger_s=0.25, decision=True)
REPLAY = Deadlines(challenger_s=60.0, decision=False)
