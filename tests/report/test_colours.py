import numpy as np

from swtformer.report.colours import css, map_colours, map_gradient


def test_ends_are_those_of_inferno():
    # First and last rows of matplotlib's _cm_listed._inferno_data, times 255.
    assert map_colours(np.array([0.0, 1.0])).round().tolist() == [[0, 0, 4], [252, 255, 164]]


def test_values_out_of_range_are_clipped():
    assert np.array_equal(map_colours(np.array([-1.0, 2.0])), map_colours(np.array([0.0, 1.0])))


def test_lightness_rises_in_even_steps():
    colours = map_colours(np.linspace(0, 1, 21)) / 255
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    lightness = np.where(luminance > 0.008856, 116 * np.cbrt(luminance) - 16, 903.3 * luminance)
    steps = np.diff(lightness)
    assert lightness[-1] > 95
    assert steps.min() > 2
    assert steps.max() < 7.5


def test_shape_is_kept():
    assert map_colours(np.zeros((4, 5))).shape == (4, 5, 3)


def test_css():
    assert css(np.array([192, 0, 128])) == "#c00080"
    assert map_gradient(2) == "#000004, #fcffa4"
