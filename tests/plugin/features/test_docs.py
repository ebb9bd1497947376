"""docs/features.md names the features that there are, in their order, and no others."""

from __future__ import annotations

import re
from pathlib import Path

from plugin.features import REFUSALS, companion, next_timeframe
from plugin.features.feature_set import BASE_FAMILIES

PAGE = Path(__file__).parents[3] / "docs" / "features.md"


def names_by_section() -> dict[str, tuple[str, ...]]:
    """The first words in code type of the table rows below each heading."""
    sections = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return {
        section.partition("\n")[0]: tuple(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))
        for section in sections
    }


def test_every_family_is_documented_in_order() -> None:
    documented = names_by_section()
    families = {
        title.removeprefix("Base: "): documented[title] for title in documented if "Base" in title
    }
    assert list(families.items()) == list(BASE_FAMILIES.items())
    assert documented["Sequence: longer bars"] == next_timeframe.NAMES
    assert documented["Cross: companions"] == companion.NAMES


def test_every_refusal_is_documented_in_order() -> None:
    assert names_by_section()["Refusals"] == REFUSALS
