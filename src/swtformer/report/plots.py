"""Line plots as inline SVG that follow the page's colours, light or dark."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

WIDTH, HEIGHT = 400, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 108, 14, 36
_LABEL_GAP = 13.0

COLOURS = 6
"""Lines of a plot with colours of their own: the classes line-0, line-1 … of report.css."""


@dataclass(frozen=True)
class Series:
    """One line of a plot.

    Attributes:
        name: written at the end of the line.
        points: (x, y), finite, x rising.
        style: CSS class of the line, which gives its colour.
    """

    name: str
    points: tuple[tuple[float, float], ...]
    style: str


def line_plot(series: Sequence[Series], *, title: str, x_label: str, most: float | None = None) -> Markup:
    """Draw lines that share both axes, each named at its end.

    Args:
        series: at least one, each with at least one point; one point is drawn as a dot.
        title: what the plot shows, for screen readers.
        x_label: name of the horizontal axis.
        most: where the vertical axis ends at the latest, such as 100 %; values are not above it.

    Returns:
        An `svg` element that scales with the page.
    """
    points = [point for line in series for point in line.points]
    x_low, x_high = min(x for x, _ in points), max(x for x, _ in points)
    if x_low == x_high:
        x_low, x_high = x_low - 0.5, x_high + 0.5
    y_ticks = ticks(min(y for _, y in points), max(y for _, y in points), count=5)
    if most is not None:
        y_ticks = [value for value in y_ticks if value < most] + [most] * (y_ticks[-1] >= most)
    y_low, y_high = y_ticks[0], y_ticks[-1]
    form = tick_format(y_ticks)

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - x_low) / (x_high - x_low)
        up = (y - y_low) / (y_high - y_low)
        return _LEFT + across * (WIDTH - _LEFT - _RIGHT), HEIGHT - _BOTTOM - up * (HEIGHT - _TOP - _BOTTOM)

    svg = ET.Element(
        "svg",
        {
            "viewBox": f"0 0 {WIDTH} {HEIGHT}",
            "role": "img",
            "class": "plot",
            "aria-label": _spoken(title, series),
        },
    )
    for value in y_ticks:
        _, y = place(x_low, value)
        _line(svg, (_LEFT, y), (WIDTH - _RIGHT, y), "axis" if value == y_ticks[0] else "grid")
        _text(svg, (_LEFT - 7, y + 4), form(value), "end")
    for value in whole_ticks(x_low, x_high):
        x, y = place(value, y_low)
        _line(svg, (x, y), (x, y + 4), "axis")
        _text(svg, (x, y + 17), f"{value:g}", "middle")
    _text(svg, ((_LEFT + WIDTH - _RIGHT) / 2, HEIGHT - 4), x_label, "middle", "name")
    for line in series:
        drawn = [place(x, y) for x, y in line.points]
        if len(drawn) > 1:
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in drawn)
            ET.SubElement(svg, "polyline", {"points": path, "class": f"line {line.style}"})
        x, y = drawn[-1]
        ET.SubElement(
            svg, "circle", {"cx": f"{x:.1f}", "cy": f"{y:.1f}", "r": "2.6", "class": f"dot {line.style}"}
        )
    ends = [place(*line.points[-1])[1] for line in series]
    for line, y in zip(series, spread(ends, gap=_LABEL_GAP, low=_TOP, high=HEIGHT - _BOTTOM), strict=True):
        _text(svg, (WIDTH - _RIGHT + 8, y + 4), line.name, "start", f"label {line.style}")
    # Built as a tree, so that every text is escaped.
    return Markup(ET.tostring(svg, encoding="unicode"))


def ticks(low: float, high: float, *, count: int) -> list[float]:
    """Round values, evenly spaced, that enclose [low, high]: about `count`, in steps of 1, 2 or 5 × 10^n."""
    if low == high:
        spread_by = abs(low) / 2 or 0.5
        low, high = low - spread_by, high + spread_by
    step = _round_step((high - low) / (count - 1))
    # A hair of tolerance keeps 0.3 = 3 × 0.1 from opening another step.
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [index * step for index in range(first, last + 1)]


def whole_ticks(low: float, high: float, *, count: int = 7) -> list[float]:
    """Whole numbers inside [low, high] in round steps."""
    step = max(1.0, _round_step((high - low) / (count - 1)))
    return [index * step for index in range(math.ceil(low / step), math.floor(high / step) + 1)]


def tick_format(values: Sequence[float]) -> Callable[[float], str]:
    """How to write the ticks of an axis: with as few decimals as possible, or powers of ten."""
    step = values[1] - values[0]
    largest = max(abs(value) for value in values)
    if largest < 1e-2 or largest >= 1e5:
        return lambda value: "0" if value == 0 else f"{value:.1e}".replace("e-0", "e-").replace(".0e", "e")
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return lambda value: f"{value:.{decimals}f}"


def spread(positions: Sequence[float], *, gap: float, low: float, high: float) -> list[float]:
    """Push labels apart so that neighbours keep at least `gap`, within [low, high] if they all fit."""
    order = sorted(range(len(positions)), key=lambda index: positions[index])
    placed = [positions[index] for index in order]
    for index in range(1, len(placed)):
        placed[index] = max(placed[index], placed[index - 1] + gap)
    limit = high
    for index in reversed(range(len(placed))):
        placed[index] = max(min(placed[index], limit), low + index * gap)
        limit = placed[index] - gap
    result = [0.0] * len(positions)
    for index, position in zip(order, placed, strict=True):
        result[index] = position
    return result


def _round_step(raw: float) -> float:
    """The smallest of 1, 2, 5 × 10^n that is at least `raw`."""
    power = 10.0 ** math.floor(math.log10(raw))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * (1 - 1e-9))


def _spoken(title: str, series: Sequence[Series]) -> str:
    parts = [f"{line.name} from {line.points[0][1]:.3g} to {line.points[-1][1]:.3g}" for line in series]
    return f"{title}: {'; '.join(parts)}."


def _line(svg: ET.Element, start: tuple[float, float], end: tuple[float, float], style: str) -> None:
    names = ("x1", "y1", "x2", "y2")
    ends = {name: f"{value:.1f}" for name, value in zip(names, (*start, *end), strict=True)}
    ET.SubElement(svg, "line", {**ends, "class": style})


def _text(svg: ET.Element, at: tuple[float, float], text: str, anchor: str, style: str = "tick") -> None:
    x, y = at
    place = {"x": f"{x:.1f}", "y": f"{y:.1f}", "text-anchor": anchor, "class": style}
    ET.SubElement(svg, "text", place).text = text
