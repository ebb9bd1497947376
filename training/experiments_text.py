"""How do trainings side by side read on a terminal?"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from shadow.texts import plain
from training.experiments import Area, Comparison, Run

LETTERS = ascii_uppercase


def show_runs(console: Console, runs: Sequence[Run]) -> None:
    """One entry per run: its id, why, with what, and how good the stack was."""
    table = Table(box=None, padding=(0, 1, 0, 0))
    for heading in ("run", "role", "symbol", "stack AUC (95 %)"):
        table.add_column(heading)
    table.add_column("minutes", justify="right")
    for run in runs:
        areas = run.stack()
        about = [plain(run.bundle_id), plain(run.trigger), plain(" ".join(run.members))]
        if run.tuning is not None:
            about.append(f"best of {run.tuning.n_trials} trials")
        symbols, told = "\n".join(map(plain, areas)), "\n".join(map(area_text, areas.values()))
        cells = ("\n".join(about), plain(run.role), symbols, told, f"{run.total_minutes():.1f}")
        table.add_row(*map(Text, cells))
    console.print(table)


def show_comparison(console: Console, found: Comparison) -> None:
    """Who is who, what differs, and all figures side by side."""
    for letter, run in zip(LETTERS, found.runs, strict=False):
        tuned = f", best of {run.tuning.n_trials} trials" if run.tuning else ""
        _say(
            console, f"{letter}  {plain(run.bundle_id)} {plain(run.role)}, {plain(run.trigger)}{tuned}"
        )
    letters = LETTERS[: len(found.runs)]
    if found.differences:
        rows = {name: [value_text(one) for one in each] for name, each in found.differences.items()}
        _show(console, "What differs", "setting or parameter", letters, rows)
    else:
        _say(console, "\nNo setting and no parameter of a member differs.")
    for horizon, symbols in found.figures.items():
        for symbol, sources in symbols.items():
            told = {source: [area_text(one) for one in each] for source, each in sources.items()}
            _show(console, f"{plain(symbol)}, {horizon} bars ahead: AUC (95 %)", "", letters, told)
    for horizon, folds in found.folds.items():
        title = f"Stack, all served symbols, {horizon} bars ahead: AUC by fold"
        _show(console, title, "tested from", letters, _figures(folds))
        for symbol, years in found.years[horizon].items():
            title = f"Stack, {plain(symbol)}, {horizon} bars ahead: AUC by year"
            _show(console, title, "year", letters, _figures(years))


def area_text(area: Area | None) -> str:
    """An AUC and its interval, as far as they are known."""
    if area is None or area.auc is None:
        return ""
    if area.auc_low is None or area.auc_high is None:
        return f"{area.auc:.3f}"
    return f"{area.auc:.3f} ({area.auc_low:.3f}-{area.auc_high:.3f})"


def value_text(value: Any) -> str:
    """A setting as JSON has it, `-` where a run has none of that name."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.6g}"
    return plain(value if isinstance(value, str) else json.dumps(value))


def figure_text(value: float | None) -> str:
    """An AUC, empty where it is not known."""
    return "" if value is None else f"{value:.4f}"


def _figures(rows: Mapping[str, Sequence[float | None]]) -> dict[str, list[str]]:
    return {name: [figure_text(one) for one in rows[name]] for name in sorted(rows)}


def _show(
    console: Console, title: str, first: str, letters: str, rows: Mapping[str, Sequence[str]]
) -> None:
    if not rows:
        return
    console.print(Text(f"\n{title}", "bold"))
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column(first, overflow="fold")
    for letter in letters:
        table.add_column(letter, justify="right", overflow="fold")
    for name, each in rows.items():
        table.add_row(Text(plain(name)), *map(Text, each))
    console.print(table)


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, soft_wrap=True)
