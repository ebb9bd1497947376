"""What does the live process import, hold in memory, write and reach for?"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from plugin.candles import SIMULATED_VENUE
from plugin.features.compiled import cache_folder
from tests.support.replays import ROOT, environment, replay, replay_command
from tests.support.small_training import SmallTraining

HEAVY = {"torch", "sklearn", "pandas", "matplotlib", "lightgbm", "xgboost", "ccxt", "aiohttp"}
HEAVY |= {"onnxruntime"}  # a bundle of trees goes without it
N_DAYS = 126
LARGEST_MIB = 300
LARGEST_GROWTH_MIB = 15
_CHANGING = re.compile(r"(creat|mkdir|mknod|rename|\blink|symlink|unlink|rmdir|truncate|chmod|chown)")
_TO_WRITE = re.compile(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')


@pytest.fixture(scope="module")
def watched(small_training: SmallTraining, undisturbed: Path) -> Iterator[dict[str, Any]]:
    """A replay of thousands of bars, told of by itself; the kernels are compiled before."""
    # In memory where there is such a folder: a disk syncs once a bar, in some milliseconds each.
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108  (the name of the mount)
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield _told(small_training, Path(folder) / "shadow")


def _told(small_training: SmallTraining, shadow: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.support.watched_replay", "--venue", SIMULATED_VENUE]
    ended = subprocess.run(
        [*command, "--days", str(N_DAYS), "--env", str(shadow.parent / ".env"), "--json"],
        cwd=ROOT,
        env=environment(small_training, shadow),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    told: dict[str, Any] = json.loads(ended.stdout)
    assert told["code"] == 0
    assert told["n_bars"] == N_DAYS * 24
    return told


def test_the_live_process_imports_nothing_heavy(watched):
    imported = {name.split(".")[0] for name in watched["modules"]}
    assert {"plugin", "shadow", "numba"} <= imported
    assert not imported & (HEAVY | {"training", "gates"})


def test_the_live_process_works_where_only_the_base_install_is(small_training, tmp_path):
    # numba loads scipy by itself where it finds it, so that only its absence shows who needs it.
    absent = HEAVY | {"scipy"}
    without = f"import sys; sys.modules.update(dict.fromkeys({sorted(absent)}))"
    shadow = tmp_path / "shadow"
    start = "import runpy; runpy.run_module('plugin', run_name='__main__', alter_sys=True)"
    _, _, _, *arguments = replay_command(shadow, "--days", "1", "--json")
    ended = subprocess.run(
        [sys.executable, "-c", f"{without}; {start}", *arguments],
        cwd=ROOT,
        env=environment(small_training, shadow),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    actions = json.loads(ended.stdout)["actions"]
    assert sum(actions.values()) == 48
    assert "abstain" not in actions


def test_the_live_process_stays_small_and_does_not_grow(watched):
    assert 50 < watched["settled_mib"] <= watched["highest_mib"] < LARGEST_MIB
    assert watched["ended_mib"] - watched["settled_mib"] < LARGEST_GROWTH_MIB


@pytest.fixture(scope="module")
def traced(
    small_training: SmallTraining, undisturbed: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[str]]:
    """The shadow folder of a traced replay, and its successful system calls on files and sockets."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    folder = tmp_path_factory.mktemp("traced")
    trace, shadow = folder / "trace", folder / "shadow"
    before = ("strace", "-f", "-qq", "--seccomp-bpf", "-s", "4096", "-o", str(trace))
    calls = ("-e", "trace=%file,fdatasync,socket,connect,sendto,bind", "--")
    ended = replay(small_training, shadow, "--days", "2", "--json", before=(*before, *calls))
    if not trace.exists() or not trace.stat().st_size:
        pytest.skip(f"strace can not trace here: {ended.stderr[-200:]}")
    assert ended.returncode == 0, ended.stderr
    lines = trace.read_text(errors="replace").splitlines()
    return shadow, [line for line in lines if " = -1 " not in line]


def is_write(call: str) -> bool:
    name = call.split("(", maxsplit=1)[0]
    return bool(_TO_WRITE.search(call) if "open" in name else _CHANGING.search(name))


def test_it_writes_nowhere_but_in_its_own_folders(small_training, traced):
    shadow, calls = traced
    places = {ROOT / path for call in calls if is_write(call) for path in _QUOTED.findall(call)}
    ours = (shadow, cache_folder(), small_training.models, Path("/dev/null"))
    assert any(place.is_relative_to(shadow) for place in places), "the trace has seen the log"
    assert [place for place in places if not any(map(place.is_relative_to, ours))] == []


def test_it_syncs_the_log_at_most_once_for_all_symbols_of_a_bar(traced):
    _, calls = traced
    assert 1 <= sum("fdatasync(" in call for call in calls) <= 48


def test_it_reaches_for_no_network_and_no_name(traced):
    _, calls = traced
    reaching = [call for call in calls if re.search(r"\b(socket|connect|sendto|bind)\(", call)]
    # A thread wakes the event loop with one byte through a pair of sockets that ends in this process.
    assert [call for call in reaching if not re.search(r'sendto\(\d+, "\\0", 1, ', call)] == []
    assert [call for call in calls if "/etc/resolv.conf" in call or "/etc/hosts" in call] == []


def test_onnxruntime_does_not_report_home_after_our_own_import(tmp_path):
    """Without that import before it, release 1.31 leaves a device id and a queue in the home."""
    pytest.importorskip("onnxruntime")
    surroundings = {key: value for key, value in os.environ.items() if key != "ORT_DISABLE_TELEMETRY"}
    subprocess.run(
        [sys.executable, "-c", "import plugin.predictors, onnxruntime"],
        cwd=ROOT,
        env=surroundings | {"HOME": str(tmp_path)},
        check=True,
        timeout=60,
    )
    assert list(tmp_path.rglob("*")) == []
