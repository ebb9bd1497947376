"""Which of the triggers counts now, after what has been trained and while somebody is being tried?"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from plugin.command_line import utc_ms
from plugin.errors import ShadowgateError
from plugin.registry import Registry
from training.attempts import BY_COMMAND, Attempt
from training.triggers import DAY_MS, Trigger, Watch

REST_DAYS = 7.0
"""For so long after a training neither drift nor age begins another: the same bars, the same answer."""
_RESTING = ("drift", "age")


def look(
    watch: Watch, registry: Registry, known: Sequence[Attempt], now_ms: int
) -> tuple[Trigger, ...]:
    """All triggers, those that do not count now with the reason why; `known` are all trainings."""
    rested_days = days_since_good(known, now_ms, judged=True)
    held = _held(registry)
    found = []
    for trigger in watch.look(now_ms, rested_days):
        why_not = held
        if why_not is None and trigger.name in _RESTING and rested_days < REST_DAYS:
            why_not = f"the last training was {rested_days:.1f} days ago, less than {REST_DAYS:g}"
        found.append(_without(trigger, why_not) if trigger.fires and why_not else trigger)
    return (again(known), *found)


def again(known: Sequence[Attempt]) -> Trigger:
    """Fires where the newest training of the schedule failed; the pause after it is not looked at."""
    ended = [one for one in known if one.ended and one.began.trigger != BY_COMMAND]
    newest = ended[-1] if ended else None
    failed = newest is not None and newest.failed
    reason = newest.ended.reason if newest and newest.ended and failed else None
    return Trigger(
        name="again",
        value=float(failed),
        limit=1.0,
        fires=failed,
        sentence=f"the last training failed: {reason}" if failed else "the last training did not fail",
    )


def days_since_good(known: Sequence[Attempt], now_ms: int, *, judged: bool = False) -> float:
    """Days since a training began that led to a bundle fit for shadow; infinity where there is none.

    `judged`: one that came to its end will do, whatever the gates said.
    """
    ends = ("champion", "challenger", "waiting", *(("unfit",) if judged else ()))
    good = [one for one in known if one.ended is not None and one.ended.outcome in ends]
    return (now_ms - utc_ms(good[-1].began.at)) / DAY_MS if good else math.inf


def _held(registry: Registry) -> str | None:
    try:
        challenger = registry.challenger()
    except ShadowgateError as error:
        return str(error)
    return f"{challenger.bundle_id} is being tried" if challenger else None


def _without(trigger: Trigger, why_not: str) -> Trigger:
    sentence = f"{trigger.sentence}; held back: {why_not}"
    return msgspec.structs.replace(trigger, fires=False, sentence=sentence)
