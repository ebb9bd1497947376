"""Does the process that wrote its id into a file still live, or has its id passed to another?"""

from __future__ import annotations

from pathlib import Path

_START_FIELD = 19  # of /proc/<pid>/stat, counted from behind the name, which may hold anything


def began_ticks(pid: int) -> int | None:
    """When a process began, in ticks since the host did; None where there is none."""
    try:
        status = Path(f"/proc/{pid}/stat").read_bytes()
        return int(status.rpartition(b")")[2].split()[_START_FIELD])
    except (OSError, ValueError, IndexError):
        return None
