"""What the tests of this folder share: packages for an installation without network, and a machine."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.booted import Booted, booted, needs_booting
from tests.support.small_training import SmallTraining

ROOT = Path(__file__).parents[2]
PYTHON = "/usr/bin/python3"
_FITS = "import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))"


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every package of requirements.txt for the interpreter of the system, downloaded once."""
    needs_booting()
    if subprocess.run([PYTHON, "-c", _FITS], capture_output=True, check=False).returncode != 0:
        pytest.skip(f"{PYTHON} is not one of 3.11 to 3.13 with venv")
    wanted = ROOT / "systemd" / "requirements.txt"
    key = wanted.read_bytes() + Path(PYTHON).resolve().name.encode()
    folder = Path(sys.prefix) / "wheels" / hashlib.sha256(key).hexdigest()[:16]
    if not folder.is_dir():
        # pip looks at conditions such as python_version with the eyes of the interpreter that runs it.
        work = tmp_path_factory.mktemp("wheels")
        subprocess.run([PYTHON, "-m", "venv", work / "venv"], check=True)
        pip = [work / "venv" / "bin" / "python", "-m", "pip", "--quiet", "download"]
        pip += ["--require-hashes", "--only-binary", ":all:", "--no-deps", "--dest", work / "found"]
        done = subprocess.run(
            [*pip, "--requirement", wanted], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            pytest.skip(f"the packages can not be downloaded: {done.stderr[-300:]}")
        shutil.copytree(work / "found", folder.with_suffix(".part"), dirs_exist_ok=True)
        folder.with_suffix(".part").rename(folder)
    return folder


@pytest.fixture(scope="module")
def machine(wheels: Path, small_training: SmallTraining) -> Iterator[Booted]:
    """A systemd that has just come up, with a user for the bot."""
    seen = {ROOT: "/checkout", wheels: "/wheels", small_training.models: "/models"}
    with booted(seen) as machine:
        for user in ("bot", "stranger"):
            machine.run("useradd", "--system", "--user-group", user)
        yield machine
