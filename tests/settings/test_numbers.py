from __future__ import annotations

import pytest

from swtformer.errors import SettingsError
from swtformer.settings import SegmentSettings, Settings, validate


def test_the_ends_of_a_range_may_be_equal() -> None:
    assert SegmentSettings(scale=(0.5, 0.5)).scale == (0.5, 0.5)


@pytest.mark.parametrize(
    ("section", "name", "ends", "right"),
    [("segment", "scale", [2, 0.5], r"0\.5,2"), ("train", "long_side_px", [640, 320], "320,640")],
)
def test_a_falling_range_is_refused(section: str, name: str, ends: list[float], right: str) -> None:
    with pytest.raises(SettingsError, match=rf"{section}\.{name}: expected the smaller .*write {right}, got"):
        validate(Settings, {section: {name: ends}}, where="test")
