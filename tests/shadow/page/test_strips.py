"""Small pictures in the rows of a table, on one scale."""

import math
from xml.etree import ElementTree

import pytest

from shadow.page.strips import Scale


def drawn(scale, *parts):
    """The attributes of what stands in a row."""
    root = ElementTree.fromstring(scale.strip(*parts).svg)  # noqa: S314  (our own)
    assert root.get("aria-hidden") == "true", "its figures stand beside it"
    return [element.attrib for element in root]


def test_places_are_shares_of_the_scale():
    scale = Scale(0.0, 2.0, marks=[1.0])
    interval, dot, mark = drawn(scale, scale.interval(0.5, 1.5, "s1"), scale.dot(1.0, "f1"))
    assert (interval["x1"], interval["x2"]) == ("25.00%", "75.00%")
    assert dot["cx"] == "50.00%"
    assert mark["x1"] == mark["x2"] == "50.00%"


def test_a_scale_of_logarithms():
    scale = Scale(1.0, 10_000.0, is_log=True)
    (dot,) = drawn(scale, scale.dot(100.0, "f1"))
    assert dot["cx"] == "50.00%"


@pytest.mark.parametrize(("value", "place"), [(-5.0, "0.00%"), (9.0, "100.00%"), (math.inf, "100.00%")])
def test_what_lies_outside_is_drawn_at_the_end(value, place):
    scale = Scale(0.0, 1.0)
    assert drawn(scale, scale.tick(value, "s1"))[0]["x1"] == place


def test_nothing_at_or_below_zero_leaves_a_scale_of_logarithms():
    scale = Scale(0.1, 10.0, is_log=True)
    assert drawn(scale, scale.dot(0.0, "f1"))[0]["cx"] == "0.00%"


def test_a_bar_goes_either_way():
    scale = Scale(-1.0, 1.0)
    (left,), (right,) = (
        drawn(scale, scale.bar(0.0, -0.5, "f2")),
        drawn(scale, scale.bar(0.0, 0.5, "f1")),
    )
    assert (left["x"], left["width"]) == ("25.00%", "25.00%")
    assert (right["x"], right["width"]) == ("50.00%", "25.00%")


def test_what_is_not_known_is_not_drawn():
    scale, nan = Scale(0.0, 1.0), math.nan
    parts = (
        scale.dot(nan, ""),
        scale.tick(nan, ""),
        scale.interval(0.1, nan, ""),
        scale.bar(0.0, nan, ""),
    )
    assert drawn(scale, *parts) == []
