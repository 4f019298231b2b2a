from __future__ import annotations

import pytest

from swtformer.errors import SettingsError
from swtformer.settings import Settings, validate


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(?P<label>[a-z", "is not a regular expression"),
        ("(" * 3000, "is not a regular expression"),
        ("a{99999999999}", "is not a regular expression"),
        ("([a-z]+)_", "has no group named label"),
    ],
)
def test_patterns_are_checked_with_the_settings(pattern, message):
    with pytest.raises(SettingsError, match=rf"data\.pattern.*{message}"):
        validate(Settings, {"data": {"pattern": pattern}}, where="x.yaml")


def test_a_pattern_is_kept_as_it_is():
    settings = validate(Settings, {"data": {"pattern": "^(?P<label>[a-z]+)"}}, where="x.yaml")
    assert settings.data.pattern == "^(?P<label>[a-z]+)"
