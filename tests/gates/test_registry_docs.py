"""docs/registry.md says what a review does, and by which limits."""

import re
from pathlib import Path
from typing import get_args

from gates.limits import Limits
from gates.view import Action
from plugin.registry import MoveKind, Pointer

PAGE = (Path(__file__).parents[2] / "docs" / "registry.md").read_text()
TABLE = [
    tuple(cell.strip() for cell in line.strip("|").split("|"))
    for line in PAGE.split("## Review")[1].split("\n## ")[0].splitlines()
    if line.startswith("| `")
]


def test_the_table_has_every_action_and_no_other() -> None:
    assert {row[0].strip("`") for row in TABLE} == set(get_args(Action))


def test_every_limit_in_the_table_exists_and_all_that_reviews_use_are_in_it() -> None:
    named = {name for row in TABLE for name in re.findall(r"`(\w+)`", row[2])}
    assert named <= set(Limits.__struct_fields__)
    used = {name for name in Limits.__struct_fields__ if re.match(r"pair_|watch_|challenger_", name)}
    assert named == used


def test_every_kind_of_move_and_its_fields_are_named() -> None:
    for kind in get_args(MoveKind):
        assert f"`{kind}`" in PAGE
    for name in ("kind", "replaced", "report_sha256"):
        assert name in Pointer.__struct_fields__
        assert f"`{name}`" in PAGE
