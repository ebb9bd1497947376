"""docs/recalibration.md has the bounds that the code has."""

import re
from pathlib import Path

from gates.recalibration import EVERY_BARS, VALID_BARS
from shadow import recalibration as bounds
from shadow import recalibration_fit as learning

PAGE = (Path(__file__).parents[2] / "docs" / "recalibration.md").read_text()


def test_the_table_has_every_bound_with_its_value() -> None:
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| `([^`|]+)` \|$", PAGE, re.MULTILINE)
    said = {names: text for _, text, names in rows}
    values = {**vars(bounds), **vars(learning), "EVERY_BARS": EVERY_BARS, "VALID_BARS": VALID_BARS}
    assert said.keys() == {
        "LEAST_SLOPE, MOST_SLOPE",
        "MOST_SHIFT",
        "STEP_OF_SLOPE",
        "STEP_OF_SHIFT",
        "MIN_EFFECTIVE",
        "N_BARS",
        "EVERY_BARS",
        "VALID_BARS",
    }
    for names, text in said.items():
        numbers = re.findall(r"\d[\d,.]*", text)
        expected = [float(values[name]) for name in names.split(", ")]
        assert [float(one.replace(",", "")) for one in numbers] == expected, names
