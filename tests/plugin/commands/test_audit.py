"""`python -m shadow.audit`, as a person or a script meets it."""

import json
import os
import subprocess
import sys

import pytest

from plugin.candles import SIMULATED_VENUE
from tests.plugin.test_audit import first_bar, replace_models, rewrite
from tests.plugin.test_audit import log as log  # noqa: PLC0414  (a fixture)
from tests.support.replays import ROOT, environment
from tests.support.small_training import HELD_OUT_BARS


def audit(training, log, *arguments):
    command = [
        sys.executable,
        "-m",
        "shadow.audit",
        "--venue",
        SIMULATED_VENUE,
        "--env",
        str(log / ".env"),
    ]
    return subprocess.run(
        [*command, *arguments],
        cwd=ROOT,
        env={**environment(training, log), "COLUMNS": "120"} | {"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_log_that_is_as_recorded_is_exit_code_0(small_training, log):
    done = audit(small_training, log, "--days", "14")
    assert (done.returncode, "to the last bit" in done.stdout) == (0, True), done.stderr
    told = json.loads(audit(small_training, log, "--days", "14", "--json").stdout)
    assert (told["n_bars"], told["n_differences"]) == (2 * HELD_OUT_BARS, 0)


def test_a_difference_is_exit_code_1_and_shown(small_training, log):
    from msgspec.structs import replace

    rewrite(log, lambda one: [replace(one, meta_p=0.25) if first_bar()(one) else one])
    done = audit(small_training, log, "--days", "14", "--symbol", "BTC/USDT")
    assert done.returncode == 1
    for text in ("2024-12-22T04:00", "BTC/USDT", "meta_p", "0.25"):
        assert text in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--days", "0"), 2, "expected 0 to 36,500 days"),
        (("--dir", "nowhere"), 2, "name one by --dir"),
        (("--symbol", "DOGE/USDT"), 3, "nothing could be compared"),
    ],
)
def test_what_can_not_be_done_says_why(small_training, log, arguments, code, says):
    done = audit(small_training, log, *arguments)
    assert done.returncode == code
    assert says in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_without_bundles_nothing_can_be_compared(small_training, log, tmp_path):
    done = audit(replace_models(small_training, tmp_path / "none"), log)
    assert done.returncode == 3
    assert "bundle_not_there" in done.stdout


def test_help_shows_an_example(small_training, log):
    assert "python -m shadow.audit --days 2" in audit(small_training, log, "--help").stdout
