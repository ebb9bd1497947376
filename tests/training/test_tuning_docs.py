"""docs/tuning.md says what is searched."""

import re
from pathlib import Path

import pytest

from training.network_trials import SPACE as NETWORK_SPACE
from training.trials import DEFAULTS, SPACE

PAGE = (Path(__file__).parents[2] / "docs" / "tuning.md").read_text()


def test_the_spaces_are_those_that_are_searched() -> None:
    listed = re.findall(r"^\| `(\w+)` \| ([\d.]+) \| ([\d.]+) \|$", PAGE, re.MULTILINE)
    spaces = [*SPACE.items(), *NETWORK_SPACE.items()]
    assert listed == [(name, str(one.low), str(one.high)) for name, one in spaces]


@pytest.mark.parametrize(("share", "defaults"), [(r" \d+ % \|", DEFAULTS)], ids=["lgb"])
def test_the_defaults_are_those_of_the_member(share: str, defaults: dict[str, float]) -> None:
    row = rf"^\| `(\w+)` \| ([\d.]+) \| [\d.]+ \|{share}$"
    listed = re.findall(row, PAGE.partition("## What it was worth")[2], re.MULTILINE)
    assert {name: float(value) for name, value in listed} == defaults
