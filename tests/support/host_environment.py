"""Where does a test find the Python in which another bot's engine is installed?

    python = host_python("freqtrade")
    subprocess.run([python, "-m", "freqtrade", ...])

An engine has requirements of its own that need not fit ours: each one gets a virtual environment, made
from `tests/hosts/<name>-requirements.txt` when a test first asks for it, and again when that list or
our Python changes. It lies under `.venv/hosts`, which git ignores.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_CHECKOUT = Path(__file__).resolve().parents[2]
_HOSTS = _CHECKOUT / ".venv" / "hosts"
_INSTALL_SECONDS = 1_200
_ERROR_CHARACTERS = 400


def host_python(name: str) -> Path:
    """The interpreter of the host `name`. Skips the test, saying why, where it can not be made."""
    python, complaint = _made(name)
    if complaint:
        pytest.skip(f"no environment of {name}: {complaint}")
    return python


@functools.cache
def _made(name: str) -> tuple[Path, str]:
    """The interpreter, and why it can not be used; asked once a process, as a failure takes long."""
    requirements = _CHECKOUT / "tests" / "hosts" / f"{name}-requirements.txt"
    folder = _HOSTS / name
    stamp = folder / "installed"
    wanted = hashlib.sha256(sys.version.encode() + requirements.read_bytes()).hexdigest()
    _HOSTS.mkdir(parents=True, exist_ok=True)
    with _alone(_HOSTS / f"{name}.lock"):
        if not stamp.is_file() or stamp.read_text() != wanted:
            complaint = _install(folder, requirements)
            if complaint:
                return folder, complaint
            stamp.write_text(wanted)
    return folder / "bin" / "python", ""


def _install(folder: Path, requirements: Path) -> str:
    """Make the environment anew; says why it can not be made, and nothing where it was."""
    shutil.rmtree(folder, ignore_errors=True)
    # A list is whole, so that nothing is left to work out; and of thousands of modules a test imports a
    # few, which Python compiles by itself.
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-compile"]
    pip = [folder / "bin" / "python", "-m", "pip", "install", *options]
    for command in (
        [sys.executable, "-m", "venv", folder],
        [*pip, "--requirement", requirements],
    ):
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
        if done.returncode:
            return done.stderr.strip()[-_ERROR_CHARACTERS:] or f"{command[0]} failed"
    return ""


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold the lock at `path`: two test processes must not install into one folder."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
