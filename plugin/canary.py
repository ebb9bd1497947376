"""Does a bundle repeat its golden answers, tried where a crash hurts nobody?

A bundle carries stretches of real bars and what features, members and meta-model said of them when it
was made. Before it serves, a freshly started process reads it from disk and repeats them. That process
has limits on time and memory: a bundle that hangs or swells is refused like one that answers wrongly.
"""

from __future__ import annotations

import io
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from plugin.bar import Timeframe
from plugin.bundle import Bundle, load_bundle
from plugin.ensemble import Ensemble
from plugin.errors import BundleRefused, ShadowgateError
from plugin.features import LOOKBACK_BARS
from plugin.features.joined import ROW_NAMES, write_joined_row

TOLERANCE = 1e-6
_TIMEOUT_S = 60
_MEMORY_BYTES = 4 * 2**30  # of address space, of which numba's compiler reserves far more than it uses


@dataclass(frozen=True)
class Golden:
    """`bars` (cases, 1 + companions, 6, 512), `open_time_ms` (cases,) of the newest bar, and answers:
    `rows` (cases, columns), `members` (cases, members, horizons), `stacked` (cases, horizons)."""

    bars: NDArray[np.float64]
    open_time_ms: NDArray[np.int64]
    rows: NDArray[np.float32]
    members: NDArray[np.float64]
    stacked: NDArray[np.float64]

    @classmethod
    def decode(cls, content: bytes) -> Golden:
        """Raises ValueError or KeyError where `content` is not such an archive."""
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            return cls(**{name: archive[name] for name in cls.__dataclass_fields__})

    def encode(self) -> bytes:
        """A numpy archive, the same bytes for the same arrays."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **{n: getattr(self, n) for n in self.__dataclass_fields__})
        return buffer.getvalue()


class CanaryReport(msgspec.Struct, frozen=True):
    """The largest difference between golden and repeated answers; `refusal` is None if all is well."""

    bundle_id: str
    file: str
    largest_difference: float | None
    refusal: str | None


def answer_golden(bundle: Bundle, bars: NDArray[np.float64], open_time_ms: NDArray[np.int64]) -> Golden:
    """What this process says of golden bars. Raises BundleRefused where their windows are refused."""
    timeframe = Timeframe.parse(bundle.manifest.timeframe)
    newest = LOOKBACK_BARS - 1
    table = np.empty((len(bars), len(ROW_NAMES)), dtype=np.float32)
    for case, opened, row in zip(bars, open_time_ms, table, strict=True):
        own, *companions = ((window, newest) for window in case)
        refusal = write_joined_row(own, companions, int(opened), timeframe.length_ms, row)
        if refusal:
            raise BundleRefused(bundle.manifest.golden_file, "bars that give features", refusal)
    predictions = Ensemble(bundle).predict([str(number) for number in range(len(table))], table)
    members = [[[*m.horizons.values()] for m in said.members.values()] for said in predictions]
    stacked = [[*said.probabilities.values()] for said in predictions]
    return Golden(bars, open_time_ms, table, np.array(members), np.array(stacked))


def largest_difference(golden: Golden, answered: Golden) -> float:
    """Over rows, members and meta-model; infinity where shapes differ or a number is not finite."""
    largest = 0.0
    for name in ("rows", "members", "stacked"):
        expected, was = getattr(golden, name), getattr(answered, name)
        if expected.shape != was.shape or not np.isfinite(was).all():
            return float("inf")
        largest = max(largest, float(np.abs(expected.astype(np.float64) - was).max()))
    return largest


def check_in_child(folder: Path) -> CanaryReport:
    """Load the bundle and repeat its golden answers in a new process; never raises for a bad bundle."""
    try:
        child = subprocess.run(
            [sys.executable, "-m", "plugin.canary", str(folder)],
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
        return msgspec.json.decode(child.stdout, type=CanaryReport)
    except subprocess.TimeoutExpired:
        refusal = f"no answer within {_TIMEOUT_S} s"
    except msgspec.MsgspecError:
        refusal = (
            f"the child ended with {child.returncode}: {child.stderr[-300:].decode(errors='replace')}"
        )
    return CanaryReport(folder.name, "", None, refusal)


def _check(folder: Path) -> CanaryReport:
    try:
        bundle = load_bundle(folder)
        file = bundle.manifest.golden_file
        try:
            golden = Golden.decode(bundle.golden)
            answered = answer_golden(bundle, golden.bars, golden.open_time_ms)
        except (ValueError, KeyError, TypeError) as error:
            raise BundleRefused(file, "golden bars and answers", repr(error)) from error
        difference = largest_difference(golden, answered)
        if not difference <= TOLERANCE:
            raise BundleRefused(file, f"answers within {TOLERANCE:g}", f"{difference:g} apart")
    except ShadowgateError as error:
        return CanaryReport(folder.name, getattr(error, "file", ""), None, str(error))
    return CanaryReport(bundle.bundle_id, "", difference, None)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (_TIMEOUT_S, _TIMEOUT_S))
    sys.stdout.buffer.write(msgspec.json.encode(_check(Path(sys.argv[1]))))
