from __future__ import annotations

import sys

import numpy as np
import pytest

from swtformer.errors import SwtformerError
from swtformer.exporters.objects import box_of, objects

LABELS = np.array(
    [
        [2, 0, 2, 255, 0],
        [0, 2, 0, 0, 0],
        [0, 0, 0, 1, 255],
        [2, 2, 0, 1, 0],
    ],
    dtype=np.uint8,
)


def test_the_box_around_a_region() -> None:
    region = np.zeros((5, 7), dtype=bool)
    assert region[box_of(region)].size == 0
    region[1, 3] = region[3, 2] = True
    assert box_of(region) == (slice(1, 4), slice(2, 4))


def test_one_object_per_class_by_rising_value_above_ignored_pixels() -> None:
    found = list(objects(LABELS, "class"))
    assert [value for value, _ in found] == [255, 1, 2]
    for value, region in found:
        assert region.dtype == bool
        np.testing.assert_array_equal(region, value == LABELS)


def test_parts_that_touch_at_a_corner_are_one_object_and_ignored_pixels_always_are() -> None:
    found = list(objects(LABELS, "component"))
    assert [(value, int(region.sum())) for value, region in found] == [(255, 2), (1, 2), (2, 3), (2, 2)]
    painted = np.zeros_like(LABELS)
    for value, region in found:
        assert not painted[region].any()
        painted[region] = value
    np.testing.assert_array_equal(painted, LABELS)


@pytest.mark.parametrize("how", ["class", "component"])
def test_background_is_no_object(how) -> None:
    assert list(objects(np.zeros((3, 4), np.uint8), how)) == []


def test_components_need_scipy_and_classes_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy", None)
    assert len(list(objects(LABELS, "class"))) == 3
    with pytest.raises(SwtformerError, match="component needs scipy: pip install"):
        list(objects(LABELS, "component"))
