"""A schedule whose jobs a test moves in time, as a person at the database could."""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCHEDULE = [sys.executable, "-m", "training", "schedule"]


def make_due(models: Path, job: str, late: timedelta = timedelta(seconds=1)) -> None:
    """The next run of `job` lies `late` in the past."""
    with sqlite3.connect(models / "schedule.sqlite") as base:
        [(state,)] = base.execute("SELECT job_state FROM shadowgate_schedule WHERE id = ?", (job,))
        when = datetime.now(UTC) - late
        planned = json.dumps({**json.loads(state), "next_run": when.isoformat()}).encode()
        change = "UPDATE shadowgate_schedule SET next_run_time = ?, job_state = ? WHERE id = ?"
        base.execute(change, (when.timestamp(), planned, job))
    base.close()


def run_once(environment: Mapping[str, str], *more: str) -> subprocess.CompletedProcess[str]:
    """`schedule --once`, to its end."""
    return subprocess.run(
        [*SCHEDULE, "--once", "--json", *more],
        cwd=ROOT,
        env=dict(environment),
        capture_output=True,
        text=True,
        timeout=600,  # a training may be under way
        check=False,
    )


def events(printed: str, *names: str) -> list[dict[str, object]]:
    """The log lines with one of these names."""
    lines: Sequence[dict[str, object]] = [json.loads(line) for line in printed.splitlines()]
    return [line for line in lines if line["event"] in names]
