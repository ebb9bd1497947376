"""docs/bundle.md names every file of a bundle and every key of its manifest."""

import re
from pathlib import Path

from plugin.canary import TIMEOUT_S, TOLERANCE
from plugin.manifest import Manifest
from tests.support.bundles import file_names
from tests.support.small_training import SmallTraining

PAGE = (Path(__file__).parents[2] / "docs" / "bundle.md").read_text()


def test_every_file_of_a_bundle_is_in_the_table(small_training: SmallTraining) -> None:
    table = re.findall(r"^\| `(\S+)`[ ,]", PAGE.split("## How one is loaded")[0], re.MULTILINE)
    patterns = [re.sub(r"<\w+>", r"\\w+", re.escape(name).replace(r"\<", "<")) for name in table]
    assert len(table) == 10
    for name in file_names(small_training.outcome.bundle):
        assert any(re.fullmatch(pattern, name) for pattern in patterns), name


def test_every_key_of_the_manifest_is_explained() -> None:
    shown_as_files = {"format_version", "meta_file", "golden_file", "evidence_file", "files"}
    for key in set(Manifest.__struct_fields__) - shown_as_files:
        assert f"`{key}`" in PAGE, key


def test_the_numbers_of_the_canary_are_right() -> None:
    assert f"{TIMEOUT_S:g} s" in PAGE
    assert f"{TOLERANCE:g}".replace("e-06", "e-6") in PAGE
