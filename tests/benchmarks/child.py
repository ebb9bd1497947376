"""What does a process of its own need: memory to serve or report, time to its first row, to an answer?

Run by the benchmarks, so that what they hold themselves is not counted. Prints one JSON object.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import msgspec

_Answer = TypeVar("_Answer")
_N_BATCHES = 5
_PAUSE_S = 0.002  # between two round trips: the record of the last one may come to its end


class LiveMemory(msgspec.Struct, frozen=True):
    """Peak resident memory of a process that served some bars."""

    peak_mib: float


class ReportRun(msgspec.Struct, frozen=True):
    """Reading a window of records and finding all that the report says, in a fresh process."""

    n_bars: int
    read_s: float
    find_s: float
    peak_mib: float


class KernelStart(msgspec.Struct, frozen=True):
    """Until the features are imported, and then until the first row is there."""

    import_s: float
    first_row_s: float


class RoundTrips(msgspec.Struct, frozen=True):
    """From the first byte of a request sent to the last one of its answer read, one of each per bar."""

    echo_ns: list[int]
    trip_ns: list[int]


def run_child(
    what: str,
    arguments: Sequence[str],
    answer: type[_Answer],
    environment: Mapping[str, str] | None = None,
) -> _Answer:
    """Run one of the functions below in a new process."""
    command = [sys.executable, "-m", "tests.benchmarks.child", what, *arguments]
    child = subprocess.run(
        command, stdout=subprocess.PIPE, check=True, env={**os.environ, **(environment or {})}
    )
    return msgspec.json.decode(child.stdout, type=answer)


def _live(root: str, bundle: str, n_symbols: str) -> LiveMemory:
    from plugin.bundle import load_bundle
    from tests.benchmarks.live import Live
    from tests.benchmarks.market import Market

    with TemporaryDirectory() as folder:
        n_bars = _N_BATCHES
        live = Live(
            load_bundle(Path(bundle)), Market.at(Path(root)), int(n_symbols), n_bars, Path(folder)
        )
        live.pipeline.warm_up()
        with live.writer:
            for batch in islice(live.batches(), n_bars):
                live.record(live.pipeline.answer(batch))
                live.prepare()
    return LiveMemory(_peak_mib())


def _report(folder: str, now_ms: str, days: str) -> ReportRun:
    from shadow.findings import Terms, find
    from shadow.window import read_window

    started = time.perf_counter()
    window = read_window(Path(folder), int(now_ms), int(days))
    read_s = time.perf_counter() - started
    started = time.perf_counter()
    evidence = find(Path(folder), window, Terms(Path(folder) / "models")).evidence
    return ReportRun(evidence.bars_recorded, read_s, time.perf_counter() - started, _peak_mib())


def _kernels() -> KernelStart:
    started = time.perf_counter()
    import numpy as np

    from plugin.features.joined import N_JOINED, write_joined_row

    import_s = time.perf_counter() - started
    steps = np.random.default_rng(1).standard_normal(512)
    close = np.exp(np.cumsum(steps) / 100)
    bars = np.stack([close, close * 1.01, close * 0.99, close, np.ones(512), np.zeros(512)])
    row = np.empty(N_JOINED, dtype=np.float32)
    started = time.perf_counter()
    write_joined_row((bars, 511), [(bars, 511)] * 3, 511 * 3_600_000, 3_600_000, row)
    return KernelStart(import_s, time.perf_counter() - started)


def _round_trips(echo: str, service: str, file: str) -> RoundTrips:
    lines = Path(file).read_bytes().splitlines(keepends=True)
    echo_ns, trip_ns = [], []
    with _connected(echo) as bare, _connected(service) as asked:
        for line in lines:
            if b'"history"' in line:
                _trip_ns(asked, line)
                continue
            echo_ns.append(_trip_ns(bare, line))
            trip_ns.append(_trip_ns(asked, line))
            time.sleep(_PAUSE_S)
    return RoundTrips(echo_ns, trip_ns)


def _connected(address: str) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.connect(address)
    return made


def _trip_ns(connection: socket.socket, line: bytes) -> int:
    started = time.perf_counter_ns()
    connection.sendall(line)
    answer = connection.recv(65_536)
    while not answer.endswith(b"\n"):
        answer += connection.recv(65_536)
    return time.perf_counter_ns() - started


def _peak_mib() -> float:
    # Not getrusage: a child inherits the peak of the process that started it.
    match = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    if match is None:
        raise RuntimeError("expected VmHWM in /proc/self/status, was none: run this on Linux")
    return int(match[1]) / 1024


if __name__ == "__main__":
    runs: dict[str, Callable[..., object]] = {
        "live": _live,
        "report": _report,
        "kernels": _kernels,
        "round_trips": _round_trips,
    }
    run = runs[sys.argv[1]]
    sys.stdout.buffer.write(msgspec.json.encode(run(*sys.argv[2:])))
