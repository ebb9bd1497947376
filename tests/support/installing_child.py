"""A process that installs a packed bundle again and again, and each time dies one step later.

A step is a change on disk, as the interpreter's audit events tell it. Killed before its n-th step, an
installation leaves the folder `killed-<n>`; the first that comes to its end is removed. Prints how many
were killed.
"""

import os
import shutil
import signal
import sys
from itertools import count
from pathlib import Path

from plugin.canary import CanaryReport
from training import installing

file, folder = (Path(argument) for argument in sys.argv[1:])
_WRITING = os.O_WRONLY | os.O_RDWR
_CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree"}


def install_and_die(models: Path, last_step: int) -> None:
    """Install; the process is gone before step `last_step`, if it comes to it."""
    steps = 0

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal steps
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITING
        if event not in _CHANGES and not writes:
            return
        if steps == last_step:
            os.kill(os.getpid(), signal.SIGKILL)
        steps += 1

    sys.addaudithook(watch)
    installing.install(file, models, None, at="2026-01-02T03:04:05Z", who="a test")


# The child that tries a bundle takes seconds and changes nothing: it always says yes here.
installing.check_in_child = lambda draft: CanaryReport(draft.name, "", 0.0, None)
for number in count():
    place = folder / f"killed-{number}"
    child = os.fork()
    if child == 0:
        install_and_die(place, number)
        os._exit(0)
    if os.waitpid(child, 0)[1] == 0:
        shutil.rmtree(place)
        print(number)
        break
