"""The demo shows its own walk, whatever the folder or the environment is set up for."""

from pathlib import Path

import pytest
from rich.console import Console

from training.commands.demo import _Steps

_CHILD = """\
import os, sys
flags = {key: text for key, text in os.environ.items() if key.startswith("ML_")}
expected = {"ML_EXCHANGE_URL": "http://mirror.example", "ML_SHADOW_DIR": "there"}
sys.exit(0 if flags == expected else int(sys.argv[1]))
"""


@pytest.fixture
def steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> _Steps:
    """Steps whose commands are found in `tmp_path`, in an environment made for a bot."""
    (tmp_path / "child.py").write_text(_CHILD)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("ML_SYMBOLS", "DOGE/USDT")
    monkeypatch.setenv("ML_EXCHANGE_URL", "http://mirror.example")
    return _Steps(Console(quiet=True), {"ML_SHADOW_DIR": "there"})


def test_a_step_follows_the_defaults_and_the_demo_s_folders_but_keeps_a_mirror(steps: _Steps) -> None:
    assert steps("a step", "child", "1")


def test_a_step_that_fails_says_so_and_only_the_report_may_say_no(steps: _Steps) -> None:
    assert not steps("no such command", "no_such_module")
    other = _Steps(Console(quiet=True), {"ML_SHADOW_DIR": "elsewhere"})
    assert not other("a step", "child", "1")
    assert other("the report", "child", "3", may_say_no=True)
    assert not other("the report", "child", "2", may_say_no=True)
