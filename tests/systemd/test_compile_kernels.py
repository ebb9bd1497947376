"""Does the installation compile what the live process will ask for, to the last kernel?"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_a_bundle_finds_all_its_kernels_compiled(small_training, tmp_path):
    environ = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}

    def kernels(*command: str) -> set[str]:
        subprocess.run([sys.executable, *command], env=environ, check=True, capture_output=True)
        return {path.name for path in tmp_path.rglob("*.nb?")}

    compiled = kernels(str(ROOT / "systemd" / "compile_kernels.py"))
    assert compiled
    assert kernels("-m", "plugin.canary", str(small_training.outcome.bundle)) == compiled
