"""A process that replaces a file and is killed before a given line of `plugin.durable` runs.

Its arguments are the path, the content as hex, and the number of the line, counted as lines run.
"""

import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import plugin.durable

path, content, fatal_line = Path(sys.argv[1]), bytes.fromhex(sys.argv[2]), int(sys.argv[3])
lines_run = 0


def trace(frame: FrameType, event: str, _: Any) -> Any:
    global lines_run  # noqa: PLW0603  (a trace function has no other place)
    if frame.f_code.co_filename != plugin.durable.__file__:
        return None
    if event == "line":
        lines_run += 1
        if lines_run == fatal_line:
            os.kill(os.getpid(), signal.SIGKILL)
    return trace


sys.settrace(trace)
plugin.durable.replace_file(path, content)
print(lines_run)
