"""Which candidates were ever trained, what began each training, and what became of it?

models/trainings.jsonl     a line when a training begins and a line when it ends
models/running/<id>        there and locked while the training with that id is under way

A candidate counts whether it was published or not: the more were tried, the more likely it is that the
best of them was lucky. A process that dies writes no end, but the kernel lets go of its lock, so that
nobody has to guess by process numbers whether it still works.
"""

from __future__ import annotations

import fcntl
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec

from gates.promotion import Standing
from plugin.clock import SystemClock, utc_text
from plugin.durable import append_line, locked

BY_COMMAND = "by command"
KILLED = "killed"
_FILE = "trainings.jsonl"
_RUNNING = "running"


class Began(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="began"):
    """A training has begun; `at` is UTC, `trigger` what or who asked for it."""

    id: str
    trigger: str
    at: str


class Ended(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="ended"):
    """What a training led to; `reason` is why it failed or is fit for nothing."""

    id: str
    outcome: Standing | Literal["failed"]
    bundle_id: str | None
    reason: str | None
    at: str


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One candidate. `number` counts from 1; `ended` is None while its training is under way.

    One that was killed has ended as `failed`, for the reason KILLED. Nobody knows when: the time at
    which it began stands in.
    """

    number: int
    began: Began
    ended: Ended | None

    @property
    def failed(self) -> bool:
        return self.ended is not None and self.ended.outcome == "failed"


class Counted:
    """A training that is being counted: `number` among all candidates; `end` once is its last word."""

    def __init__(self, models_dir: Path, began: Began, number: int) -> None:
        self.number = number
        self._models_dir = models_dir
        self._began = began

    def end(
        self, outcome: Standing | Literal["failed"], bundle_id: str | None, reason: str | None
    ) -> None:
        """Write down what became of it."""
        _append(
            self._models_dir,
            Ended(id=self._began.id, outcome=outcome, bundle_id=bundle_id, reason=reason, at=_now()),
        )


@contextmanager
def counted(models_dir: Path, trigger: str) -> Iterator[Counted]:
    """Count the training in the block; an exception is written down as a failure and goes on.

    Raises OSError where nothing can be written into `models_dir`, which is made if need be.
    """
    began = Began(id=uuid.uuid4().hex, trigger=trigger, at=_now())
    models_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _running(models_dir / _RUNNING, began.id):
        _append(models_dir, began)
        [number] = [one.number for one in attempts(models_dir) if one.began.id == began.id]
        training = Counted(models_dir, began, number)
        try:
            yield training
        except BaseException as error:
            reason = str(error).strip() or "no message"
            training.end("failed", None, f"{type(error).__name__}: {reason}")
            raise


def attempts(models_dir: Path) -> list[Attempt]:
    """All trainings that ever began, in that order; lines that can not be read are passed over."""
    began, ended = _events(models_dir)
    alive = {one.id for one in began if one.id not in ended and _is_locked(models_dir, one.id)}
    # Whoever let go of its lock since the first reading has written its end before.
    _, ended = _events(models_dir)
    return [
        Attempt(
            number=number,
            began=one,
            ended=None if one.id in alive - ended.keys() else ended.get(one.id, _killed(one)),
        )
        for number, one in enumerate(began, start=1)
    ]


def _killed(began: Began) -> Ended:
    return Ended(id=began.id, outcome="failed", bundle_id=None, reason=KILLED, at=began.at)


@contextmanager
def _running(folder: Path, training_id: str) -> Iterator[None]:
    place = folder / training_id
    folder.mkdir(exist_ok=True, mode=0o700)
    with locked(folder):  # a file that is made and not locked yet must not be swept away by another
        for other in folder.iterdir():  # what killed trainings have left behind
            if not _is_locked(folder.parent, other.name):
                other.unlink()
        descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        place.unlink(missing_ok=True)
        os.close(descriptor)


def _is_locked(models_dir: Path, training_id: str) -> bool:
    try:
        descriptor = os.open(models_dir / _RUNNING / training_id, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _events(models_dir: Path) -> tuple[list[Began], dict[str, Ended]]:
    began: list[Began] = []
    ended: dict[str, Ended] = {}
    for line in _read(models_dir).split(b"\n"):
        try:
            event: Began | Ended = msgspec.json.decode(line, type=Began | Ended)
        except (
            msgspec.MsgspecError,
            UnicodeDecodeError,
        ):  # the tail of a process that was killed while it wrote
            continue
        if isinstance(event, Began):
            began.append(event)
        else:
            ended[event.id] = event
    return began, ended


def _append(models_dir: Path, event: Began | Ended) -> None:
    torn = _read(models_dir)[-1:] not in (b"", b"\n")  # it would swallow the line that is glued to it
    append_line(models_dir / _FILE, b"\n" * torn + msgspec.json.encode(event))


def _read(models_dir: Path) -> bytes:
    try:
        return (models_dir / _FILE).read_bytes()
    except FileNotFoundError:
        return b""


def _now() -> str:
    return utc_text(SystemClock().now_ms())
