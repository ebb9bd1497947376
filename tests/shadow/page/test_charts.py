"""Charts as text: sound XML, round ticks, nothing that is not a number."""

from datetime import UTC, datetime
from xml.etree import ElementTree

import numpy as np
import pytest

from shadow.page.charts import Plot, legend, spread, ticks

HOUR_MS = 3_600_000
START_MS = int(datetime(2025, 1, 1, tzinfo=UTC).timestamp() * 1000)


def plot(x=(0.0, 10.0), y=(0.0, 1.0)):
    return Plot("a title", "what it says", x, y, "tall")


def drawn(one):
    """The elements by their tag, in order."""
    root = ElementTree.fromstring(one.svg())  # noqa: S314  (our own)
    return [(element.tag, element.attrib, element.text) for element in root.iter()]


def texts(one):
    return [text for tag, _, text in drawn(one) if tag == "text"]


def paths(one):
    return [attributes["d"] for tag, attributes, _ in drawn(one) if tag == "path"]


def test_it_names_itself_for_those_who_can_not_see_it():
    (_, frame, _), title, says, *_ = drawn(plot())
    assert frame["role"] == "img"
    assert title[0::2] == ("title", "a title")
    assert says[0::2] == ("desc", "what it says")


def test_hostile_names_stay_texts():
    one = Plot('<b>"&', "</desc>", (0.0, 1.0), (0.0, 1.0), "low")
    one.names(["<script>"])
    one.height(0.5, "</svg>")
    assert [tag for tag, _, _ in drawn(one)] == ["svg", "title", "desc", "svg", "text", "text"]
    assert "<script>" in texts(one)


def test_a_line_spans_its_frame_from_below_to_above():
    one = plot()
    one.line([0.0, 5.0, 10.0], [0.0, 1.0, 0.0], "s1")
    assert paths(one) == ["M0 1000h0L500 0L1000 1000"]


def test_another_run_begins_anew_and_a_lone_point_is_a_dot():
    one = plot()
    one.line([0.0, 5.0, 10.0], [0.0, 0.0, 0.0], "s1", np.array([0, 1, 1]))
    assert paths(one) == ["M0 1000h0M500 1000h0L1000 1000"]


def test_a_bar_stands_on_zero_to_either_side():
    one = plot(y=(-1.0, 1.0))
    one.bar(5.0, 2.0, 0.5, "f1")
    one.bar(5.0, 2.0, -0.5, "f1")
    above, below = [attributes for tag, attributes, _ in drawn(one) if tag == "rect"]
    assert (above["x"], above["width"]) == ("40%", "20%")
    assert (above["y"], above["height"]) == ("25%", "25%")
    assert (below["y"], below["height"]) == ("50%", "25%")


def test_an_area_ends_at_zero():
    one = plot(y=(-1.0, 0.0))
    one.area([0.0, 10.0], [-1.0, -0.5], "f1")
    assert paths(one) == ["M0 0L0 1000L1000 500L1000 0Z"]


def test_an_unknown_interval_is_not_drawn():
    one = plot()
    one.whisker(5.0, np.nan, 0.5, "s1")
    before = len(drawn(one))
    one.whisker(5.0, 0.25, 0.5, "s1")
    assert len(drawn(one)) == before + 1
    (line,) = [attributes for tag, attributes, _ in drawn(one) if tag == "line"]
    assert (line["y1"], line["y2"]) == ("50%", "75%")


@pytest.mark.parametrize(
    ("hours", "expected"),
    [
        (6, ["01-01", "01:00", "02:00", "03:00", "04:00", "05:00", "06:00"]),
        (48, ["01-01", "06:00", "12:00", "18:00", "01-02", "06:00", "12:00", "18:00", "01-03"]),
        (24 * 7, [f"01-0{day}" for day in range(1, 9)]),
    ],
)
def test_times_are_round_and_in_utc(hours, expected):
    one = plot(x=(START_MS, START_MS + hours * HOUR_MS))
    one.times()
    assert texts(one) == expected


@pytest.mark.parametrize("years", [1, 5, 30])
def test_long_times_are_months_and_few(years):
    one = plot(x=(START_MS, START_MS + years * 8766 * HOUR_MS))
    one.times()
    assert 2 <= len(texts(one)) <= 32
    assert all(len(text) == len("2025-01") for text in texts(one))


def test_unlabelled_times_are_lines_only():
    one = plot(x=(START_MS, START_MS + 6 * HOUR_MS))
    one.times(labelled=False)
    assert texts(one) == []
    assert sum(tag == "line" for tag, _, _ in drawn(one)) == 7


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 10.0, [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]),
        (0.44, 0.56, [0.44, 0.46, 0.48, 0.5, 0.52, 0.54, 0.56]),
        (-3.0, 4.0, [-2.0, 0.0, 2.0, 4.0]),
        (1e-7, 5e-7, [1e-7, 2e-7, 3e-7, 4e-7, 5e-7]),
    ],
)
def test_ticks_are_round_and_within(low, high, expected):
    assert ticks(low, high) == pytest.approx(expected)


def test_heights_have_the_digits_that_their_distance_asks_for():
    one = plot(y=(100_000.0, 104_000.0))
    one.heights()
    assert texts(one) == ["100,000", "101,000", "102,000", "103,000", "104,000"]
    one = plot(y=(-0.1, 0.1))
    one.heights("%")
    assert texts(one) == ["-0.10%", "-0.05%", "0.00%", "0.05%", "0.10%"]


@pytest.mark.parametrize("value", [0.0, 5e-324, 1e-9, 0.5, 97_000.0, -3.0])
def test_one_value_alone_has_a_frame(value):
    one = plot(x=(START_MS, START_MS), y=(value, value))
    one.times()
    one.heights()
    one.line([START_MS], [value], "s1")
    assert paths(one) == ["M500 500h0"]
    assert "nan" not in one.svg() and "inf" not in one.svg()


def test_bounds_hold_what_is_finite():
    low, high = spread([1.0, np.nan], [[2.0, np.inf]], margin=0.1)
    assert (low, high) == pytest.approx((0.9, 2.1))
    assert spread([np.nan]) == (0.0, 1.0)


def test_a_legend_shows_each_mark_beside_its_text():
    shown = legend([("line s1", "a & b"), ("dot f1", "c"), ("tick s1", "d"), ("box f2", "e")])
    root = ElementTree.fromstring(shown)  # noqa: S314  (our own)
    assert ["".join(item.itertext()).strip() for item in root] == ["a & b", "c", "d", "e"]
    assert [len(item.findall("svg/*")) for item in root] == [1, 1, 1, 1]
