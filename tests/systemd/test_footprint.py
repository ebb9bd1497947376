"""Which files does the live process write, and whom does it call, as the kernel sees it?"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Ways to make a file, to open one for writing, to name one, and to call somebody.
FILE_CALLS = (
    "open,openat,openat2,creat,mkdir,mkdirat,mknod,mknodat,rename,renameat,renameat2,link,linkat"
    ",symlink,symlinkat,truncate"
)
CALLS = ("connect", "sendto", "sendmsg")
WRITES = re.compile(r"^(open\w*\(.*O_(WRONLY|RDWR|CREAT|TMPFILE)|(?!open)[a-z])")
NOT_FILES = {"/dev/null", "/dev/tty"}
WITHIN_S = 120.0  # generous: a traced process on a busy machine


@pytest.mark.slow
def test_it_writes_into_its_three_folders_and_calls_nobody(small_training, tmp_path):
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    state, cache, run = folders = [tmp_path / name for name in ("state", "cache", "run")]
    for folder in folders:
        folder.mkdir(mode=0o700)
    shutil.copytree(small_training.models, state / "models")
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith("ML_")},
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "NUMBA_CACHE_DIR": str(cache),
        "HOME": "/nonexistent",
        "ML_SOURCE": "socket",
        "ML_SOCKET": str(run / "plugin.sock"),
    }
    trace = tmp_path / "trace"
    strace = ["strace", "-f", "-qq", "-yy", "-s", "4096", "-o", trace]
    strace += ["-e", f"trace={FILE_CALLS},{','.join(CALLS)}"]
    plugin = [sys.executable, "-m", "plugin"]
    with subprocess.Popen([*strace, *plugin, "run"], cwd=state, env=environ) as process:
        until((run / "serving.json").exists, process)
        subprocess.run([*plugin, "reload"], cwd=state, env=environ, check=True)
        child = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0]
        os.kill(int(child), signal.SIGTERM)
        assert process.wait(WITHIN_S) == 0
    made, called = told_by(trace.read_text(errors="replace"), state)
    for folder in folders:
        assert any(path.is_relative_to(folder) for path in made)
    assert {path for path in made if not any(map(path.is_relative_to, folders))} == set()
    assert [call for call in called if "AF_INET" in call or "TCP" in call or "UDP" in call] == []


def told_by(trace: str, working_folder: Path) -> tuple[set[Path], list[str]]:
    """The files that were written, named or made, and the calls to others, of those that succeeded."""
    made, called = set(), []
    for line in trace.splitlines():
        call = line.split(maxsplit=1)[1]
        if call.startswith(CALLS):
            called.append(call)
        elif WRITES.match(call) and "= -1 " not in call:
            paths = {working_folder / text for text in re.findall(r'"([^"]*)"', call)}
            made |= {path for path in paths if str(path) not in NOT_FILES}
    return made, called


def until(reached, process) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not reached():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
