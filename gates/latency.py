"""Does it answer fast enough and fit into memory, by itself and beside the champion?

Both are measured by the process that repeats the golden answers. It is started for
the candidate and the champion in turn, and the best of each counts: a busy machine makes a bundle
slower, never faster.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gates.base import NOT_MEASURED, Candidate, Level, answer, not_known, words
from gates.limits import Limits
from gates.metrics import worst
from plugin.canary import CanaryReport, check_in_child
from plugin.manifest import GateResult, Verdict

_LEVEL: Level = "shadow"
_TURNS = 2
_MIB = 2**20


def latency(candidate: Candidate, limits: Limits) -> Sequence[GateResult]:
    """Microseconds a row and MiB: each below the most, and not a multiple of the champion's."""
    own, champion = _asked(candidate) if candidate.manifest else ([], [])
    return [
        _judged(
            "latency",
            "median microseconds that one row takes",
            [_best(one, lambda report: report.row_microseconds) for one in (own, champion)],
            candidate,
            (limits.latency_us, limits.latency_free_us, limits.latency_ratio),
        ),
        _judged(
            "memory",
            "MiB that a process grows by when it loads it",
            [_best(one, _mebibytes) for one in (own, champion)],
            candidate,
            (limits.memory_mib, limits.memory_free_mib, limits.memory_ratio),
        ),
    ]


def _asked(candidate: Candidate) -> tuple[list[CanaryReport], list[CanaryReport]]:
    own, champion = [candidate.canary], candidate.champion
    if champion is None or champion.manifest is None:
        return own, []
    theirs = [champion.canary]
    for _ in range(_TURNS - 1):
        own.append(check_in_child(candidate.folder))
        theirs.append(check_in_child(champion.folder))
    return own, theirs


def _mebibytes(report: CanaryReport) -> float | None:
    return None if report.memory_bytes is None else report.memory_bytes / _MIB


def _best(
    reports: Sequence[CanaryReport], figure: Callable[[CanaryReport], float | None]
) -> float | None:
    """The smallest, to a tenth; None where one of the processes did not say."""
    least = worst(map(figure, reports))
    return None if least is None else round(least, 1)


def _judged(
    name: str,
    what: str,
    found: Sequence[float | None],
    candidate: Candidate,
    limits: tuple[float, float, float],
) -> GateResult:
    own, theirs = found
    most, free, ratio = limits
    limit = f"<= {words(most)}"
    if own is None:
        return not_known(name, _LEVEL, limit, f"{what}: {NOT_MEASURED}")
    sentence = f"{what}: expected {limit}, was {words(own)}"
    if own > most:
        return answer(name, _LEVEL, own, limit, "fail", sentence)
    if candidate.champion is None:
        return answer(name, _LEVEL, own, limit, "pass", f"{sentence}; there is no champion beside it")
    if theirs is None:
        unknown = f"{sentence}; the champion's is not known"
        verdict: Verdict = "pass" if own <= free else "not enough evidence"
        return answer(name, _LEVEL, own, limit, verdict, unknown)
    sentence += f"; and <= {words(free)} or {ratio:g} times the champion's {words(theirs)}"
    verdict = "pass" if own <= max(free, ratio * theirs) else "fail"
    return answer(name, _LEVEL, own, limit, verdict, sentence)
