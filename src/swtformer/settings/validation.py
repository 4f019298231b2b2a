"""Settings from plain values; every mistake is reported at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from swtformer.errors import SettingsError, nearest

S = TypeVar("S", bound=BaseModel)

UNKNOWN_PLUGIN = "unknown_plugin"
"""Type of the pydantic error of a name under which no plug-in is registered."""


def validate(model: type[S], values: Mapping[str, Any], *, where: str, section: str = "") -> S:
    """Build settings from plain values; all mistakes are reported in one error.

    Args:
        model: the section, or Settings itself.
        values: nested plain values, as YAML gives them.
        where: file or command that the values came from, named in the message.
        section: name of the section, where `model` is one.

    Raises:
        SettingsError: unknown keys (with the nearest right one) and wrong values, one line each.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        lines = [_explain(model, item, section) for item in _own_errors(error)]
        raise SettingsError(f"{where}:\n" + "\n".join(f"  {line}" for line in lines)) from None


def _own_errors(error: ValidationError) -> list[Any]:
    """Without those that only follow from others: a list counts as too short when its items are refused."""
    items: list[Any] = list(error.errors())
    lists = {item["loc"][:-1] for item in items}
    return [item for item in items if item["type"] != "too_short" or item["loc"] not in lists]


def _explain(model: type[BaseModel], item: Any, section: str) -> str:
    """One line for one pydantic error."""
    location = [str(part) for part in item["loc"]]
    prefix = [section] if section else []
    name = ".".join(prefix + location)
    if location and isinstance(item["loc"][-1], int):
        name = f"{'.'.join(prefix + location[:-1])} (item {item['loc'][-1] + 1})"
    if item["type"] == UNKNOWN_PLUGIN:
        return f"{name}: {item['msg']}"
    if item["type"] == "extra_forbidden":
        owner = _section(model, location[:-1])
        return f"unknown setting {name!r}. {nearest(location[-1], owner.model_fields)}"
    given = item["input"]
    if item["type"] == "literal_error":
        allowed = item["ctx"]["expected"].replace(" or ", ", ")
        options = [option.strip().strip("'") for option in allowed.split(",")]
        return f"{name}: {given!r} is not one of {allowed}. {nearest(str(given), options)}"
    return f"{name}: {item['msg'][0].lower() + item['msg'][1:]}, got {given!r}"


def _section(model: type[BaseModel], location: list[str]) -> type[BaseModel]:
    for part in location:
        field = model.model_fields.get(part)
        if field is None or not isinstance(field.annotation, type):
            return model
        if issubclass(field.annotation, BaseModel):
            model = field.annotation
    return model


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Nested plain values of `base` with those of `over` put on top, section by section."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            merged[key] = merge(below, value)
        else:
            merged[key] = value
    return merged
