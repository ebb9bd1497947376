"""docs/gates.md says what gates/limits.py and the gates themselves say."""

import re
from pathlib import Path

import msgspec

from gates.limits import LIMITS, Limits, changes, load_limits
from gates.runner import GATES
from tests.support.candidates import candidate, damaged_candidate

PAGE = (Path(__file__).parents[2] / "docs" / "gates.md").read_text()
_OF_GATES, _FURTHER = PAGE.split("## All gates")[1].split("\n## ")[0].split("Further limits")


def _rows(text: str) -> list[tuple[str, ...]]:
    return [
        tuple(cell.strip() for cell in line.strip("|").split("|"))
        for line in text.splitlines()
        if line.startswith("| `")
    ]


TABLE, FURTHER = _rows(_OF_GATES), _rows(_FURTHER)
DEFAULTS = msgspec.structs.asdict(LIMITS)


def _number(text: str) -> float:
    return float(text.rpartition(" ")[2].replace(",", ""))


def test_the_table_has_every_gate_with_its_level_and_limit_and_no_other() -> None:
    said = [result for gate in GATES for result in gate(damaged_candidate(), LIMITS)]
    expected = [(f"`{one.name}`", one.level, one.limit) for one in said]
    assert [row[:3] for row in TABLE] == expected


def test_the_limits_of_gates_that_measure_do_not_depend_on_what_they_find() -> None:
    asks_a_process = {"parity", "latency"}
    for gate in (gate for gate in GATES if gate.__name__ not in asks_a_process):
        found = {one.name: one.limit for one in gate(candidate(), LIMITS)}
        assert found == {one.name: one.limit for one in gate(damaged_candidate(), LIMITS)}


def test_the_tables_name_every_limit_and_no_other() -> None:
    named = {name for row in TABLE for name in re.findall(r"`(\w+)`", row[3])}
    further = {row[0].strip("`") for row in FURTHER}
    assert named & further == set()
    assert named | further == set(Limits.__struct_fields__)


def test_every_limit_has_its_value_in_a_table() -> None:
    limits = {row[0].strip("`"): row[2] for row in TABLE}
    for member, auc in LIMITS.member_auc.items():
        assert limits[f"performance_{member}"] == f">= {auc:g}"
    assert limits["worst_fold"] == f">= {LIMITS.fold_auc - LIMITS.fold_auc_tolerance:g}"
    for name, limit, fields in ((row[0], row[2], re.findall(r"`(\w+)`", row[3])) for row in TABLE):
        if len(fields) == 1 and fields[0] not in {"member_auc", "shadow"}:
            assert _number(limit) == DEFAULTS[fields[0]], name
    for name, value, _ in FURTHER:
        assert _number(value) == DEFAULTS[name.strip("`")], name


def test_every_gate_has_its_reason() -> None:
    reasons = PAGE.split("## What each one reads")[1]
    for row in TABLE:
        name = row[0].strip("`")
        is_of_member = name.removeprefix("performance_") in LIMITS.member_auc
        assert f"**`{'performance_<member>' if is_of_member else name}`**" in reasons, name


def test_the_example_of_changed_limits_can_be_read(tmp_path: Path) -> None:
    text = PAGE.split("    # limits.toml\n")[1].split("\nThe file")[0]
    (tmp_path / "limits.toml").write_text("\n".join(line.strip() for line in text.splitlines()))
    said = changes(load_limits(tmp_path / "limits.toml"))
    assert said["stack_auc"] == "0.55 instead of 0.58"
    assert set(said) == {"stack_auc", "oof_rows", "member_auc.xgb", "shadow.hours_in_shadow"}
