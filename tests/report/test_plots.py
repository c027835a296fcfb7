"""Plots: well-formed pictures in which values stand where they belong, of any numbers and any names."""

from __future__ import annotations

import dataclasses
import itertools
import math
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_torchbasics.report.document import Tone
from pytest_torchbasics.report.plots import axes, svg
from pytest_torchbasics.report.plots.forest import LEFT, RIGHT, Change, forest, ratio_scale
from pytest_torchbasics.report.plots.history import Moment, history, segments
from pytest_torchbasics.report.plots.roofline import Point, roofline, scales
from pytest_torchbasics.report.plots.samples import Process, ecdf, in_order

NAN = math.nan
NASTY = "<script>alert(1)</script>]]>\"'&\u202e\x00" + "x" * 10_000
numbers = st.floats(allow_nan=True, allow_infinity=True)
times = st.floats(1e-9, 1e3) | st.just(NAN)


def change(
    ratio: float = 1.2, low: float = NAN, high: float = NAN, threshold: float = 0.05, tone: Tone = "bad"
) -> Change:
    return Change("linear · forward · cpu float32", "slower", ratio, low, high, threshold, "▲", tone)


def point(intensity: float = 1.0, rate: float = 1e9, phase: str = "forward") -> Point:
    return Point("linear", phase, intensity, rate)


def moment(seconds: float = 1e-6, changed: str = "", **more: bool) -> Moment:
    return Moment("2026-01-01", "run", seconds, seconds * 0.9, seconds * 1.1, changed=changed, **more)


def process(*seconds: float, side: str = "head") -> Process:
    return Process("run", "base" if side == "base" else "head", seconds)


PLOTS: dict[str, Callable[[], str]] = {
    "forest": lambda: forest([change(), change(0.5, 0.4, 0.6)], "changes"),
    "forest of nothing": lambda: forest([], "changes"),
    "forest without numbers": lambda: forest([change(NAN, NAN, NAN, NAN), change(math.inf), change(0.0)], "changes"),
    "forest of one": lambda: forest([change(1.0)], "changes"),
    "roofline": lambda: roofline([point(), point(4.0, 3e9, "backward")], 1e10, [1e9, 5e9], "roofs"),
    "roofline without roofs": lambda: roofline([point()], None, [], "roofs"),
    "roofline below one slant": lambda: roofline([point()], None, [1e9], "roofs"),
    "roofline of nothing": lambda: roofline([], None, [], "roofs"),
    "ecdf": lambda: ecdf([process(1.0, 2.0, 3.0), process(2.0, 2.0, side="base")], "times"),
    "ecdf of nothing": lambda: ecdf([], "times"),
    "ecdf of one sample": lambda: ecdf([process(1.0), process(), process(NAN)], "times"),
    "in order": lambda: in_order([process(1.0, 20.0, 3.0), process(2.0, side="base")], "times"),
    "in order of nothing": lambda: in_order([process(NAN, NAN)], "times"),
    "history": lambda: history([moment(), moment(2e-6, "torch 1 -> 2"), moment(NAN), moment(marked=True)], "history"),
    "history of nothing": lambda: history([], "history"),
    "history of one": lambda: history([moment()], "history"),
    "history without intervals": lambda: history([Moment("d", "r", 1.0, NAN, NAN)] * 3, "history"),
}


def parsed(text: str) -> ET.Element:
    return ET.fromstring(text)


def classed(root: ET.Element, word: str) -> list[ET.Element]:
    return [found for found in root.iter() if word in (found.get("class") or "").split()]


@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_is_one_picture_with_a_title_and_a_description(name: str) -> None:
    root = parsed(PLOTS[name]())
    assert (root.tag, root.get("role")) == ("svg", "img")
    assert [child.tag for child in list(root)[:2]] == ["title", "desc"]
    assert root[0].text
    assert root[1].text
    assert not {found.tag for found in root.iter()} - {
        "svg", "title", "desc", "g", "line", "rect", "text", "path", "polyline", "polygon",
    }  # fmt: skip
    assert not any(
        "style" in found.attrib or any(key.startswith("on") for key in found.attrib) for found in root.iter()
    )


@pytest.mark.parametrize("name", PLOTS)
def test_all_of_a_scaled_plot_lies_within_its_picture(name: str) -> None:
    root = parsed(PLOTS[name]())
    if root.get("viewBox") is None:
        assert root.get("width") == "100%"
        return
    _, _, width, height = map(float, str(root.get("viewBox")).split())
    for found in root.iter():
        for x in [float(found.get(key, 0)) for key in ("x", "x1", "x2")]:
            assert 0 <= x <= width
        for y in [float(found.get(key, 0)) for key in ("y", "y1", "y2")]:
            assert 0 <= y <= height
        for pair in (found.get("points") or "").split():
            x, y = map(float, pair.split(","))
            assert 0 <= x <= width
            assert 0 <= y <= height


@pytest.mark.parametrize(
    "draw",
    [
        lambda: forest([Change(NASTY, NASTY, 2.0, 1.0, 3.0, 0.1, "▲", "bad")], NASTY),
        lambda: roofline([Point(NASTY, NASTY, 1.0, 1.0)], 2.0, [1.0], NASTY),
        lambda: ecdf([Process(NASTY, "head", (1.0, 2.0))], NASTY),
        lambda: in_order([Process(NASTY, "base", (1.0, 2.0))], NASTY),
        lambda: history([Moment(NASTY, NASTY, 1.0, 1.0, 1.0, NASTY, NASTY, True)] * 2, NASTY),
    ],
)
def test_names_are_text_whatever_they_hold(draw: Callable[[], str]) -> None:
    text = draw()
    root = parsed(text)
    assert "script" not in {found.tag for found in root.iter()}
    assert "\u202e" not in text
    assert "\x00" not in text


def test_a_long_label_keeps_its_ends() -> None:
    text = svg.shortened("tensor/" + "very" * 30 + " · forward · cpu float32")
    assert len(text) == svg.LABEL
    assert text.startswith("tensor/very")
    assert text.endswith("· cpu float32")
    assert svg.shortened("short") == "short"


@given(st.lists(st.tuples(numbers, numbers, numbers, numbers), max_size=5))
def test_a_forest_is_drawn_of_any_numbers(rows: list[tuple[float, float, float, float]]) -> None:
    parsed(forest([change(*row[:3], abs(row[3])) for row in rows], "changes"))


@given(st.lists(st.lists(times, max_size=5), max_size=4))
def test_samples_are_drawn_of_any_times(rows: list[list[float]]) -> None:
    for draw in (ecdf, in_order):
        parsed(draw([process(*row) for row in rows], "times"))
    moments = [moment(value) for row in rows for value in row]
    parsed(history(moments, "history"))
    joined = [position for part in segments(moments) for position in part]
    assert joined == [position for position, one in enumerate(moments) if math.isfinite(one.seconds)]


def test_twice_as_long_is_as_far_from_no_change_as_half_as_long() -> None:
    scale = ratio_scale([change(2.0), change(0.5)])
    middle = (LEFT + RIGHT) / 2
    assert scale(0) == pytest.approx(middle)
    assert scale(1) - middle == pytest.approx(middle - scale(-1))
    assert LEFT <= scale(-1) < scale(1) <= RIGHT


def test_the_rows_of_a_forest_stand_where_their_ratio_is() -> None:
    changes = [change(1.5, 1.4, 1.6, 0.1), change(1.0), change(0.8, tone="good"), change(50.0)]
    scale = ratio_scale(changes)
    root = parsed(forest(changes, "changes"))
    rows = classed(root, "row")
    places = [float(str(row.find("svg").get("x")).rstrip("%")) for row in rows]  # type: ignore[union-attr]
    assert places[:3] == pytest.approx([scale(math.log2(ratio)) for ratio in (1.5, 1, 0.8)], abs=0.01)
    assert places[3] == pytest.approx(RIGHT, abs=0.01)  # a change beyond the plot is drawn at its edge
    bar, *caps = classed(rows[0], "line")
    assert [float(str(bar.get(key)).rstrip("%")) for key in ("x1", "x2")] == pytest.approx(
        [scale(math.log2(1.4)), scale(math.log2(1.6))], abs=0.01
    )
    assert len(caps) == 2
    assert not classed(rows[1], "line")
    band = classed(root, "band")[0]
    start = float(str(band.get("x")).rstrip("%"))
    assert start == pytest.approx(scale(-math.log2(1.1)), abs=0.01)
    assert start + float(str(band.get("width")).rstrip("%")) == pytest.approx(scale(math.log2(1.1)), abs=0.02)


def test_the_verdict_is_told_by_sign_and_number_not_by_colour_alone() -> None:
    texts = ["".join(found.itertext()) for found in parsed(forest([change(1.5)], "changes")).iter("text")]
    assert "▲ +50.0 %" in texts


def test_ticks_of_a_forest_keep_apart() -> None:
    for ratio in (1.02, 1.1, 1.3, 2.0, 7.0, 100.0):
        root = parsed(forest([change(ratio, threshold=0.01)], "changes"))
        places = sorted(float(str(found.get("x")).rstrip("%")) for found in classed(root, "soft"))
        assert len(places) >= 3
        assert all(right - left >= 10 for left, right in itertools.pairwise(places))


def test_scales_keep_the_order_and_the_ends() -> None:
    for scale in (axes.Linear(1, 5, 100, 0), axes.Log(1, 5, 100, 0)):
        places = [scale(value) for value in (1, 2, 3, 4, 5)]
        assert places == sorted(places, reverse=True)
        assert (places[0], places[-1]) == pytest.approx((100, 0))
    assert axes.Linear(3, 3, 0, 10)(3) == 5


@given(st.floats(1e-9, 1e9), st.floats(1.001, 1e12))
def test_ticks_are_within_the_scale(low: float, ratio: float) -> None:
    for scale in (axes.Linear(low, low * ratio, 0, 1), axes.Log(low, low * ratio, 0, 1)):
        ticks = scale.ticks()
        assert 1 <= len(ticks) <= 7
        room = 1e-6 * low * ratio
        assert all(low - room <= tick <= low * ratio + room for tick in ticks)
        assert ticks == sorted(set(ticks))


def test_a_scale_is_logarithmic_where_values_are_far_apart() -> None:
    assert isinstance(axes.fitting([1.0, 2.0, NAN], 0, 1), axes.Linear)
    assert isinstance(axes.fitting([1.0, 20.0], 0, 1), axes.Log)
    assert isinstance(axes.fitting([], 0, 1), axes.Linear)


@pytest.mark.parametrize(
    ("text", "short"),
    [("10.0 µs", "10 µs"), ("1.50 MiB", "1.5 MiB"), ("0.250", "0.25"), ("100 ns", "100 ns"), ("0 s", "0 s")],
)
def test_ticks_are_written_without_zeros_that_say_nothing(text: str, short: str) -> None:
    assert axes.trimmed(text) == short


def test_points_of_a_roofline_lie_below_its_roof() -> None:
    points = [point(0.5, 4e8), point(20.0, 9e9)]
    x, y = scales(points, 1e10, [1e9])
    root = parsed(roofline(points, 1e10, [1e9], "roofs"))
    slant, level = (found for found in classed(root, "roof") if found.tag == "polyline")
    corner = slant.get("points", "").split()[-1]
    assert corner == level.get("points", "").split()[0]  # at 10 FLOP a byte
    assert [float(part) for part in corner.split(",")] == pytest.approx([x(10), y(1e10)], abs=0.1)
    assert all(y(one.flop_rate) > y(min(1e10, 1e9 * one.flop_per_byte)) for one in points)
    assert len(classed(root, "dot")) == 2


def test_the_distribution_ends_at_all_samples() -> None:
    root = parsed(ecdf([process(3.0, 1.0, 2.0, 2.0)], "times"))
    (steps,) = classed(root, "head")
    places = [tuple(map(float, pair.split(","))) for pair in steps.get("points", "").split()]
    assert places == sorted(places, key=lambda place: (place[0], -place[1]))
    assert (places[0][1], places[-1][1]) == (axes.BOX.bottom, axes.BOX.top)


def test_samples_stand_in_their_order_and_many_are_thinned() -> None:
    root = parsed(in_order([process(1.0, 3.0, 2.0)], "times"))
    (steps,) = classed(root, "head")
    (x1, y1), (x2, y2), (x3, y3) = (tuple(map(float, pair.split(","))) for pair in steps.get("points", "").split())
    assert x1 < x2 < x3
    assert y2 < y3 < y1  # the larger, the higher
    many: Sequence[float] = [1.0 + number for number in range(100_000)]
    for draw in (ecdf, in_order):
        assert len(draw([process(*many)], "times")) < 10_000


def test_each_side_has_its_own_line_and_dashes_tell_them_apart() -> None:
    from pytest_torchbasics.report.html import STYLE

    root = parsed(ecdf([process(1.0, 2.0), process(1.0, 2.0, side="base")], "times"))
    assert len(classed(root, "base")) == len(classed(root, "head")) == 1
    assert "svg .line.base { stroke-dasharray" in STYLE


def test_a_history_is_broken_where_something_else_changed_or_a_time_is_missing() -> None:
    moments = [moment(), moment(), moment(changed="torch 1 -> 2"), moment(), moment(NAN), moment()]
    assert segments(moments) == [[0, 1], [2, 3], [5]]
    root = parsed(history(moments, "history"))
    lines = [found for found in classed(root, "line") if found.tag == "polyline"]
    assert [len(found.get("points", "").split()) for found in lines] == [2, 2]
    assert len(classed(root, "break")) == 1
    assert "1" in ["".join(found.itertext()) for found in classed(root, "known")]
    assert len(classed(root, "interval")) == 2
    assert [found.tag for found in classed(root, "mark") if "bad" in str(found.get("class"))] == ["path"]


def test_a_coordinate_that_is_no_number_is_an_error_not_a_broken_picture() -> None:
    with pytest.raises(ValueError, match="must be finite"):
        svg.element("line", x1=NAN)


def test_runs_are_named_where_there_is_room() -> None:
    for count, names in ((1, 1), (2, 2), (3, 3), (6, 2), (7, 3), (30, 3)):
        moments = [dataclasses.replace(moment(), label=f"run {number}") for number in range(count)]
        texts = ["".join(found.itertext()) for found in parsed(history(moments, "history")).iter("text")]
        shown = [text for text in texts if text.startswith("run ")]
        assert len(shown) == names
        assert {shown[0], shown[-1]} == {"run 0", f"run {count - 1}"}
