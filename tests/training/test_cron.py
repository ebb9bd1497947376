"""Cron texts fire when cron would fire them."""

from datetime import UTC, datetime, timedelta

import pytest

from plugin.errors import WrongUse
from training.cron import cron_trigger

THURSDAY = datetime(2026, 1, 1, tzinfo=UTC)


def days(text: str, n: int = 7) -> list[str]:
    """The next `n` moments, as weekday and day of January."""
    trigger, found, after = cron_trigger(text), [], THURSDAY - timedelta(seconds=1)
    for _ in range(n):
        after = trigger.get_next_fire_time(after, after)
        found.append(f"{after:%a %d}")
        after += timedelta(seconds=1)
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("17 3 * * 0", ["Sun 04", "Sun 11", "Sun 18"]),
        ("17 3 * * 7", ["Sun 04", "Sun 11", "Sun 18"]),
        ("17 3 * * SUN", ["Sun 04", "Sun 11", "Sun 18"]),
        ("0 0 * * 1", ["Mon 05", "Mon 12", "Mon 19"]),
        ("0 0 * * 1-5", ["Thu 01", "Fri 02", "Mon 05"]),
        ("0 0 * * 5-7", ["Fri 02", "Sat 03", "Sun 04"]),
        ("0 0 * * sat,2", ["Sat 03", "Tue 06", "Sat 10"]),
        ("0 0 * * */3", ["Sat 03", "Sun 04", "Wed 07"]),
        ("0 0 * * 2/3", ["Fri 02", "Tue 06", "Fri 09"]),
        ("0 0 13 * 5", ["Fri 02", "Fri 09", "Tue 13"]),
        ("0 0 13 * *", ["Tue 13", "Fri 13", "Fri 13"]),
    ],
)
def test_days_are_those_of_cron(text: str, expected: list[str]) -> None:
    assert days(text, 3) == expected


def test_times_are_utc() -> None:
    fires = cron_trigger("17 3 * * 0").get_next_fire_time(None, THURSDAY)
    assert fires == datetime(2026, 1, 4, 3, 17, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "* * * *",
        "61 * * * *",
        "0 0 * * 8",
        "0 0 * * 5-2",
        "0 0 * * mo",
        "0 0 * * */0",
        "0 0 32 * *",
    ],
)
def test_what_is_no_cron_text_is_refused_with_the_flag_to_correct(text: str) -> None:
    with pytest.raises(WrongUse, match="ML_RETRAIN_CRON"):
        cron_trigger(text)
