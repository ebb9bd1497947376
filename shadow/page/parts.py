"""What is a page made of, before it is HTML?

Texts are plain: whoever lays them out escapes them. Pictures are SVG that escapes its own texts.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

from shadow.checklist import Verdict
from shadow.findings import Findings
from shadow.page.wording import Words
from shadow.texts import plain
from shadow.window import Window

NO_BREAK = "\N{NO-BREAK SPACE}"
_LONGEST_NAME = 48
Look = Literal["good", "bad", "unsure", "muted", ""]


class Told(NamedTuple):
    """What every section is told from, and the words of its language."""

    findings: Findings
    window: Window
    words: Words


class Says(NamedTuple):
    """A sentence or two."""

    text: str
    look: Look = ""
    kind: str = "says"


class Pill(NamedTuple):
    """A verdict in a table: a sign, as nothing hangs on a colour, and a word where there is room."""

    look: Look
    sign: str
    text: str


class Strip(NamedTuple):
    """A small picture in a row of a table; the figures of the row say the same."""

    svg: str


Cell: TypeAlias = str | Pill | Strip


class Column(NamedTuple):
    """The head of a column."""

    heading: str
    look: Literal["", "number", "strip", "mark"] = "number"


class Table(NamedTuple):
    """`rows` have one cell per column."""

    caption: str
    columns: tuple[Column, ...]
    rows: list[tuple[Cell, ...]]
    legend: str = ""
    note: str = ""
    kind: str = "table"


class Picture(NamedTuple):
    """One or several SVG, one below the other, under a caption."""

    caption: str
    svg: str
    legend: str = ""
    note: str = ""
    kind: str = "picture"


Plain: TypeAlias = Says | Table | Picture


class Beside(NamedTuple):
    """Columns of parts, side by side where there is room."""

    columns: tuple[tuple[Plain, ...], ...]
    kind: str = "beside"


class Section(NamedTuple):
    """One part of the story. `name` is its address within the page."""

    name: str
    heading: str
    parts: list[Plain | Beside]


def short(text: str) -> str:
    """A name from the log: what is longer than any that is meant is cut."""
    shown = plain(text)
    return shown if len(shown) <= _LONGEST_NAME else f"{shown[: _LONGEST_NAME - 1]}…"


def estimate(value: str, bounds: str) -> str:
    """A figure and its interval: where there is no room the interval stands below it, in one piece."""
    return f"{value} {bounds.replace(' ', NO_BREAK)}"


def verdict_pill(verdict: Verdict | None, words: Words) -> Pill:
    """A verdict of the checklist as sign and word."""
    if verdict == "pass":
        return Pill("good", "✓", words["passes"])
    if verdict == "fail":
        return Pill("bad", "✗", words["fails"])
    return Pill("unsure", "?", words["open"])
