"""The page of a comparison says what it says, and nothing in a record can break out of it."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.support.small_training import SmallTraining
from training.experiments import Comparison, compare, read_runs
from training.experiments_page import render_page

_BAD = "</style></title><script>alert(1)</script>\"'&\x1b[2J"


def two(small_training: SmallTraining, folder: Path, **changes: object) -> Comparison:
    [path] = (small_training.models / "runs").glob("*.json")
    (folder / "runs").mkdir()
    for name in ("a", "b"):
        record = json.loads(path.read_bytes()) | {"bundle_id": name} | changes
        record["settings"]["seed"] = name
        record["metrics"]["5"]["folds"][1]["auc"]["stack"] += ord(name) / 1000
        (folder / "runs" / f"{name}.json").write_text(json.dumps(record))
    return compare(read_runs(folder)[0])


@pytest.fixture
def page(small_training: SmallTraining, tmp_path: Path) -> str:
    return render_page(two(small_training, tmp_path))


def test_every_figure_of_the_comparison_is_there(
    page: str, small_training: SmallTraining, tmp_path: Path
) -> None:
    (tmp_path / "again").mkdir()
    found = two(small_training, tmp_path / "again")
    for horizon, folds in found.folds.items():
        assert f"<h2>{horizon} bars ahead</h2>" in page
        for areas in folds.values():
            for area in areas:
                assert area is None or f"{area:.4f}" in page
    assert ">seed<" in page
    assert "lgb" in page


def test_there_is_a_curve_per_horizon_with_a_line_per_run(page: str) -> None:
    pictures = re.findall(r'<svg class="plot.*?</svg></svg>|<svg class="plot.*?</svg>.*?</svg>', page)
    assert len(pictures) == 3
    for picture in pictures:
        drawn = ElementTree.fromstring(picture)  # noqa: S314  (our own text)
        lines = [one.get("class") for one in drawn.iter("path") if "line" in one.get("class", "")]
        assert lines == ["line s1 d1", "line s2 d2"]


def test_it_needs_no_network_and_no_script(page: str) -> None:
    assert "http:" not in page
    assert "https:" not in page
    assert "<script" not in page
    assert "default-src 'none'" in page


def test_the_same_runs_give_the_same_page(
    page: str, small_training: SmallTraining, tmp_path: Path
) -> None:
    (tmp_path / "again").mkdir()
    assert render_page(two(small_training, tmp_path / "again")) == page


def test_nothing_in_a_record_breaks_out(small_training: SmallTraining, tmp_path: Path) -> None:
    page = render_page(two(small_training, tmp_path, trigger=_BAD, role=_BAD))
    assert "<script" not in page
    assert "\x1b" not in page
    assert "&lt;script&gt;" in page
