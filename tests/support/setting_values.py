"""One setting at a time, through the whole of the settings as a file or flag gives it."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from swtformer.settings import Settings

NOT_FINITE = (float("inf"), float("-inf"), float("nan"))


def with_value(place: str, value: Any) -> Any:
    """What a setting, named by section and field, holds after it was given a value."""
    *section, field = place.split(".")
    values = {section[0]: {field: value}} if section else {field: value}
    settings = Settings.model_validate(values)
    return getattr(getattr(settings, section[0]) if section else settings, field)


def require_limit(place: str, allowed: Any, refused: Any, *, match: str) -> None:
    """Require that a setting takes the last value on one side of a limit and refuses one beyond it."""
    assert with_value(place, allowed) == allowed
    with pytest.raises(ValidationError, match=match):
        with_value(place, refused)


def require_closed(place: str, value: Any) -> None:
    """Require that a setting is one of several names, and that this is none of them."""
    with pytest.raises(ValidationError, match=r"Input should be '?.* or "):
        with_value(place, value)
