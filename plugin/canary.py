"""Does a bundle repeat its golden answers, tried where a crash hurts nobody?

A bundle carries stretches of real bars and what features, members and meta-model said of them when it
was made. Before it serves, a freshly started process reads it from disk and repeats them. That process
has limits on time and memory: a bundle that hangs or swells is refused like one that answers wrongly.
A bundle whose bytes are not those of its manifest is refused before that, without a process.

The process also says how long one row takes the bundle and how much memory it needs.
"""

from __future__ import annotations

import io
import resource
import signal
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from plugin.bar import Timeframe
from plugin.buffer import LONGEST_WINDOW
from plugin.bundle import Bundle, load_bundle, verify_bundle
from plugin.candles import N_ROWS
from plugin.ensemble import Ensemble
from plugin.errors import NOT_JSON, BundleRefused, ShadowgateError
from plugin.features import LOOKBACK_BARS
from plugin.features.joined import N_COMPANIONS, ROW_NAMES, lookback_of, write_joined_row
from plugin.manifest import Manifest
from plugin.regime import QUESTIONS
from plugin.windows import Stretch

TOLERANCE = 1e-6
TIMEOUT_S = 120.0  # of which a host that has never compiled the kernels needs 15 to 30
_MOST_BARS = lookback_of(len(ROW_NAMES)) + LONGEST_WINDOW
_TIMED_CALLS = 300
_TIMED_NS = 2 * 10**9
_STATM = Path("/proc/self/statm")  # pages: all, resident, ...
_MEMORY_BYTES = 4 * 2**30  # of address space, of which numba's compiler reserves far more than it uses


@dataclass(frozen=True)
class Golden:
    """`bars` (cases, 1 + companions, 6, n), `open_time_ms` (cases,) of the newest bar, and answers:
    `rows` (cases, columns), `members` (cases, members, horizons), `stacked` (cases, horizons), `regime`
    (cases, questions), of none in a bundle without a classifier.

    n is as many bars as the bundle looks back at (`plugin.looking_back`).
    """

    bars: NDArray[np.float64]
    open_time_ms: NDArray[np.int64]
    rows: NDArray[np.float32]
    members: NDArray[np.float64]
    stacked: NDArray[np.float64]
    regime: NDArray[np.float64]

    @classmethod
    def decode(cls, content: bytes) -> Golden:
        """Raises ValueError where the bars are not such; numpy and zipfile raise what they like."""
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            golden = cls(**{name: archive[name] for name in cls.__dataclass_fields__})
        bars, opened = golden.bars, golden.open_time_ms
        n_cases = opened.size
        # The compiled features do not look whether a window is as long as they believe.
        *around, n_bars = bars.shape if bars.ndim == 4 else (0, 0, 0, 0)
        is_long_enough = LOOKBACK_BARS <= n_bars <= _MOST_BARS
        expected = [n_cases, 1 + N_COMPANIONS, N_ROWS]
        if around != expected or not is_long_enough or bars.dtype != np.float64 or n_cases == 0:
            raise ValueError(f"bars of shape {bars.shape} and type {bars.dtype} at {n_cases} times")
        return golden

    def encode(self) -> bytes:
        """A numpy archive, the same bytes for the same arrays."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **{n: getattr(self, n) for n in self.__dataclass_fields__})
        return buffer.getvalue()


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


def answer_golden(bundle: Bundle, bars: NDArray[np.float64], open_time_ms: NDArray[np.int64]) -> Golden:
    """What this process says of golden bars. Raises BundleRefused where it has no answer to one."""
    timeframe = Timeframe.parse(bundle.manifest.timeframe)
    newest = bars.shape[3] - 1
    table = np.empty((len(bars), bundle.n_columns), dtype=np.float32)
    for case, opened, row in zip(bars, open_time_ms, table, strict=True):
        own, *companions = ((window, newest) for window in case)
        refusal = write_joined_row(own, companions, int(opened), timeframe.length_ms, row)
        if refusal:
            raise BundleRefused(bundle.manifest.golden_file, "bars that give features", refusal)
    earlier = earlier_rows(bars, open_time_ms, timeframe)
    predictions = Ensemble(bundle).predict([one.symbol for one in earlier], table, earlier)
    for said in predictions:
        if said.reason != "ok":
            raise BundleRefused(bundle.manifest.golden_file, "an answer of every member", said.reason)
    members = [[[*m.horizons.values()] for m in said.members.values()] for said in predictions]
    stacked = [[*said.probabilities.values()] for said in predictions]
    regime = [[*said.regime_probabilities.values()] for said in predictions]
    return Golden(bars, open_time_ms, table, np.array(members), np.array(stacked), np.array(regime))


def earlier_rows(
    bars: NDArray[np.float64], open_time_ms: NDArray[np.int64], timeframe: Timeframe
) -> list[Stretch]:
    """What lies before the newest bar of each golden case."""
    last = bars.shape[3] - 2
    return [
        Stretch(str(number), timeframe, case[0], last, int(opened) - timeframe.length_ms)
        for number, (case, opened) in enumerate(zip(bars, open_time_ms, strict=True))
    ]


def largest_difference(golden: Golden, answered: Golden) -> float:
    """Over rows, members, meta-model and regime; infinity where shapes differ or a number is not
    finite."""
    largest = 0.0
    for name in ("rows", "members", "stacked", "regime"):
        expected, was = getattr(golden, name), getattr(answered, name)
        if expected.shape != was.shape:
            return float("inf")
        difference = np.abs(expected.astype(np.float64) - was)
        if not np.isfinite(difference).all():
            return float("inf")
        largest = max(largest, float(difference.max(initial=0.0)))
    return largest


def differs_most(golden: Golden, answered: Golden, manifest: Manifest) -> tuple[str, int | None]:
    """Where the largest difference is: a member, `stack` or a question of the regime, and the horizon,
    or `features` and None."""
    found: dict[tuple[str, int | None], float] = {}
    found["features", None] = _largest(golden.rows, answered.rows)
    for place, horizon in enumerate(manifest.horizons):
        for number, member in enumerate(manifest.member_names):
            of_member = golden.members[:, number, place], answered.members[:, number, place]
            found[member, horizon] = _largest(*of_member)
        found["stack", horizon] = _largest(golden.stacked[:, place], answered.stacked[:, place])
    if manifest.regime:
        for number, question in enumerate(QUESTIONS):
            of_question = golden.regime[:, number], answered.regime[:, number]
            found[f"regime_{question}", manifest.regime.horizon] = _largest(*of_question)
    return max(found, key=found.__getitem__)


def _largest(expected: NDArray[np.floating], was: NDArray[np.floating]) -> float:
    return float(np.abs(expected.astype(np.float64) - was).max())


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
