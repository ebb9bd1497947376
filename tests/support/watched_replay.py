"""A replay that tells on itself, as one JSON object: what it imported, how much memory it took."""

import contextlib
import io
import json
import sys
from collections.abc import Callable, Sequence

from plugin.answer import Answer
from plugin.app import App
from plugin.command_line import run_command
from plugin.commands import replay

SETTLED_AFTER_BARS = 500


def memory_mib(field: str) -> float:
    """A line of /proc/self/status, such as VmRSS."""
    with open("/proc/self/status") as status:
        (line,) = (line for line in status if line.startswith(f"{field}:"))
    return int(line.split()[1]) / 1024


class WatchedApp(App):
    """Notes the memory in use once everything has been reached that a bar reaches."""

    n_bars = 0
    settled_mib = 0.0

    async def run(self, deliver: Callable[[Sequence[Answer]], None]) -> None:
        def watch(answers: Sequence[Answer]) -> None:
            deliver(answers)
            WatchedApp.n_bars += 1
            if WatchedApp.n_bars == SETTLED_AFTER_BARS:
                WatchedApp.settled_mib = memory_mib("VmRSS")

        await super().run(watch)


replay.App = WatchedApp  # type: ignore[misc]
with contextlib.redirect_stdout(io.StringIO()):
    code = run_command("replay", "", (replay,), ["replay", *sys.argv[1:]])
print(
    json.dumps(
        {
            "code": code,
            "n_bars": WatchedApp.n_bars,
            "settled_mib": WatchedApp.settled_mib,
            "ended_mib": memory_mib("VmRSS"),
            "highest_mib": memory_mib("VmHWM"),
            "modules": sorted(sys.modules),
        }
    )
)
