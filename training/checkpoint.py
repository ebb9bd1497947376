"""What had a training that was cut off finished already?

models/resume/<key>/<piece>           the sha256 of a finished piece, a newline, and its bytes
models/resume/<key>/<piece>.epochs    the same of a network's fit under way, as of its newest epoch

The key is a hash of all that decides what is learnt, so that another input is another folder, and
pieces of two trainings never meet. The live side never looks here. A piece is written whole and read
against its hash: a damaged LightGBM text would not raise but end the process.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import msgspec

import plugin
import training
from plugin.candles import Candles
from plugin.clock import SystemClock
from plugin.durable import locked, replace_file
from plugin.errors import WrongUse
from plugin.features.joined import FEATURE_SETS
from training.models.base import Described
from training.settings import TrainingSettings, library_versions

Keep = Callable[[str, Callable[[], bytes]], bytes]

_DAYS_KEPT = 30
_DAY_MS = 86_400_000


class Checkpoint:
    """The pieces of one training; `reused` and `damaged` name those found, and those found damaged."""

    def __init__(self, folder: Path) -> None:
        self.reused: list[str] = []
        self.damaged: list[str] = []
        self._folder = folder

    def piece(self, name: str, make: Callable[[], bytes]) -> bytes:
        """The piece of that name, made by `make` and kept where it is not there or damaged.

        Several threads may ask at once, each for its own name.
        """
        content = self.read(name)
        if content is not None:
            self.reused.append(name)
            return content
        content = make()
        self.write(name, content)
        (self._folder / _epochs_of(name)).unlink(missing_ok=True)
        return content

    def epochs(self, name: str) -> Epochs:
        """Where the fit that makes the piece of that name keeps its epochs until the piece is there."""
        return Epochs(self, _epochs_of(name))

    def read(self, name: str) -> bytes | None:
        """What was written under that name; None where nothing was, or where it is damaged."""
        try:
            digest, _, content = (self._folder / name).read_bytes().partition(b"\n")
        except FileNotFoundError:
            return None
        if digest == _digest(content):
            return content
        self.damaged.append(name)
        return None

    def write(self, name: str, content: bytes) -> None:
        """Write it whole, in the place of what was there."""
        replace_file(self._folder / name, _digest(content) + b"\n" + content)


@dataclass(frozen=True)
class Epochs:
    """A fit under way: all that its next epoch depends on, as of the newest one that has ended."""

    checkpoint: Checkpoint
    name: str

    def read(self) -> bytes | None:
        """None where the fit has to begin anew."""
        return self.checkpoint.read(self.name)

    def write(self, content: bytes) -> None:
        """In the place of the epoch before."""
        self.checkpoint.write(self.name, content)


def make_anew(_name: str, make: Callable[[], bytes]) -> bytes:
    """In the place of `Checkpoint.piece` where nothing is to be kept."""
    return make()


@contextmanager
def open_checkpoint(models_dir: Path, key: str, *, resume: bool) -> Iterator[Checkpoint]:
    """The pieces kept under `key`: those of before where it is to `resume`, or else none.

    They are removed at the end of the block, and stay where it is left by an exception or a kill. Those
    of other trainings that nobody has touched for 30 days are swept away. `models_dir` must be there.
    Raises WrongUse where another process is at the very same training.
    """
    resumable = models_dir / "resume"
    resumable.mkdir(exist_ok=True, mode=0o700)
    folder = resumable / key
    with ExitStack() as held:
        with locked(resumable):  # so that nobody removes the folder between its making and its lock
            _sweep(resumable)
            folder.mkdir(exist_ok=True, mode=0o700)
            held.enter_context(_locked_alone(folder))
        if not resume:
            for piece in folder.iterdir():
                piece.unlink()
        yield Checkpoint(folder)
        with locked(resumable):
            shutil.rmtree(folder)


def training_key(
    settings: TrainingSettings, candles: Mapping[str, Candles], members: Sequence[Described]
) -> str:
    """A hash of the settings, all bars, the features, the members, their libraries and the code."""
    decisive = {
        "settings": settings,
        "bars": {
            symbol: [own.first_open_ms, hashlib.sha256(own.bars.tobytes()).hexdigest()]
            for symbol, own in candles.items()
        },
        "features": {name: own.schema_hash for name, own in FEATURE_SETS.items()},
        "members": [
            [member.name, member.kind, member.feature_set, member.parameters] for member in members
        ],
        "libraries": library_versions() | _versions_for_networks(settings),
        "code": _code_hash(),
    }
    return hashlib.sha256(msgspec.json.encode(decisive, order="deterministic")).hexdigest()[:32]


def _versions_for_networks(settings: TrainingSettings) -> dict[str, str]:
    """Of what is there only where networks are trained."""
    return {"torch": version("torch")} if settings.networks else {}


def _code_hash() -> str:
    """Of what makes rows, splits and models: it may be changed between a kill and the resume."""
    folders = [Path(package.__path__[0]) for package in (plugin, training)]
    digest = hashlib.sha256()
    for path in sorted(path for folder in folders for path in folder.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _epochs_of(name: str) -> str:
    return f"{name}.epochs"


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode("ascii")


def _sweep(resumable: Path) -> None:
    oldest_ms = SystemClock().now_ms() - _DAYS_KEPT * _DAY_MS
    for folder in resumable.iterdir():
        if folder.stat().st_mtime_ns // 1_000_000 < oldest_ms:
            shutil.rmtree(folder)


@contextmanager
def _locked_alone(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        was = f"a process that works in {folder}"
        raise WrongUse("nobody else at this very training", was, "wait for it or stop it") from error
    finally:
        os.close(descriptor)
