"""How do trainings side by side look as a page that needs nothing but a browser?"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

from plugin.errors import WrongUse
from shadow.page.charts import Plot, legend, spread
from shadow.texts import plain
from training.experiments import Comparison
from training.experiments_text import LETTERS, area_text, figure_text, value_text


def render_page(found: Comparison) -> str:
    """The page: the same text for the same runs. Raises WrongUse where Jinja2 is not installed."""
    try:
        import jinja2
    except ImportError as error:
        raise WrongUse("Jinja2 for the page", "none", "pip install 'shadowgate[report]'") from error
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    style = _look("style.css") + _look("report.css")
    template = files("training").joinpath("experiments.html.j2").read_text(encoding="utf-8")
    text: str = environment.from_string(template).render(
        style=style,
        style_hash=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        letters=LETTERS[: len(found.runs)],
        runs=[
            (letter, plain(run.bundle_id), plain(run.role), plain(run.trigger), run.tuning)
            for letter, run in zip(LETTERS, found.runs, strict=False)
        ],
        differences=_rows(found.differences, value_text),
        horizons=[_horizon(found, name) for name in found.figures],
    )
    return text


def _horizon(found: Comparison, name: str) -> dict[str, Any]:
    folds = found.folds[name]
    return {
        "name": name,
        "figures": [(plain(one), _rows(rows, area_text)) for one, rows in found.figures[name].items()],
        "curves": _curves(name, folds, len(found.runs)),
        "folds": _rows(dict(sorted(folds.items())), figure_text),
        "years": [
            (plain(one), _rows(dict(sorted(rows.items())), figure_text))
            for one, rows in found.years[name].items()
        ],
    }


def _rows(rows: Mapping[str, Sequence[Any]], text: Callable[[Any], str]) -> list[tuple[str, list[str]]]:
    return [(plain(name), [text(one) for one in each]) for name, each in rows.items()]


def _curves(horizon: str, folds: Mapping[str, Sequence[float | None]], n_runs: int) -> str:
    """The AUC of the stack in each fold, a line per run; empty where no fold has one."""
    points = [
        [(_ms(day), area) for day, each in sorted(folds.items()) if (area := each[run]) is not None]
        for run in range(n_runs)
    ]
    if not any(points):
        return ""
    every_x = [x for one in points for x, _ in one]
    heights = [y for one in points for _, y in one]
    says = "A line per run; the figures stand in the table below."
    title = f"AUC of the stack by fold, {horizon} bars ahead"
    plot = Plot(title, says, (min(every_x), max(every_x)), spread([*heights, 0.5]), "middle")
    plot.times()
    plot.heights()
    plot.level(0.5)
    for number, one in enumerate(points, 1):
        if one:
            plot.line([x for x, _ in one], [y for _, y in one], f"s{number} d{number}")
        for x, y in one:
            plot.dot(x, y, f"f{number}", 3.0)
    marks = [(f"line s{number} d{number}", LETTERS[number - 1]) for number in range(1, n_runs + 1)]
    return plot.svg() + legend(marks)


def _ms(day: str) -> int:
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() * 1000)


def _look(name: str) -> str:
    return files("shadow.page").joinpath(name).read_text(encoding="utf-8")
