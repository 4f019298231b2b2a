import itertools
import xml.etree.ElementTree as ET

import pytest

from swtformer.report.plots import HEIGHT, WIDTH, Series, line_plot, spread, tick_format, ticks, whole_ticks

SVG = "{http://www.w3.org/2000/svg}"


def plot(*series, title="Losses"):
    return ET.fromstring(line_plot(series, title=title, x_label="Epoch"))


def texts(svg):
    return [element.text for element in svg.iter("text")]


def test_points_land_where_the_axes_say():
    svg = plot(Series("a", ((1, 0.0), (2, 0.5), (3, 1.0)), "line-0"))
    points = [tuple(map(float, pair.split(","))) for pair in svg.find("polyline").get("points").split()]
    (x0, y0), (x1, y1), (x2, y2) = points
    assert x1 - x0 == pytest.approx(x2 - x1)
    assert y0 - y1 == pytest.approx(y1 - y2, abs=0.11)
    assert y0 > y2, "larger values stand higher"
    ends = {text.text: float(text.get("y")) for text in svg.iter("text") if text.get("text-anchor") == "end"}
    assert ends["0.0"] == pytest.approx(y0 + 4, abs=0.06)
    assert ends["1.0"] == pytest.approx(y2 + 4, abs=0.06)


def test_everything_stays_inside_the_box():
    svg = plot(Series("a", ((1, -3.0), (9, 7.0)), "line-0"), Series("b", ((1, 2.0), (9, 2.1)), "line-1"))
    for text in svg.iter("text"):
        assert 0 <= float(text.get("x")) <= WIDTH
        assert 0 <= float(text.get("y")) <= HEIGHT


def test_lines_are_named_and_spoken():
    svg = plot(Series("CLS", ((1, 0.4), (2, 0.2)), "line-0"), Series("GSC", ((1, 0.3), (2, 0.1)), "line-1"))
    assert {"CLS", "GSC", "Epoch"} <= set(texts(svg))
    assert svg.get("role") == "img"
    assert svg.get("aria-label") == "Losses: CLS from 0.4 to 0.2; GSC from 0.3 to 0.1."


def test_names_are_escaped():
    text = line_plot([Series("<b>", ((1, 0.4),), "line-0")], title='"><script>', x_label="&")
    assert "<script>" not in text
    assert "<b>" not in text
    ET.fromstring(text)


def test_one_point_is_a_dot():
    svg = plot(Series("a", ((1, 0.4),), "line-0"))
    assert svg.find("polyline") is None
    assert svg.find("circle") is not None
    assert "1" in texts(svg)


def test_shares_end_at_the_most_that_there_is():
    lines = [Series("a", ((1, 100.0),), "line-0")]
    svg = ET.fromstring(line_plot(lines, title="mAP", x_label="Epoch", most=100.0))
    numbers = [float(text) for text in texts(svg) if text.replace(".", "").isdigit()]
    assert max(numbers) == 100
    low = [Series("a", ((1, 10.0), (2, 12.0)), "line-0")]
    assert "100" not in texts(ET.fromstring(line_plot(low, title="mAP", x_label="Epoch", most=100.0)))


def test_a_flat_line_has_an_axis():
    svg = plot(Series("a", ((1, 0.0), (2, 0.0)), "line-0"))
    assert len([text for text in svg.iter("text") if text.get("text-anchor") == "end"]) >= 3


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.5, 1]),
        (0.03, 0.79, [0, 0.2, 0.4, 0.6, 0.8]),
        (62, 94, [60, 70, 80, 90, 100]),
        (-3, 7, [-5, 0, 5, 10]),
        (0, 6e-5, [0, 2e-5, 4e-5, 6e-5]),
    ],
)
def test_ticks_are_round_and_enclose(low, high, expected):
    assert ticks(low, high, count=5) == pytest.approx(expected)


def test_whole_ticks_are_whole_and_inside():
    assert whole_ticks(1, 5) == [1, 2, 3, 4, 5]
    assert whole_ticks(1, 30) == [5, 10, 15, 20, 25, 30]
    assert whole_ticks(0.5, 1.5) == [1]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 0.2, 0.4], ["0.0", "0.2", "0.4"]),
        ([0.0, 0.05, 0.1], ["0.00", "0.05", "0.10"]),
        ([60.0, 70.0], ["60", "70"]),
        ([0.0, 2e-5, 4e-5], ["0", "2e-5", "4e-5"]),
        ([0.0, 5e-6, 1.5e-5], ["0", "5e-6", "1.5e-5"]),
        ([0.0, 2e10], ["0", "2e+10"]),
    ],
)
def test_tick_format(values, expected):
    form = tick_format(values)
    assert [form(value) for value in values] == expected


def test_spread_keeps_gap_order_and_limits():
    placed = spread([50, 51, 10, 99], gap=10, low=0, high=100)
    assert placed[2] == 10
    assert sorted(placed) == [placed[2], placed[0], placed[1], placed[3]]
    order = sorted(placed)
    assert all(after - before >= 10 - 1e-9 for before, after in itertools.pairwise(order))
    assert all(0 <= y <= 100 for y in placed)


def test_spread_leaves_distant_labels_alone():
    assert spread([5.0, 80.0, 40.0], gap=10, low=0, high=100) == [5.0, 80.0, 40.0]
