"""When does a cron text fire, read as cron reads it?

APScheduler counts the days of the week from Monday, cron from Sunday; and cron fires on the day of the
month *or* the day of the week where both are given, APScheduler on both together.
"""

from __future__ import annotations

from datetime import UTC

from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.combining import OrTrigger
from apscheduler.triggers.cron import CronTrigger

from plugin.errors import WrongUse

_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


def cron_trigger(text: str) -> BaseTrigger:
    """The trigger of five cron fields, in UTC. Raises WrongUse for what is none."""
    try:
        minute, hour, day, month, week_day = text.lower().split()
        days = "*" if week_day == "*" else ",".join(_DAYS[number] for number in _week_days(week_day))
        given = {"minute": minute, "hour": hour, "month": month, "timezone": UTC}
        if day == "*" or week_day == "*":
            return CronTrigger(day=day, day_of_week=days, **given)
        return OrTrigger([CronTrigger(day=day, **given), CronTrigger(day_of_week=days, **given)])
    except (ValueError, IndexError) as error:
        expected = "five cron fields such as 17 3 * * 0"
        raise WrongUse(expected, repr(text), "correct ML_RETRAIN_CRON") from error


def _week_days(field: str) -> list[int]:
    """The days, from 0 for Sunday; 7 is Sunday, too."""
    days: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        begin, end = (0, 6) if span == "*" else (_week_day(first), _week_day(last or first))
        if end < begin or (step and int(step) < 1):
            raise ValueError(part)
        if step and span != "*" and not last:
            end = 6  # cron reads 2/3 as "from 2 on, every third"
        days.update(number % 7 for number in range(begin, end + 1, int(step or 1)))
    return sorted(days)


def _week_day(text: str) -> int:
    number = _DAYS.index(text) if text in _DAYS else int(text)
    if not 0 <= number <= 7:
        raise ValueError(text)
    return number
