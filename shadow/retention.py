"""How does the log stay small without losing what anybody still needs?

`python -m shadow.retention --compress-after-days 2 --keep-days 400` compresses days that are over and
removes old ones. It works beside the live process, which never looks back at a file.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from shadow.errors import NOT_JSON, LogInUse, LogUnusable, ShadowgateError
from shadow.files import (
    ARCHIVE_SUFFIX,
    archive_of,
    day_files,
    day_of,
    is_archive,
    sync_folder,
    torn_bytes,
)
from shadow.report_options import command_parser, default_path, moment, whole

LEAST_DAYS = 180
"""The 150 days in which a challenger must have shown itself, and a month to look back on them."""
_BLOCK_BYTES = 1 << 18
_EXAMPLES = """examples:
  python -m shadow.retention --compress-after-days 2
  python -m shadow.retention --compress-after-days 2 --keep-days 400 --dry-run

Days that a gate still reads are never removed: those since the present champion and challenger got
their roles, and the newest 180. exit codes: 0 done, 1 a file could not be handled, 2 wrong use
"""


class Done(msgspec.Struct, kw_only=True):
    """What was done, or would be: days, bytes before and after, and sentences on what was not."""

    compressed: list[str] = []
    removed: list[str] = []
    bytes_before: int = 0
    bytes_after: int = 0
    kept_because: str | None = None
    faults: list[str] = []


def main(arguments: list[str] | None = None) -> int:
    """Do what `arguments` say, by default those of the command line; the exit code."""
    options = _parser().parse_args(arguments)
    try:
        done = keep_small(
            options.dir,
            options.models,
            options.now if options.now is not None else time.time_ns() // 1_000_000,
            compress_after_days=options.compress_after_days,
            keep_days=options.keep_days,
            dry_run=options.dry_run,
        )
    except (ShadowgateError, OSError) as error:
        sys.stderr.write(f"shadow.retention: {error}\n")
        return 2
    if options.json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(done), indent=2).decode() + "\n")
    else:
        sys.stdout.write(_said(done, dry_run=options.dry_run))
    return 1 if done.faults else 0


def keep_small(
    folder: Path,
    models: Path,
    now_ms: int,
    *,
    compress_after_days: int | None,
    keep_days: int | None,
    dry_run: bool = False,
) -> Done:
    """Compress the days that ended `compress_after_days` before `now_ms`, remove those older than
    `keep_days`; None leaves it. Raises LogInUse where another one is at it, LogUnusable without a log.
    """
    if not folder.is_dir():
        raise LogUnusable(f"a folder of shadow records at {folder}", "none there", "name one by --dir")
    done = Done()
    today = datetime.fromtimestamp(now_ms / 1000, UTC).date()
    with _alone(folder):
        files = day_files(folder)[:-1]  # the newest may still be written, whatever the clock says
        if keep_days is not None:
            until, done.kept_because = _removable_until(models, today, keep_days)
            for path in [one for one in files if day_of(one) < until]:
                _remove(path, done, dry_run=dry_run)
        if compress_after_days is not None:
            before = (today - timedelta(days=compress_after_days)).isoformat()
            for path in [one for one in files if day_of(one) < before]:
                if not is_archive(path) and path.exists():
                    _compress(path, done, dry_run=dry_run)
        if not dry_run:
            _sweep(folder)
    return done


def _removable_until(models: Path, today: date, keep_days: int) -> tuple[str, str | None]:
    """Days before this one may go, and what keeps some that are older than was asked for."""
    wanted = (today - timedelta(days=keep_days)).isoformat()
    least = (today - timedelta(days=LEAST_DAYS)).isoformat()
    since = {role: _role_since(models / role) for role in ("champion", "challenger")}
    if "" in since.values():
        return "", "a role in the registry can not be read, so nothing is removed"
    needed = min([least, *(day for day in since.values() if day is not None)])
    if wanted <= needed:
        return wanted, None
    return needed, f"gates still read the days since {needed}"


def _role_since(path: Path) -> str | None:
    """The day on which a bundle got its role; None where none has it, "" where that is not known."""
    try:
        pointer: dict[str, Any] = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        if pointer.get("bundle_id") is None:
            return None
        return date.fromisoformat(str(pointer["at"])[:10]).isoformat()
    except FileNotFoundError:
        return None
    except (OSError, KeyError, ValueError, *NOT_JSON):
        return ""


def _remove(path: Path, done: Done, *, dry_run: bool) -> None:
    done.removed.append(day_of(path))
    done.bytes_before += path.stat().st_size
    if not dry_run:
        path.unlink()
        archive_of(path).unlink(missing_ok=True)  # of a day whose compression was cut off
        sync_folder(path.parent)


def _compress(path: Path, done: Done, *, dry_run: bool) -> None:
    """Put an archive in the place of a day. At every step one of them is whole, and only one counts."""
    if torn_bytes(path):
        done.faults.append(f"{path.name} ends in the middle of a line: the plugin sets it aside")
        return
    done.compressed.append(day_of(path))
    done.bytes_before += path.stat().st_size
    if dry_run:
        return
    archive = archive_of(path)
    draft = path.with_name(f".{archive.name}.tmp")
    try:
        digest = _pack(path, draft)
        if _unpacked_digest(draft) != digest:
            raise OSError(f"{archive.name} does not read as it was written")
        draft.replace(archive)
        sync_folder(path.parent)
        path.unlink()
        sync_folder(path.parent)
    except (OSError, pa.ArrowException) as error:
        done.compressed.pop()
        done.faults.append(f"{path.name} stays as it is: {error}")
        return
    done.bytes_after += archive.stat().st_size


def _pack(path: Path, draft: Path) -> bytes:
    """Write the archive and bring it to the disk; the digest of what it holds."""
    digest = hashlib.sha256()
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    synced = os.dup(descriptor)  # the stream closes the file that it is given
    try:
        with (
            path.open("rb", buffering=0) as plain,
            open(descriptor, "wb") as file,
            pa.CompressedOutputStream(pa.PythonFile(file), "zstd") as archive,
        ):
            while block := plain.read(_BLOCK_BYTES):
                digest.update(block)
                archive.write(block)
        os.fsync(synced)
    finally:
        os.close(synced)
    return digest.digest()


def _unpacked_digest(archive: Path) -> bytes:
    digest = hashlib.sha256()
    with archive.open("rb") as file, pa.CompressedInputStream(pa.PythonFile(file), "zstd") as plain:
        while block := plain.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.digest()


def _sweep(folder: Path) -> None:
    """What a killed run has left behind."""
    for draft in folder.glob(f".*{ARCHIVE_SUFFIX}.tmp"):
        draft.unlink()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    lock = os.open(folder / "retention.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        was = "another process that is at it"
        raise LogInUse(f"to tidy up {folder} alone", was, "wait for it") from error
    finally:
        os.close(lock)


def _said(done: Done, *, dry_run: bool) -> str:
    verb = "would be " if dry_run else ""
    lines = [
        f"{len(days)} days {verb}{what}: {days[0]} to {days[-1]}"
        for what, days in (("compressed", done.compressed), ("removed", done.removed))
        if days
    ]
    if done.bytes_after:
        lines.append(f"{done.bytes_before:,} bytes before, {done.bytes_after:,} now")
    if done.kept_because:
        lines.append(done.kept_because)
    lines += done.faults
    return "".join(f"{line}\n" for line in lines or ["nothing to do"])


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("shadow.retention", __doc__, _EXAMPLES)
    log, models = default_path("ML_SHADOW_DIR", "data/shadow"), default_path("ML_MODELS_DIR", "models")
    parser.add_argument("--dir", type=Path, default=log, help=f"the shadow log ({log})")
    parser.add_argument("--models", type=Path, default=models, help=f"who has a role ({models})")
    parser.add_argument(
        "--compress-after-days", type=whole("days", 3650), help="after so many whole days (never)"
    )
    parser.add_argument("--keep-days", type=whole("days", 36_500), help="remove older ones (never)")
    parser.add_argument("--now", type=moment, help="as for python -m shadow.report (the clock)")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    return parser


if __name__ == "__main__":
    sys.exit(main())
