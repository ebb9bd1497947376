"""The client is one file for any bot: Python 3.9 and newer, nothing but the standard library."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from plugin.hosts import client
from tests.support.scripted_service import ScriptedService

SOURCE = Path(client.__file__)
BOT = """
import sys
from client import Client
decision = Client("plugin.sock", 30).bar_closed("BTC/USDT", "1h", 0, 1, 1, 1, 1, 1)
foreign = {name.partition(".")[0] for name in sys.modules} - {"client", "__main__", "__mp_main__"}
print(decision.reason, sorted(foreign - sys.stdlib_module_names))
"""


def test_it_is_written_in_the_grammar_of_python_3_9() -> None:
    tree = ast.parse(SOURCE.read_text(), feature_version=(3, 9))

    unions = [
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "isinstance"
        for node in ast.walk(node)
        if isinstance(node, ast.BinOp)
    ]
    assert unions == [], "types in `X | Y` can be written down in 3.9, but not evaluated"
    strict = [node for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg in NEWER]
    assert strict == []


NEWER = ("strict", "slots", "kw_only")
"""Arguments of `zip` and `dataclass` that came with 3.10."""


def test_it_imports_the_standard_library_alone() -> None:
    imported = set()
    for node in ast.walk(ast.parse(SOURCE.read_text())):
        if isinstance(node, ast.Import):
            imported |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            imported.add((node.module or "").partition(".")[0])

    assert imported <= sys.stdlib_module_names


def test_copied_alone_it_serves_a_bot(tmp_path: Path) -> None:
    shutil.copy(SOURCE, tmp_path)
    with ScriptedService(tmp_path / "plugin.sock"):
        done = run(
            [sys.executable, "-I", "-S", "-c", f"import sys; sys.path[:0] = ['.']{BOT}"], tmp_path
        )
    assert done == "ok []\n"


def test_python_3_9_runs_it(tmp_path: Path) -> None:
    python = shutil.which("python3.9")
    if python is None or subprocess.run([python, "-V"], check=False, capture_output=True).returncode:
        pytest.skip("needs python3.9")
    shutil.copy(SOURCE, tmp_path)
    with ScriptedService(tmp_path / "plugin.sock"):
        bot = BOT.replace("sys.stdlib_module_names", "foreign")
        assert run([python, "-c", bot], tmp_path) == "ok []\n"


def run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout
