from __future__ import annotations

import pytest

from swtformer.errors import SettingsError
from swtformer.settings import SegmentSettings, Settings, validate


def test_the_ends_of_a_range_may_be_equal() -> None:
    assert SegmentSettings(scale=(0.5, 0.5)).scale == (0.5, 0.5)


def test_a_falling_range_is_refused() -> None:
    with pytest.raises(
        SettingsError, match=r"segment\.scale: expected the smaller one first; write 0\.5,2, got"
    ):
        validate(Settings, {"segment": {"scale": [2, 0.5]}}, where="test")
