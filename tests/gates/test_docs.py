"""docs/gates.md says what gates/limits.py and the gates themselves say."""

import re
from pathlib import Path

import msgspec

from gates.limits import LIMITS, Limits
from gates.runner import GATES
from tests.support.candidates import candidate, damaged_candidate

PAGE = (Path(__file__).parents[2] / "docs" / "gates.md").read_text()
TABLE = [
    tuple(cell.strip() for cell in line.strip("|").split("|"))
    for line in PAGE.split("## All gates")[1].split("\n## ")[0].splitlines()
    if line.startswith("| `")
]


def test_the_table_has_every_gate_with_its_level_and_limit_and_no_other() -> None:
    said = [result for gate in GATES for result in gate(damaged_candidate(), LIMITS)]
    expected = [(f"`{one.name}`", one.level, one.limit) for one in said]
    assert [row[:3] for row in TABLE] == expected


def test_the_limits_of_gates_that_measure_do_not_depend_on_what_they_find() -> None:
    measuring = [gate for gate in GATES if gate.__name__ in ("stability", "performance")]
    for gate in measuring:
        found = {one.name: one.limit for one in gate(candidate(), LIMITS)}
        assert found == {one.name: one.limit for one in gate(damaged_candidate(), LIMITS)}


def test_the_table_names_every_limit_and_no_other() -> None:
    named = {name for row in TABLE for name in re.findall(r"`(\w+)`", row[3])}
    assert named == set(Limits.__struct_fields__)


def test_every_limit_has_its_value_in_the_table() -> None:
    limits = {row[0].strip("`"): row[2] for row in TABLE}
    for member, auc in LIMITS.member_auc.items():
        assert limits[f"performance_{member}"] == f">= {auc:g}"
    assert limits["worst_fold"] == f">= {LIMITS.fold_auc - LIMITS.fold_auc_tolerance:g}"
    others = msgspec.structs.asdict(LIMITS).keys() - {"member_auc", "fold_auc", "fold_auc_tolerance"}
    for name in others:
        (limit,) = [row[2] for row in TABLE if f"`{name}`" in row[3]]
        assert float(limit.split()[1].replace(",", "")) == getattr(LIMITS, name), name


def test_every_gate_has_its_reason() -> None:
    reasons = PAGE.split("## What each one reads")[1]
    for row in TABLE:
        name = row[0].strip("`")
        is_of_member = name.removeprefix("performance_") in LIMITS.member_auc
        assert f"**`{'performance_<member>' if is_of_member else name}`**" in reasons, name
