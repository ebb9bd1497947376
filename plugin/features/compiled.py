"""How are kernels compiled, and when is machine code from an earlier process still valid?

numba's file cache looks only at the file of the function it is asked for: when a kernel changes that
lives in another file and is called from there, the old machine code would go on answering. Here the
cache lies in a folder named by a digest of every source file that kernels are made of, so a change of
any of them starts an empty folder.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar, cast

# Vectorised transcendental functions differ in the last bit between the lanes of a vector and the rest
# of a loop, which would break the equality of live and history rows. numba reads this when imported.
os.environ.setdefault("NUMBA_DISABLE_INTEL_SVML", "1")

import numba
from numba.core import config as _config

_numba_config: Any = _config  # its attributes are made at run time
_Function = TypeVar("_Function", bound=Callable[..., object])
_FOLDER = Path(__file__).parent
# The row numbers of a bar array are constants inside the machine code.
_ALSO_COMPILED_IN = _FOLDER.parent / "candles.py"


def source_digest(sources: Iterable[Path]) -> str:
    """Sixteen hex digits over the names and contents of `sources`, in the order of their names."""
    digest = hashlib.sha256()
    for source in sorted(sources, key=lambda path: path.name):
        content = source.read_bytes()
        digest.update(f"{source.name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()[:16]


def cache_folder() -> Path:
    """Where the machine code of exactly these sources lies: below NUMBA_CACHE_DIR, else beside them."""
    above = os.environ.get("NUMBA_CACHE_DIR") or _FOLDER / "__pycache__"
    return Path(above) / f"kernels-{source_digest([*_FOLDER.glob('*.py'), _ALSO_COMPILED_IN])}"


def _is_ours(folder: Path) -> bool:
    # Whoever writes into the folder runs code in this process: it must belong to this user.
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder.stat().st_uid == os.geteuid()
    except OSError:
        return False


_CACHE = cache_folder()
# Without a folder of our own numba would fall back on one that is blind to changes in other files.
_MAY_CACHE = _is_ours(_CACHE)


def compiled(function: _Function) -> _Function:
    """Compile a kernel at its first call: strict IEEE arithmetic, without the interpreter lock.

    Strict arithmetic means that the order of every sum is the one written, so the answer has the same
    bits wherever the kernel is inlined. Divisions by zero give infinity or NaN, as in numpy.
    """
    before = _numba_config.CACHE_DIR
    _numba_config.CACHE_DIR = str(_CACHE)
    try:
        kernel = numba.njit(cache=_MAY_CACHE, fastmath=False, nogil=True, error_model="numpy")(function)
    finally:
        _numba_config.CACHE_DIR = before
    return cast(_Function, kernel)
