"""How does a chart come about, as text that needs nobody: an SVG themed by the page around it?

A chart is as wide as its place and keeps the size of its letters: lines are drawn in a nested SVG that
is stretched, dots and texts are placed by percent. Room for the texts of the axes is padding, in the
style sheet. Lines are told apart by colour and dashes. Numbers are cut, so that the same figures give
the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

_FULL = 1000.0  # the nested SVG in both directions
_HOUR_MS = 3_600_000
_DAY_H = 24
_TIME_STEPS_H = (1, 2, 3, 6, 12, 24, 48, 96, 168, 336, 720, 1440, 2880, 8760)
_MOST_TIMES, _MOST_HEIGHTS = 8, 5
Size: TypeAlias = Literal["tall", "middle", "low", "lanes", "square"]
Floats: TypeAlias = NDArray[np.float64]


class Plot:
    """A frame for `x` and `y`, each (from, to); `says` is what somebody reads who can not see it."""

    def __init__(
        self, title: str, says: str, x: tuple[float, float], y: tuple[float, float], size: Size
    ) -> None:
        self._title, self._says, self._size = title, says, size
        self._x, self._y = _opened(x), _opened(y)
        self._grid: list[str] = []
        self._paths: list[str] = []
        self._placed: list[str] = []
        self._below: list[str] = []

    def line(
        self, x: ArrayLike, y: ArrayLike, style: str, run: NDArray[np.int64] | None = None
    ) -> None:
        """Join finite points; those of another `run` (n,) begin anew."""
        across, up = self._across(x), self._up(y)
        begins = np.diff(np.zeros(across.size) if run is None else run, prepend=-1) != 0
        # `h0` makes a dot of a point that stands alone.
        steps = [
            f"M{_cut(a)} {_cut(b)}h0" if first else f"L{_cut(a)} {_cut(b)}"
            for a, b, first in zip(across.tolist(), up.tolist(), begins.tolist(), strict=True)
        ]
        self._paths.append(f'<path class="line {style}" d="{"".join(steps)}"/>')

    def area(self, x: ArrayLike, y: ArrayLike, style: str) -> None:
        """Fill between finite points and zero."""
        across, up = self._across(x), self._up(y)
        zero = _cut(float(self._up(0.0)))
        top = "".join(
            f"L{_cut(a)} {_cut(b)}" for a, b in zip(across.tolist(), up.tolist(), strict=True)
        )
        ends = f"M{_cut(across[0])} {zero}{top}L{_cut(across[-1])} {zero}Z"
        self._paths.append(f'<path class="band {style}" d="{ends}"/>')

    def strokes(self, x: ArrayLike, low: float, high: float, style: str) -> None:
        """A mark at each of `x`, from one height to another."""
        bottom, top = _cut(float(self._up(low))), _cut(float(self._up(high)))
        marks = "".join(f"M{_cut(at)} {bottom}V{top}" for at in self._across(x).tolist())
        self._paths.append(f'<path class="stroke {style}" d="{marks}"/>')

    def level(self, value: float) -> None:
        """A dashed line all along one value of y."""
        self._paths.append(f'<path class="mark" d="M0 {_cut(float(self._up(value)))}H{_FULL:g}"/>')

    def diagonal(self) -> None:
        """Where y equals x."""
        both = np.array([max(self._x[0], self._y[0]), min(self._x[1], self._y[1])])
        (a, b), (c, d) = self._across(both).tolist(), self._up(both).tolist()
        self._paths.append(f'<path class="mark" d="M{_cut(a)} {_cut(c)}L{_cut(b)} {_cut(d)}"/>')

    def whisker(self, x: float, low: float, high: float, style: str) -> None:
        """An interval at one place; nothing where it is not known."""
        if math.isfinite(low + high):
            at, top, bottom = self._at(x), self._height(high), self._height(low)
            self._placed.append(
                f'<line class="line {style}" x1="{at}" x2="{at}" y1="{top}" y2="{bottom}"/>'
            )

    def dot(self, x: float, y: float, style: str, radius: float = 4.0) -> None:
        """A point."""
        place = f'cx="{self._at(x)}" cy="{self._height(y)}"'
        self._placed.append(f'<circle class="{style}" {place} r="{radius:.1f}"/>')

    def bar(self, x: float, width: float, value: float, style: str) -> None:
        """A bar around `x` from zero to `value`."""
        top, bottom = sorted(self._up([value, 0.0]).tolist())
        left, right = self._across([x - width / 2, x + width / 2]).tolist()
        place = f'x="{_percent(left)}" y="{_percent(top)}"'
        self._placed.append(
            f'<rect class="{style}" {place} width="{_percent(right - left)}"'
            f' height="{_percent(bottom - top)}"/>'
        )

    def times(self, *, labelled: bool = True) -> None:
        """Lines at round times (UTC) of x, which is in milliseconds, and what times they are."""
        low, high = self._x
        step_h = next(
            (step for step in _TIME_STEPS_H if (high - low) / (step * _HOUR_MS) <= _MOST_TIMES),
            _TIME_STEPS_H[-1],
        )
        step_ms = step_h * _HOUR_MS
        for number in range(math.ceil(low / step_ms), math.floor(high / step_ms) + 1):
            at = self._at(number * step_ms)
            self._grid.append(f'<line class="axis" x1="{at}" x2="{at}" y1="0" y2="100%"/>')
            if labelled:
                self._name(at, _time_text(number * step_ms, step_h), is_extra=number % 2 == 1)

    def numbers(self) -> None:
        """What numbers x stands for."""
        for at, text in _numbered(*self._x):
            self._name(self._at(at), text)

    def names(self, names: Iterable[str]) -> None:
        """A name below 0, 1, 2, ...; where there are many, only every third on a narrow page."""
        many = list(names)
        for at, name in enumerate(many):
            self._name(self._at(at), name, is_extra=len(many) > _MOST_TIMES and at % 3 != 0)

    def heights(self, unit: str = "") -> None:
        """Lines at round values of y, and what values they are."""
        for value, text in _numbered(*self._y):
            at = self._height(value)
            self._grid.append(f'<line class="axis" x1="0" x2="100%" y1="{at}" y2="{at}"/>')
            self.height(value, f"{text}{unit}")

    def height(self, value: float, text: str) -> None:
        """A text beside one value of y."""
        self._placed.append(
            f'<text x="-6" y="{self._height(value)}" dy="4" text-anchor="end">{escape(text)}</text>'
        )

    def svg(self) -> str:
        """The picture."""
        name = f"<title>{escape(self._title)}</title><desc>{escape(self._says)}</desc>"
        frame = f'viewBox="0 0 {_FULL:g} {_FULL:g}" preserveAspectRatio="none"'
        stretched = f"<svg {frame}>{''.join(self._paths)}</svg>"
        parts = "".join(self._grid) + stretched + "".join(self._placed + self._below)
        look = f"plot {self._size}{' named' if self._below else ''}"
        return f'<svg class="{look}" role="img">{name}{parts}</svg>'

    def _name(self, at: str, text: str, *, is_extra: bool = False) -> None:
        look = ' class="extra"' if is_extra else ""
        self._below.append(
            f'<text{look} x="{at}" y="100%" dy="16" text-anchor="middle">{escape(text)}</text>'
        )

    def _across(self, x: ArrayLike) -> Floats:
        low, high = self._x
        return (np.asarray(x, dtype=np.float64) - low) / (high - low) * _FULL

    def _up(self, y: ArrayLike) -> Floats:
        low, high = self._y
        return (high - np.asarray(y, dtype=np.float64)) / (high - low) * _FULL

    def _at(self, x: float) -> str:
        return _percent(float(self._across(x)))

    def _height(self, y: float) -> str:
        return _percent(float(self._up(y)))


def ticks(low: float, high: float) -> list[float]:
    """Round numbers between two bounds, about five (Heckbert, Graphics Gems, 1990)."""
    rough = (high - low) / _MOST_HEIGHTS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.8)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(at * step, 12) for at in range(first, last + 1)]


def spread(*columns: ArrayLike, margin: float = 0.06) -> tuple[float, float]:
    """Bounds that hold all finite values, with some room around them."""
    values = np.concatenate([np.asarray(column, dtype=np.float64).ravel() for column in columns])
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    room = (high - low) * margin
    return low - room, high + room


def legend(marks: Sequence[tuple[str, str]]) -> str:
    """What the marks mean: each as shape and style, `line s1`, and its text."""
    items = "".join(f"<li>{_sample(mark)} {escape(text)}</li>" for mark, text in marks)
    return f'<ul class="legend">{items}</ul>'


def _sample(mark: str) -> str:
    shape, _, style = mark.partition(" ")
    drawn = {
        "line": f'<path class="line {style}" d="M0 6H28"/>',
        "dot": f'<circle class="{style}" cx="14" cy="6" r="4"/>',
        "tick": f'<path class="line {style}" d="M14 1V11"/>',
        "cross": f'<path class="{style}" d="M11 3l6 6m0-6l-6 6"/>',
        "box": f'<rect class="{style}" x="8" y="1" width="12" height="10"/>',
    }[shape]
    return f'<svg viewBox="0 0 28 12" aria-hidden="true">{drawn}</svg>'


def _numbered(low: float, high: float) -> list[tuple[float, str]]:
    """Round numbers with as many digits as their distance asks for."""
    found = ticks(low, high)
    step = found[1] - found[0] if len(found) > 1 else high - low
    n_digits = max(0, -math.floor(math.log10(step) + 1e-9))
    if n_digits > 5:  # longer texts have no room
        return [(at, f"{at:.3g}") for at in found]
    return [(at, f"{at:,.{n_digits}f}") for at in found]


def _time_text(time_ms: int, step_h: int) -> str:
    moment = datetime.fromtimestamp(time_ms / 1000, UTC)
    if step_h >= 30 * _DAY_H:
        return f"{moment:%Y-%m}"
    return f"{moment:%m-%d}" if step_h >= _DAY_H or moment.hour == 0 else f"{moment:%H:%M}"


def _opened(bounds: tuple[float, float]) -> tuple[float, float]:
    """Bounds with something between them: a line of equal values lies in the middle."""
    low, high = bounds
    room = max(abs(low), 1e-9) * 0.01
    return (low, high) if high - low > room * 1e-6 else (low - room, high + room)


def _percent(at: float) -> str:
    return f"{_cut(at / 10.0, 2)}%"


def _cut(at: float, n_digits: int = 1) -> str:
    text = f"{at:.{n_digits}f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
