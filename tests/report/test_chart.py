"""Charts as well-formed SVG with readable axes."""

import itertools
import math
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veriloop.report.chart import (
    HEIGHT,
    LEFT,
    POINTS,
    WIDTH,
    draw_bar,
    draw_interval,
    draw_lines,
    find_ticks,
    spell_tick,
    thin,
)

NUMBERS = st.floats(-1e12, 1e12, allow_subnormal=False)
ANY = st.floats()
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=20)


@given(NUMBERS, NUMBERS, st.integers(2, 9))
def test_ticks_enclose_the_range_at_round_equal_steps(a: float, b: float, count: int) -> None:
    low, high = sorted((a, b))
    ticks = find_ticks(low, high, count)
    slack = 1e-6 * max(abs(low), abs(high))
    assert ticks[0] <= low + slack
    assert ticks[-1] >= high - slack
    assert 2 <= len(ticks) <= 2 * count + 2
    assert list(ticks) == sorted(set(ticks))
    gaps = [right - left for left, right in itertools.pairwise(ticks)]
    assert max(gaps) == pytest.approx(min(gaps), rel=1e-3)


def test_ticks_are_round() -> None:
    assert find_ticks(0, 1) == (0, 0.5, 1)
    assert find_ticks(0.13, 0.87) == (0, 0.2, 0.4, 0.6, 0.8, 1.0)
    assert find_ticks(3, 3)[0] < 3 < find_ticks(3, 3)[-1]
    assert find_ticks(0, 2e-13)[-1] == 2e-13


def test_tick_labels_are_short() -> None:
    assert [spell_tick(value) for value in (0, 0.25, 1000, 12_000, 2_500_000, -3.5)] == [
        "0", "0.25", "1k", "12k", "2.5M", "-3.5",
    ]  # fmt: skip
    assert spell_tick(20_000_000) == "20M"


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=900))
def test_thinning_keeps_the_mean_and_the_order(points: list[tuple[float, float]]) -> None:
    points.sort()
    kept = thin(points)
    assert len(kept) == min(len(points), POINTS)
    assert kept == sorted(kept, key=lambda point: point[0])
    low, high = min(y for _, y in points), max(y for _, y in points)
    assert all(low - 1e-3 <= y <= high + 1e-3 for _, y in kept)


def parse(markup: str) -> ET.Element:
    return ET.fromstring(f"<div>{markup}</div>")


@given(st.dictionaries(NAMES, st.lists(st.tuples(ANY, ANY), max_size=8), max_size=4), NAMES)
def test_any_series_draw_well_formed_lines_inside_the_frame(
    series: dict[str, list[tuple[float, float]]], title: str
) -> None:
    root = parse(draw_lines(title, series))
    assert root.findtext(".//figcaption") == title
    for mark in root.iter("circle"):
        assert LEFT - 0.1 <= float(mark.attrib["cx"]) <= WIDTH
        assert 0 <= float(mark.attrib["cy"]) <= HEIGHT
    usable = [all(math.isfinite(n) and abs(n) < 1e100 for n in point) for points in series.values() for point in points]
    assert len(list(root.iter("circle"))) == sum(usable)


def test_lines_go_up_when_values_do() -> None:
    root = parse(draw_lines("Loss", {"loss": [(1, 1.0), (2, 2.0)], "other": [(1, 0.5)]}, "step"))
    first, second, third = root.iter("circle")
    assert float(first.attrib["cx"]) < float(second.attrib["cx"])
    assert float(first.attrib["cy"]) > float(second.attrib["cy"])
    assert float(third.attrib["cy"]) > float(first.attrib["cy"])
    assert ["".join(item.itertext()) for item in root.iter("li")] == ["loss", "other"]
    assert "step" in [text.text for text in root.iter("text")]


def test_one_series_needs_no_legend_and_none_says_so() -> None:
    assert "legend" not in draw_lines("Loss", {"loss": [(1, 1.0)]})
    assert "No values." in draw_lines("Loss", {"loss": [(1, math.nan)]})


def test_labels_are_escaped() -> None:
    hostile = "<script>alert('x')</script>"
    drawn = draw_lines(hostile, {hostile: [(1, 1)], "b\"'": [(1, 2)]}, hostile)
    assert "<script" not in drawn
    parse(drawn)


@given(ANY.filter(math.isfinite))
def test_bars_never_leave_their_place(share: float) -> None:
    fill = parse(draw_bar(share)).findall(".//rect")[1]
    assert 0 <= float(fill.attrib["width"]) <= 100


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_interval_marks_value_and_range(a: float, b: float, c: float) -> None:
    low, value, high = sorted((a, b, c))
    root = parse(draw_interval(value, low, high))
    line, dot = root.findall(".//line")[-1], root.find(".//circle")
    assert dot is not None
    x1, x2, x = float(line.attrib["x1"]), float(line.attrib["x2"]), float(dot.attrib["cx"])
    assert x1 <= x <= x2
    assert x == pytest.approx(100 * value, abs=0.01)


def test_an_interval_keeps_to_its_scale() -> None:
    root = parse(draw_interval(0.1, -0.9, 0.2, scale=(-0.4, 0.4)))
    line, dot = root.findall(".//line")[-1], root.find(".//circle")
    assert dot is not None and float(dot.attrib["cx"]) == pytest.approx(62.5)
    assert (float(line.attrib["x1"]), float(line.attrib["x2"])) == (0.0, 75.0)
