"""Compress and remove days, killed before each line of `shadow.retention` in turn; is the log whole?

Its arguments are a folder with a log and a folder to work in. Prints how many kills left the plain day,
both forms, and the archive.
"""

import os
import shutil
import signal
import sys
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

import shadow.retention
from shadow.files import archive_of, day_files
from shadow.reader import Damage, LogReader
from shadow.record import BarRecord

source, scratch = Path(sys.argv[1]), Path(sys.argv[2])
NOW_MS = int(sys.argv[3])


def bars(folder: Path) -> list[BarRecord]:
    reader = LogReader(folder, BarRecord)
    found = list(reader)
    assert reader.damage == Damage(), reader.damage
    return found


def run(folder: Path) -> None:
    shadow.retention.keep_small(folder, folder / "none", NOW_MS, compress_after_days=1, keep_days=None)


def killed_before(line: int, folder: Path) -> bool:
    """Whether there was such a line."""
    child = os.fork()
    if child == 0:
        lines_run = 0

        def trace(frame: FrameType, event: str, _: Any) -> Any:
            nonlocal lines_run
            if frame.f_code.co_filename != shadow.retention.__file__:
                return None
            if event == "line":
                lines_run += 1
                if lines_run == line:
                    os.kill(os.getpid(), signal.SIGKILL)
            return trace

        sys.settrace(trace)
        run(folder)
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


expected = bars(source)
left: Counter[tuple[bool, bool]] = Counter()
line = 1
while True:
    folder = scratch / "log"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(source, folder)
    first = day_files(folder)[0]
    if not killed_before(line, folder):
        break
    assert bars(folder) == expected, line
    left[first.exists(), archive_of(first).exists()] += 1
    run(folder)
    assert bars(folder) == expected, line
    assert not first.exists()
    assert not list(folder.glob(".*")), line
    line += 1
print(line - 1, left[True, False], left[True, True], left[False, True])
