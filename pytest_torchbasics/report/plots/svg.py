"""SVG as text: the only place of plots that writes markup. All text and every attribute is escaped."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal

from ...results.safe import escape_html

Anchor = Literal["start", "middle", "end"]
Point = tuple[float, float]
#: Longer labels are cut: a figure has no room, and the table beside it has the whole name.
LABEL = 52


def element(tag: str, children: Iterable[str] = (), **attributes: object) -> str:
    """An element around markup that was made here; `stroke_width` becomes `stroke-width`, None is left out.

    Raises:
        ValueError: a coordinate is not finite.
    """
    given = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{_value(value)}"'
        for name, value in attributes.items()
        if value is not None
    )
    inside = "".join(children)
    return f"<{tag}{given}>{inside}</{tag}>" if inside else f"<{tag}{given}/>"


def figure(children: Iterable[str], title: str, description: str, **attributes: object) -> str:
    """The `<svg>` of a plot, which readers of the screen are told of as one picture.

    Args:
        children: what is drawn.
        title: what the plot shows, in a few words.
        description: what can be seen in it.
        attributes: of the element: `viewBox`, or `width` and `height`.
    """
    told = [element("title", [escape_html(title)]), element("desc", [escape_html(description)])]
    kind = "plot scaled" if "viewBox" in attributes else "plot"
    return element("svg", [*told, *children], class_=kind, role="img", **attributes)


def label(x: object, y: float, words: str, anchor: Anchor = "start", tone: str | None = None, **more: object) -> str:
    """Text at a place."""
    return element("text", [escape_html(words)], x=x, y=y, text_anchor=anchor, class_=tone, **more)


def hint(words: str) -> str:
    """What a pointer over the element around it is shown."""
    return element("title", [escape_html(words)])


def line(points: Sequence[Point], tone: str, children: Iterable[str] = (), **more: object) -> str:
    """An open line through points; nothing for fewer than two."""
    if len(points) < 2:
        return ""
    return element("polyline", children, points=_points(points), class_=f"line {tone}", **more)


def area(points: Sequence[Point], tone: str) -> str:
    """A filled shape."""
    return element("polygon", points=_points(points), class_=f"area {tone}")


def mark(x: float, y: float, shape: str, tone: str, words: str = "", size: float = 4) -> str:
    """A mark of a shape (`circle`, `square`, `up`, `down`, `diamond`, `cross`) whose middle is at a place."""
    return element("path", [hint(words)] if words else [], d=shape_path(x, y, shape, size), class_=f"mark {tone}")


def shape_path(x: float, y: float, shape: str, size: float) -> str:
    """The path of a mark."""
    if shape == "circle":
        return f"M{_number(x - size)} {_number(y)}a{size} {size} 0 1 0 {2 * size} 0a{size} {size} 0 1 0 {-2 * size} 0z"
    corners = _SHAPES[shape]
    moves = "L".join(f"{_number(x + size * dx)} {_number(y + size * dy)}" for dx, dy in corners)
    return f"M{moves}z"


def shortened(words: str, most: int = LABEL) -> str:
    """A name that fits: its middle is left out, for its ends tell more."""
    if len(words) <= most:
        return words
    behind = (most - 1) // 2
    return f"{words[: most - 1 - behind]}…{words[-behind:]}"


_SHAPES: dict[str, tuple[Point, ...]] = {
    "square": ((-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)),
    "up": ((0, -1.15), (1.15, 0.95), (-1.15, 0.95)),
    "down": ((0, 1.15), (1.15, -0.95), (-1.15, -0.95)),
    "diamond": ((0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)),
    "left": ((-1.3, 0), (0.6, -1.1), (0.6, 1.1)),
    "right": ((1.3, 0), (-0.6, -1.1), (-0.6, 1.1)),
    "cross": (
        (0, -0.4), (0.7, -1.1), (1.1, -0.7), (0.4, 0), (1.1, 0.7), (0.7, 1.1), (0, 0.4), (-0.7, 1.1), (-1.1, 0.7),
        (-0.4, 0), (-1.1, -0.7), (-0.7, -1.1),
    ),
}  # fmt: skip


def _points(points: Sequence[Point]) -> str:
    return " ".join(f"{_number(x)},{_number(y)}" for x, y in points)


def _value(value: object) -> str:
    return _number(value) if isinstance(value, (int, float)) else escape_html(value)


def _number(value: float) -> str:
    if not math.isfinite(value):
        raise ValueError(f"a coordinate must be finite, found {value!r}")
    text = f"{value:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text
