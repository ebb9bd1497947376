"""A live process that can be wedged, and that says at its end what it has imported.

SIGUSR1 keeps its event loop from doing anything for a minute. The names of all modules go to the file
that MODULES_FILE names.
"""

import os
import signal
import sys
import time
from pathlib import Path

from plugin.command_line import LazyCommand, run_command

signal.signal(signal.SIGUSR1, lambda *_: time.sleep(60))
code = run_command("", "", (LazyCommand("run", "", "plugin.commands.run"),))
Path(os.environ["MODULES_FILE"]).write_text("\n".join(sorted(sys.modules)))
sys.exit(code)
