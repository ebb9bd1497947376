"""Nothing that the live side imports or calls can run what a file tells it to."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = [path for room in ("plugin", "shadow", "gates") for path in sorted((ROOT / room).rglob("*.py"))]
UNSAFE_MODULES = {
    "pickle",
    "cPickle",
    "joblib",
    "cloudpickle",
    "dill",
    "marshal",
    "shelve",
    "jsonpickle",
}
UNSAFE_CALLS = {"eval", "exec", "compile", "__import__"}


def unsafe(source: str) -> Iterator[str]:
    """What of `source` could run code that comes from a file."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if _module(alias.name))
        elif isinstance(node, ast.ImportFrom) and node.module and _module(node.module):
            yield node.module
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name in UNSAFE_CALLS or name in ("torch.load", "pandas.read_pickle", "pd.read_pickle"):
                yield name
            if name in ("np.load", "numpy.load") and not _refuses_pickle(node):
                yield f"{name} without allow_pickle=False"


def _module(name: str) -> bool:
    return name.split(".", maxsplit=1)[0] in UNSAFE_MODULES


def _refuses_pickle(call: ast.Call) -> bool:
    given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    return given.get("allow_pickle") == "False"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_live_side_can_not_run_what_a_file_says(path: Path) -> None:
    assert list(unsafe(path.read_text())) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "import joblib as j",
        "from cloudpickle import loads",
        "import os, dill.source",
        "from shelve import open",
        "import marshal",
        "torch.load(path)",
        "np.load(path)",
        "numpy.load(path, allow_pickle=True)",
        "eval(text)",
    ],
)
def test_what_it_looks_for_is_found(source: str) -> None:
    assert len(list(unsafe(f"def any():\n    {source}\n"))) == 1


def test_all_three_rooms_are_looked_at() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in FILES} == {"plugin", "shadow", "gates"}
    assert "np.load" in (ROOT / "plugin" / "golden.py").read_text()
