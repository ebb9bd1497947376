"""Bundles that take each other's place, the records of two that answer side by side, and crashes.

As a program it promotes or rolls back in a process that is killed before line 1, 2, 3 ... of what moves
pointers, and prints what each left behind:

    python -m tests.support.promotions MODELS promote|roll_back
"""

import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest

import plugin.durable
import plugin.history
import plugin.registry
from gates import runner
from gates.against_champion import against_champion
from gates.champion_oof import not_worse
from gates.integrity import integrity
from gates.limits import LIMITS, Limits
from gates.performance import performance
from gates.promotion import Review, review
from gates.shadow_evidence import shadow_evidence
from gates.stability import stability
from plugin.clock import utc_text
from plugin.registry import Registry
from shadow.record import BarRecord, ChallengerRecord
from tests.support.bundles import AT, bundle_of, read_manifest, reseal
from tests.support.records import HOUR_MS, START_MS, bar, member

POINTER_FILES = ("champion", "challenger", "history.jsonl")
BY = {"at": AT, "who": "a test"}
HORIZON = 5
N_BARS = 120
"""Bars after which bundles that differ much are told apart."""


def add_candidate(models: Path, day: int, **changes: Any) -> str:
    """An intact bundle that was made on a day of January 2099, with the files of the champion; its id.

    `changes` are fields of its manifest; without any it has at least another seed.
    """
    original = bundle_of(models)
    folder = original.with_name(f"209901{day:02}T000000Z-0123456789ab")
    folder.mkdir()
    for path in original.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    settings = {**read_manifest(original).settings, "seed": 1_000 + day}
    reseal(folder, **{"bundle_id": folder.name, "settings": settings, **changes})
    return folder.name


def challenge(models: Path, day: int, **changes: Any) -> str:
    """Such a bundle in the challenger's seat; its id."""
    bundle_id = add_candidate(models, day, **changes)
    Registry(models).appoint(bundle_id, **BY, why="to try it", role="challenger")
    return bundle_id


def ask_few_gates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the gates that start a process, which take seconds and say nothing of promotions."""
    few = (integrity, stability, performance, not_worse, against_champion, shadow_evidence)
    monkeypatch.setattr(runner, "GATES", few)


def champion_of(models: Path) -> str | None:
    pointer = Registry(models).champion()
    return pointer.bundle_id if pointer else None


def challenger_of(models: Path) -> str | None:
    pointer = Registry(models).challenger()
    return pointer.bundle_id if pointer else None


def closes(n: int, seed: int = 1) -> list[float]:
    """A random walk."""
    steps = np.random.default_rng(seed).normal(0.0, 0.01, n)
    return (100.0 * np.exp(np.cumsum(steps))).tolist()


def foresight(close: Sequence[float], edge: float) -> list[float]:
    """Probabilities `edge` off one half, on the right side, or the wrong one where `edge` is negative;
    for all bars but the last HORIZON."""
    return [
        0.5 + (edge if after > now else -edge)
        for now, after in zip(close[:-HORIZON], close[HORIZON:], strict=True)
    ]


def told(bundle: str, p: float | None, reason: str = "ok") -> ChallengerRecord:
    """What a challenger said; with a `p` of None nothing, for that reason."""
    return ChallengerRecord(
        bundle=bundle,
        reason=reason,
        error="it broke" if reason == "error" else None,
        members={} if p is None else {"lgb": member(p)},
        meta_p=p,
        probabilities={} if p is None else {str(HORIZON): p},
        us=100.0,
    )


def answered(n: int, bundle: str, p: float | None, reason: str = "ok", **fields: object) -> BarRecord:
    """What a champion said of bar `n`; with a `p` of None nothing, for that reason."""
    said = told(bundle, p, reason)
    return bar(
        n,
        champion=bundle,
        members=said.members,
        meta_p=said.meta_p,
        probabilities=said.probabilities,
        ml_stacking_mode="inactive" if p is None else "active",
        ml_reason=reason,
        ml_error=said.error,
        **fields,
    )


def side_by_side(
    champion: str,
    challenger: str,
    n: int,
    *,
    edges: tuple[float, float] = (0.1, 0.1),
    first: int = 0,
    silent: bool = False,
) -> list[BarRecord]:
    """`n` bars, numbered from `first`, on which both answer with their foresight.

    `edges` of the champion and of the challenger; a `silent` challenger says nothing, for an error.
    """
    close = closes(first + n + HORIZON)
    by_champion, by_challenger = (foresight(close, edge) for edge in edges)
    return [
        answered(
            at,
            champion,
            by_champion[at],
            close=close[at],
            challenger=told(challenger, None, "error")
            if silent
            else told(challenger, by_challenger[at]),
        )
        for at in range(first, first + n)
    ]


def close_ms(n: int) -> int:
    """When bar `n` closes."""
    return START_MS + (n + 1) * HOUR_MS


def looked(
    registry: Registry,
    shadow: Path,
    n_bars: int = N_BARS,
    *,
    limits: Limits = LIMITS,
    auto_promote: bool = False,
    dry_run: bool = False,
) -> Review:
    """A review at the close of bar number `n_bars` - 1."""
    return review(
        registry,
        shadow_dir=shadow,
        now_ms=close_ms(n_bars - 1),
        limits=limits,
        auto_promote=auto_promote,
        at=utc_text(close_ms(n_bars - 1)),
        who="a test",
        dry_run=dry_run,
    )


def roles(registry: Registry) -> tuple[str | None, str | None]:
    return champion_of(registry.folder), challenger_of(registry.folder)


def told_of(
    registry: Registry, edges: tuple[float, float] = (0.0, 0.2), n: int = N_BARS
) -> Sequence[BarRecord]:
    """Records of the two that have a role now."""
    champion, challenger = roles(registry)
    return side_by_side(str(champion), str(challenger), n, edges=edges)


def _killed_before(line: int, models: Path, what: str) -> bool:
    """Move pointers in a process that dies before that line of code; whether it came so far."""
    child = os.fork()
    if child == 0:
        sys.settrace(_fatal(line))
        getattr(Registry(models), what)(**BY, why="to see")
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def _fatal(fatal_line: int) -> Any:
    files = {module.__file__ for module in (plugin.durable, plugin.history, plugin.registry)}
    lines_run = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal lines_run
        if frame.f_code.co_filename not in files:
            return None
        if event == "line":
            lines_run += 1
            if lines_run == fatal_line:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    return trace


def _main(models: Path, what: str) -> None:
    before = {name: (models / name).read_bytes() for name in POINTER_FILES}
    line = 0
    while True:
        line += 1
        for name, content in before.items():
            (models / name).write_bytes(content)
        was_killed = _killed_before(line, models, what)
        left = [champion_of(models), challenger_of(models)]
        Registry(models).settle(**BY)
        settled = [champion_of(models), challenger_of(models)]
        print(json.dumps({"killed": was_killed, "left": left, "settled": settled}))
        if not was_killed:
            return


if __name__ == "__main__":
    _main(Path(sys.argv[1]), sys.argv[2])
