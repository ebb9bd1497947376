"""docs/tuning.md says what is searched."""

import re
from pathlib import Path

import pytest

from training.network_members import DEFAULTS as OF_NETWORKS
from training.network_trials import SPACE as NETWORK_SPACE
from training.trials import DEFAULTS, SPACE

PAGE = (Path(__file__).parents[2] / "docs" / "tuning.md").read_text()
SEARCHED, _, WORTH = PAGE.partition("## What it was worth")


def test_the_spaces_are_those_that_are_searched() -> None:
    listed = re.findall(r"^\| `(\w+)` \| ([\d.]+) \| ([\d.]+) \|$", SEARCHED, re.MULTILINE)
    spaces = [*SPACE.items(), *NETWORK_SPACE.items()]
    assert listed == [(name, str(one.low), str(one.high)) for name, one in spaces]


@pytest.mark.parametrize(
    ("share", "defaults"), [(r" \d+ % \|", DEFAULTS), ("", OF_NETWORKS["lstm"])], ids=["lgb", "lstm"]
)
def test_the_defaults_are_those_of_the_member(share: str, defaults: dict[str, float]) -> None:
    row = rf"^\| `(\w+)` \| ([\d.]+) \| [\d.]+ \|{share}$"
    listed = re.findall(row, WORTH, re.MULTILINE)
    assert {name: float(value) for name, value in listed} == defaults
