"""Which trainings have been run, and in what do some of them differ?

Reads `models/runs/<bundle id>.json`, which `training.run_record` writes, and needs no training library.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from gates.out_of_fold import STACK
from plugin.errors import NOT_JSON, WrongUse

MOST_COMPARED = 6
"""More columns than that nobody reads, and a chart has no more colours."""


class Area(msgspec.Struct, frozen=True):
    """An AUC and its 95 % interval; None where there were too few rows."""

    auc: float | None
    auc_low: float | None = None
    auc_high: float | None = None


class FoldAreas(msgspec.Struct, frozen=True):
    """The AUC of every source in one test block, over all served symbols."""

    test_start: date
    auc: dict[str, float | None]


class AtHorizon(msgspec.Struct, frozen=True):
    """{symbol: {source: area}}, {symbol: {year: {source: AUC}}}, and one entry per fold."""

    symbols: dict[str, dict[str, Area]]
    years: dict[str, dict[str, dict[str, float | None]]]
    folds: list[FoldAreas]


class Chosen(msgspec.Struct, frozen=True):
    """The part of the settings that says where to look."""

    symbols: tuple[str, ...]
    primary_horizon: int


class Tuned(msgspec.Struct, frozen=True):
    """The study that the parameters were the best of."""

    study: str
    n_trials: int
    auc: float
    member: str = "lgb"


class Run(msgspec.Struct, frozen=True):
    """What is read of a run record. One that is older than tuning has no `tuning`."""

    bundle_id: str
    trigger: str
    role: str
    settings: dict[str, Any]
    members: dict[str, dict[str, Any]]
    metrics: dict[str, AtHorizon]
    minutes: dict[str, float]
    tuning: Tuned | None = None

    @property
    def chosen(self) -> Chosen:
        """As in the settings."""
        return msgspec.convert(self.settings, Chosen)

    def stack(self) -> dict[str, Area]:
        """By served symbol: how good the stack was at the primary horizon."""
        chosen = self.chosen
        found = self.metrics[str(chosen.primary_horizon)].symbols
        return {symbol: found[symbol][STACK] for symbol in chosen.symbols}

    def total_minutes(self) -> float:
        """Of all parts."""
        return sum(self.minutes.values())


class Skipped(msgspec.Struct, frozen=True):
    """A file among the records that is none, and why."""

    file: str
    why: str


class Comparison(msgspec.Struct, frozen=True):
    """Some runs side by side: every list has one entry per run, None where it has nothing to say.

    `differences` by setting or parameter; `figures` {horizon: {symbol: {source: areas}}}; `folds`
    {horizon: {first day of the test block: AUC of the stack}}; `years` {horizon: {symbol: {year: the
    same}}}.
    """

    runs: list[Run]
    differences: dict[str, list[Any]]
    figures: dict[str, dict[str, dict[str, list[Area | None]]]]
    folds: dict[str, dict[str, list[float | None]]]
    years: dict[str, dict[str, dict[str, list[float | None]]]]


_NOTHING = AtHorizon({}, {}, [])


def read_runs(models_dir: Path) -> tuple[list[Run], list[Skipped]]:
    """All records, the newest last, and the files that are none."""
    runs, skipped = [], []
    for path in sorted((models_dir / "runs").glob("*.json")):
        try:
            runs.append(_read(path))
        except OSError as error:
            skipped.append(Skipped(path.name, error.strerror or str(error)))
        except NOT_JSON as error:
            skipped.append(Skipped(path.name, str(error)))
        except KeyError as error:
            skipped.append(Skipped(path.name, f"no figures of {error.args[0]}"))
    return runs, skipped


def find(runs: Sequence[Run], beginning: str) -> Run:
    """The run whose bundle id begins so. Raises WrongUse where it is none or several."""
    found = [run for run in runs if run.bundle_id.startswith(beginning)]
    if len(found) != 1:
        was = f"{len(found)} of them" if found else "none of them"
        remedy = "see `python -m training experiments` for the ids"
        raise WrongUse(f"one run whose id begins with {beginning}", was, remedy)
    return found[0]


def compare(runs: Sequence[Run]) -> Comparison:
    """Lay them side by side, in the order given."""
    metrics = [run.metrics for run in runs]
    horizons = sorted({name for one in metrics for name in one}, key=lambda name: (len(name), name))
    at = {name: [one.get(name, _NOTHING) for one in metrics] for name in horizons}
    return Comparison(
        runs=list(runs),
        differences=_differences(runs),
        figures={name: _each([one.symbols for one in found]) for name, found in at.items()},
        folds={name: _side_by_side([_folds(one) for one in found]) for name, found in at.items()},
        years={name: _each([_years(one) for one in found]) for name, found in at.items()},
    )


def _read(path: Path) -> Run:
    run = msgspec.json.decode(path.read_bytes(), type=Run)
    if run.bundle_id != path.stem:
        raise msgspec.ValidationError(f"it is the record of {run.bundle_id!r}")
    run.stack()  # raises where settings and figures do not belong together
    return run


def _differences(runs: Sequence[Run]) -> dict[str, list[Any]]:
    values = _side_by_side([dict(_decided(run)) for run in runs])
    return {name: each for name, each in values.items() if any(one != each[0] for one in each)}


def _decided(run: Run) -> Iterator[tuple[str, Any]]:
    # The parameters that a study found stand among those of the member already.
    yield from _flat("", {name: value for name, value in run.settings.items() if name != "tuning"})
    if run.tuning is not None:
        yield from _flat("tuning.", msgspec.to_builtins(run.tuning))
    yield from _flat("members.", run.members)


def _flat(path: str, tree: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(f"{path}{name}.", value)
        else:
            yield f"{path}{name}", value


def _folds(at: AtHorizon) -> dict[str, float | None]:
    return {fold.test_start.isoformat(): fold.auc.get(STACK) for fold in at.folds}


def _years(at: AtHorizon) -> dict[str, dict[str, float | None]]:
    return {
        symbol: {year: areas.get(STACK) for year, areas in years.items()}
        for symbol, years in at.years.items()
    }


def _side_by_side(mappings: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """{name: [the value of each]}."""
    names = dict.fromkeys(name for one in mappings for name in one)
    return {name: [one.get(name) for one in mappings] for name in names}


def _each(mappings: Sequence[Mapping[str, Mapping[str, Any]]]) -> dict[str, dict[str, list[Any]]]:
    names = dict.fromkeys(name for one in mappings for name in one)
    return {name: _side_by_side([one.get(name, {}) for one in mappings]) for name in names}
