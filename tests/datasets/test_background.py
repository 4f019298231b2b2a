from __future__ import annotations

import pytest

from swtformer.datasets.background import is_background, warn_of_background
from swtformer.datasets.problems import Problems


@pytest.mark.parametrize(
    "name", ["background", " Background ", "_background_", "__background__", "None", "BG"]
)
def test_names_that_mean_background(name):
    assert is_background(name)


@pytest.mark.parametrize("name", ["", "backgrounds", "cat", "no", "normal", "background noise"])
def test_other_names_are_classes(name):
    assert not is_background(name)


def test_background_is_said_once():
    problems = Problems()
    warn_of_background(["none", "background", "none"], "labels.json: categories", problems)
    warn_of_background([], "other.json", problems)
    (warning,) = problems.warnings
    assert (warning.kind, warning.fatal) == ("background", False)
    assert "labels.json: categories: 'none', 'background' means background" in warning.message
