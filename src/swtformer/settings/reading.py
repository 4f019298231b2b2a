"""Settings from plain values and YAML files and back, every mistake answered at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from swtformer.errors import SettingsError, nearest
from swtformer.settings.sections import Settings

S = TypeVar("S", bound=BaseModel)


def validate(model: type[S], values: Mapping[str, Any], *, where: str) -> S:
    """Build settings from plain values and answer every mistake at once.

    Args:
        model: the section, or Settings itself.
        values: nested plain values, as YAML gives them.
        where: file or command that the values came from, named in the message.

    Raises:
        SettingsError: unknown keys (with the nearest right one) and wrong values, one line each.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        lines = [_explain(model, item) for item in _own_errors(error)]
        raise SettingsError(f"{where}:\n" + "\n".join(f"  {line}" for line in lines)) from None


def _own_errors(error: ValidationError) -> list[Any]:
    """Without those that only follow from others: a list counts as too short when its items are refused."""
    items: list[Any] = list(error.errors())
    lists = {item["loc"][:-1] for item in items}
    return [item for item in items if item["type"] != "too_short" or item["loc"] not in lists]


def _explain(model: type[BaseModel], item: Any) -> str:
    """One line for one pydantic error."""
    location = [str(part) for part in item["loc"]]
    name = ".".join(location)
    if location and isinstance(item["loc"][-1], int):
        name = f"{'.'.join(location[:-1])} (item {item['loc'][-1] + 1})"
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


def read_settings(path: Path) -> dict[str, Any]:
    """Plain nested values of a YAML settings file, checked for unknown keys and wrong values.

    Raises:
        SettingsError: the file is missing, is no YAML mapping, or holds mistakes (all of them listed).
    """
    import yaml

    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path}: is not UTF-8 text.") from None
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SettingsError(f"{path}: is not valid YAML: {error}") from None
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise SettingsError(f"{path}: expected sections such as 'train:', got {type(values).__name__}.")
    return validate(Settings, values, where=str(path)).model_dump(exclude_unset=True, mode="json")


def dump_settings(settings: Settings) -> str:
    """YAML text of all settings; `read_settings` gives the same settings back."""
    import yaml

    return yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
