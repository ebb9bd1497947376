"""docs/tuning.md says what is searched."""

import re
from pathlib import Path

from training.search import DEFAULTS, SPACE

PAGE = (Path(__file__).parents[2] / "docs" / "tuning.md").read_text()


def test_the_space_is_the_one_that_is_searched() -> None:
    listed = re.findall(r"^\| `(\w+)` \| ([\d.]+) \| ([\d.]+) \|$", PAGE, re.MULTILINE)
    assert listed == [(name, str(one.low), str(one.high)) for name, one in SPACE.items()]


def test_the_defaults_are_those_of_the_member() -> None:
    listed = re.findall(r"^\| `(\w+)` \| ([\d.]+) \| [\d.]+ \| \d+ % \|$", PAGE, re.MULTILINE)
    assert {name: float(value) for name, value in listed} == DEFAULTS
