"""Does a bundle repeat its golden answers, tried where a crash hurts nobody?

Before a bundle serves, a freshly started process reads it from disk and repeats its golden answers
(`plugin.golden`). That process has limits on time and memory: a bundle that hangs or swells is refused
like one that answers wrongly. One whose bytes are not those of its manifest is refused before that,
without a process.

The process also says how long one row takes the bundle and how much memory it needs.
"""

from __future__ import annotations

import resource
import signal
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import msgspec

from plugin.bar import Timeframe
from plugin.bundle import Bundle, load_bundle, verify_bundle
from plugin.ensemble import Ensemble
from plugin.errors import NOT_JSON, BundleRefused, ShadowgateError
from plugin.golden import Golden, answer_golden, differs_most, earlier_rows, largest_difference

TOLERANCE = 1e-6
TIMEOUT_S = 120.0  # of which a host that has never compiled the kernels needs 15 to 30
_TIMED_CALLS = 300
_TIMED_NS = 2 * 10**9
_STATM = Path("/proc/self/statm")  # pages: all, resident, ...
_MEMORY_BYTES = 4 * 2**30  # of address space, of which numba's compiler reserves far more than it uses


class CanaryReport(msgspec.Struct, frozen=True):
    """The largest difference between golden and repeated answers; `refusal` is None if all is well.

    `differs_most` is the member, `stack`, `features` or question of the regime where it was found,
    `differs_at` the horizon in bars. `row_microseconds` is the median time that one row takes the
    ensemble, `memory_bytes` what the process grew by when it loaded the bundle.
    """

    bundle_id: str
    file: str
    largest_difference: float | None
    refusal: str | None
    differs_most: str | None = None
    differs_at: int | None = None
    row_microseconds: float | None = None
    memory_bytes: int | None = None


def check_in_child(folder: Path, timeout_s: float = TIMEOUT_S) -> CanaryReport:
    """Load the bundle and repeat its golden answers in a new process; never raises for a bad bundle."""
    try:
        verify_bundle(folder)
        child = subprocess.run(
            [sys.executable, "-m", "plugin.canary", str(folder)],
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
        if child.returncode == 0:
            # The last line: libraries and site hooks may have printed before.
            return msgspec.json.decode(child.stdout.rpartition(b"\n")[2], type=CanaryReport)
        refusal = f"the process that tried the bundle {_end_of(child)}"
    except ShadowgateError as error:
        return _refused(folder, error)
    except subprocess.TimeoutExpired:
        refusal = f"the process that tried the bundle gave no answer within {timeout_s:g} s"
    except (OSError, *NOT_JSON) as error:
        refusal = f"the bundle could not be tried: {error}"
    return CanaryReport(folder.name, "", None, refusal)


def _end_of(child: subprocess.CompletedProcess[bytes]) -> str:
    if child.returncode < 0:
        return f"was ended by {signal.Signals(-child.returncode).name}"
    last_line = child.stderr.strip().rpartition(b"\n")[2].decode(errors="replace")
    return f"failed: {last_line or f'exit code {child.returncode}'}"


def _check(folder: Path) -> CanaryReport:
    try:
        before = _resident_bytes()
        bundle = load_bundle(folder)
        grown = max(_resident_bytes() - before, 0)
        file = bundle.manifest.golden_file
        try:
            golden = Golden.decode(bundle.golden)
        except Exception as error:  # whatever a foreign archive makes numpy raise
            raise BundleRefused(file, "golden bars and answers", repr(error)[:200]) from error
        answered = answer_golden(bundle, golden.bars, golden.open_time_ms)
        difference = largest_difference(golden, answered)
        if difference == float("inf"):
            raise BundleRefused(file, "answers of the same shape, all finite", "others")
        where, horizon = differs_most(golden, answered, bundle.manifest)
        if not difference <= TOLERANCE:
            place = f"{where} at {horizon} bars" if horizon else where
            was = f"{difference:g} apart, most of all {place}"
            raise BundleRefused(file, f"answers within {TOLERANCE:g}", was)
    except ShadowgateError as error:
        return _refused(folder, error)
    return CanaryReport(
        bundle_id=bundle.bundle_id,
        file="",
        largest_difference=difference,
        refusal=None,
        differs_most=where,
        differs_at=horizon,
        row_microseconds=_row_microseconds(bundle, answered),
        memory_bytes=grown,
    )


def _row_microseconds(bundle: Bundle, golden: Golden) -> float:
    """The median over some hundreds of calls, the rows in turn: caches must not know the answer. What
    networks do between bars is done before."""
    timeframe = Timeframe.parse(bundle.manifest.timeframe)
    held = [
        replace(one, state=(one.last_open_ms, 0))
        for one in earlier_rows(golden.bars, golden.open_time_ms, timeframe)
    ]
    ensemble = Ensemble(bundle)
    ensemble.prepare(held)
    cases = [((one.symbol,), golden.rows[case : case + 1], (one,)) for case, one in enumerate(held)]
    for case in cases:
        ensemble.predict(*case)
    took: list[int] = []
    while len(took) < _TIMED_CALLS and sum(took) < _TIMED_NS:
        case = cases[len(took) % len(cases)]
        started = time.perf_counter_ns()
        ensemble.predict(*case)
        took.append(time.perf_counter_ns() - started)
    return statistics.median(took) / 1000


def _resident_bytes() -> int:
    return int(_STATM.read_text("ascii").split()[1]) * resource.getpagesize()


def _refused(folder: Path, error: ShadowgateError) -> CanaryReport:
    return CanaryReport(folder.name, getattr(error, "file", ""), None, str(error))


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (int(TIMEOUT_S), int(TIMEOUT_S)))
    sys.stdout.buffer.write(b"\n" + msgspec.json.encode(_check(Path(sys.argv[1]))))
