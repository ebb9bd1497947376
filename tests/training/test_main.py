"""`python -m training` is quick, and of use where no training library is installed."""

import argparse
import json
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from plugin.command_line import LazyCommand
from plugin.registry import Registry
from tests.support.small_training import SmallTraining
from training.__main__ import COMMANDS
from training.packing import gather

ROOT = Path(__file__).parents[2]
EXTRAS = (
    *("scipy", "ccxt", "lightgbm", "xgboost", "sklearn", "pandas", "torch", "apscheduler"),
    *("sqlalchemy", "cryptography", "onnxruntime", "onnx", "redis", "optuna"),
)
_MAIN = f"""
import contextlib, io, json, sys
sys.modules.update(dict.fromkeys({EXTRAS!r}))
from training.__main__ import main
said = []
for arguments in json.load(sys.stdin):
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            code = main(arguments)
        except SystemExit as ended:
            code = ended.code
    said.append([code, printed.getvalue()])
loaded = [name for name in ("numpy", "numba", "rich") if name in sys.modules]
print(json.dumps({{"said": said, "loaded": loaded}}))
"""


def on_the_base_install(*commands: list[str]) -> dict[str, Any]:
    """What each command line says, and ends with, in one process where no extra is installed."""
    ended = subprocess.run(
        [sys.executable, "-c", _MAIN],
        cwd=ROOT,
        input=json.dumps(commands),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    told: dict[str, Any] = json.loads(ended.stdout)
    return told


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_the_list_says_of_a_command_what_the_command_says(command: LazyCommand) -> None:
    parser = argparse.ArgumentParser()
    subparsers = parser.add_subparsers()
    import_module(command.module).add_arguments(subparsers)
    [listed] = subparsers._choices_actions
    assert (listed.dest, listed.help) == (command.name, command.summary)


def test_every_command_is_in_the_list_and_the_list_loads_none_of_them() -> None:
    told = on_the_base_install(["--help"])
    [[code, printed]] = told["said"]
    assert code == 0
    files = (ROOT / "training" / "commands").glob("*.py")
    names = {file.stem for file in files if "\ndef add_arguments(" in file.read_text()}
    assert {command.name for command in COMMANDS} == names
    # A long name has a line of its own.
    listed = [line.split()[0] for line in printed.splitlines() if re.match(" {4}[a-z]", line)]
    assert listed == [command.name for command in COMMANDS]
    assert told["loaded"] == []


def test_where_no_extra_is_installed_each_command_works_or_says_what_to_install() -> None:
    told = on_the_base_install(*([command.name, "--help"] for command in COMMANDS))
    for command, (code, printed) in zip(COMMANDS, told["said"], strict=True):
        if command.extra is None:
            assert code == 0, printed
            assert f"usage: python -m training {command.name}" in printed
        else:
            assert code == 2
            assert printed.startswith(f"expected what `{command.name}` needs, was no ")
            assert printed.endswith(f"pip install 'shadowgate[{command.extra}]'\n")
    assert {command.name for command in COMMANDS if command.extra is None} == {
        "experiments",
        "drift",
        "pack",
        "install",
    }


def test_a_bundle_is_packed_and_installed_where_no_extra_is(
    small_training: SmallTraining, tmp_path: Path
) -> None:
    bundle, file, models = small_training.outcome.bundle, tmp_path / "b.zip", tmp_path / "models"
    where = ["--models-dir", str(models), "--env", str(tmp_path / ".env")]
    told = on_the_base_install(
        ["pack", str(bundle), "--out", str(file)],
        ["install", str(file), *where, "--public-key", "key.pem"],
        ["install", str(file), *where],
    )
    packed, asked_for_a_key, installed = told["said"]
    assert packed[0] == 0, packed
    assert asked_for_a_key[0] == 2
    assert "pip install 'shadowgate[signing]'" in asked_for_a_key[1]
    assert installed[0] == 0, installed
    champion = Registry(models).champion()
    assert champion is not None
    assert champion.bundle_id == bundle.name
    assert gather(models / "bundles" / bundle.name) == gather(bundle)
