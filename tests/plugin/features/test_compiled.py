"""Machine code is reused by later processes, but never after any source of it has changed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import pytest

from plugin.features import compiled
from plugin.features.compiled import cache_folder, source_digest

HELPER = """
from plugin.features.compiled import compiled
@compiled
def added(x):
    return x + {addend}
"""
CALLER = """
from plugin.features.compiled import compiled
from plugin.features.helper import added
@compiled
def answer(x):
    return added(x)
"""
ASK = "from plugin.features.caller import answer as a; print(a(1.0), sum(a.stats.cache_hits.values()))"
ASK_ROWS = """
import numpy as np
from plugin.features import row_of_newest, rows_of_history
from plugin.features.columns import fill_columns
from plugin.features.rows import _write_row
from tests.support.windows import HOUR_MS, MONDAY_MS, candles_of, random_walk
bars = random_walk(512)
rows, _ = rows_of_history(candles_of(bars))
out = np.empty(80, dtype=np.float32)
row_of_newest(bars, 511, MONDAY_MS + 511 * HOUR_MS, HOUR_MS, out)
assert out.tobytes() == rows[-1].tobytes()
n_compiled = len(_write_row.signatures), len(fill_columns.signatures)
print(*n_compiled, sum(row_of_newest.stats.cache_hits.values()))
"""


def ask(question: str, project: Path, cache: Path) -> str:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache), "PYTHONDONTWRITEBYTECODE": "1"}
    asked = subprocess.run(
        [sys.executable, "-c", question],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    return asked.stdout.strip()


@pytest.fixture
def small_project(tmp_path: Path) -> Path:
    """A copy of the decorator beside one kernel that calls another in a second file."""
    folder = tmp_path / "project" / "plugin" / "features"
    folder.mkdir(parents=True)
    shutil.copy(str(compiled.__file__), folder)
    (folder.parent / "candles.py").write_text("")
    (folder / "helper.py").write_text(HELPER.format(addend=1))
    (folder / "caller.py").write_text(CALLER)
    return tmp_path / "project"


def test_a_change_in_another_file_is_not_answered_from_the_cache(
    small_project: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    assert ask(ASK, small_project, cache) == "2.0 0"
    assert ask(ASK, small_project, cache) == "2.0 1"
    (small_project / "plugin" / "features" / "helper.py").write_text(HELPER.format(addend=5))
    assert ask(ASK, small_project, cache) == "6.0 0"


def test_kernels_work_without_a_cache_where_no_folder_can_be_written(small_project: Path) -> None:
    not_a_folder = small_project / "file"
    not_a_folder.write_text("")
    assert ask(ASK, small_project, not_a_folder) == "2.0 0"
    assert ask(ASK, small_project, not_a_folder) == "2.0 0"


@pytest.mark.slow
def test_live_and_history_run_the_same_machine_code_and_a_new_process_reuses_it(tmp_path: Path) -> None:
    project = Path(compiled.__file__).parents[2]
    assert ask(ASK_ROWS, project, tmp_path) == "1 1 0"
    assert ask(ASK_ROWS, project, tmp_path).endswith(" 1")


def test_the_digest_changes_with_the_content_and_with_the_names_of_the_sources(tmp_path: Path) -> None:
    first, second = tmp_path / "a.py", tmp_path / "b.py"
    first.write_text("x = 1\n")
    second.write_text("y = 1\n")
    digests = {source_digest([first, second])}
    assert source_digest([second, first]) in digests
    digests.add(source_digest([first]))
    second.write_text("y = 2\n")
    digests.add(source_digest([first, second]))
    renamed = second.rename(tmp_path / "c.py")
    digests.add(source_digest([first, renamed]))
    assert len(digests) == 4


def test_the_cache_lies_where_numba_is_told_to_keep_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/somewhere")
    assert cache_folder().parent == Path("/somewhere")
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    assert cache_folder().parent == Path(compiled.__file__).parent / "__pycache__"


def test_the_decorator_leaves_the_cache_folder_of_others_alone() -> None:
    before = numba.config.CACHE_DIR
    compiled.compiled(lambda x: x)
    assert before == numba.config.CACHE_DIR
