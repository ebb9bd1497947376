"""docs/retraining.md says what the code says."""

import argparse
from pathlib import Path

from training.background import LOGS_KEPT
from training.commands import schedule
from training.reasons import REST_DAYS
from training.schedule import CALENDAR, GRACE_S, JOBS, LOOK, LOOK_CRON, REVIEW, REVIEW_CRON
from training.scheduled_run import LONGEST_PAUSE_HOURS
from training.triggers import BLOCK_DAYS, LEAST_BLOCKS, REGIME_DAYS, REGIME_MARGIN, WATCHED_SYMBOLS

PAGE = (Path(__file__).parents[2] / "docs" / "retraining.md").read_text()


def rows(title: str) -> list[list[str]]:
    """The cells of the first table below a title."""
    table = PAGE.split(f"## {title}\n")[1].split("\n## ")[0].split("\n\n")
    [first] = [part for part in table if part.lstrip().startswith("|")][:1]
    return [
        [cell.strip() for cell in line.strip("|").split("|")] for line in first.strip().splitlines()[2:]
    ]


def test_jobs_have_their_plan_and_lateness() -> None:
    crons = {CALENDAR: "ML_RETRAIN_CRON", LOOK: LOOK_CRON, REVIEW: REVIEW_CRON}
    expected = [[f"`{name}`", f"`{crons[name]}`", f"{GRACE_S[name]} s"] for name in JOBS]
    assert [row[:3] for row in rows("Jobs")] == expected


def test_triggers_have_their_limits() -> None:
    assert [row[0] for row in rows("Triggers")] == ["`again`", "`age`", "`drift`", "`regime`"]
    plain = " ".join(PAGE.split())
    for text in (
        f"newest {BLOCK_DAYS} days",
        f"rest for {REST_DAYS:g} days",
        f"The first {WATCHED_SYMBOLS} symbols",
        f"Fewer than {LEAST_BLOCKS} blocks",
        f"by {REGIME_MARGIN:g} beyond its border",
        f"the newest {LOGS_KEPT} |",
    ):
        assert text in plain, text
    assert rows("Triggers")[3][3] == str(REGIME_DAYS)
    assert (LONGEST_PAUSE_HOURS, "at most a day" in plain) == (24, True)


def test_defaults_are_those_of_the_command() -> None:
    parser = argparse.ArgumentParser()
    schedule.add_arguments(parser.add_subparsers())
    args = parser.parse_args(["schedule"])
    assert f"`--max-memory-gib` ({args.max_memory_gib:g})" in PAGE
    assert f"`--max-hours` ({args.max_hours:g})" in PAGE
    assert rows("Triggers")[1][3] == f"{args.max_age_days:g}, `--max-age-days`"
