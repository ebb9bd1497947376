"""`python -m plugin run`, in a process of its own, by a clock that goes faster than real time.

`python -m tests.support.fast_service ENV_FILE START_MS MADE_NS SPEED`: the clock stood at START_MS when
the monotonic one, which all processes share, was at MADE_NS.
"""

import os
import sys
import time
from pathlib import Path

from plugin.logs import configure_logs
from plugin.serving.service import Service
from tests.support.fast_clock import FastClock


def main(env: str, start_ms: str, made_ns: str, speed: str) -> None:
    """Serve until told to stop."""
    gone_ms = (time.monotonic_ns() - int(made_ns)) * float(speed) / 1e6
    clock = FastClock(int(start_ms) + int(gone_ms), float(speed))
    configure_logs(clock, as_json=True)
    Service(Path(env), os.environ, clock).serve()


if __name__ == "__main__":
    main(*sys.argv[1:])
