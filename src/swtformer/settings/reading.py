"""Settings from YAML files, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from swtformer.errors import SettingsError
from swtformer.settings.sections import Settings
from swtformer.settings.validation import validate

CONFIGS = Path(__file__).parents[1] / "configs"


class _ReferenceError(ValueError):
    """A YAML text that refers to a part of itself."""


def read_settings(path: Path) -> dict[str, Any]:
    """Plain nested values of a YAML settings file, checked for unknown keys and wrong values.

    Args:
        path: the file, or the name of one that comes with the package ("laptop"), unless such a file exists.

    Raises:
        SettingsError: the file is missing, is not a YAML mapping, or holds mistakes (all of them listed).
    """
    values = read_yaml(_shipped(path))
    return validate(Settings, values, where=str(path)).model_dump(exclude_unset=True, mode="json")


def shipped_configs(folder: str = "") -> list[Path]:
    """YAML files that come with the package, in the order of their names.

    Args:
        folder: below `configs`.
    """
    return sorted((CONFIGS / folder).glob("*.yaml"))


def _shipped(path: Path) -> Path:
    """The configuration that a name means; a path as it is."""
    own = CONFIGS / f"{path}.yaml"
    return own if path.name == str(path) and not path.exists() and own.is_file() else path


def read_yaml(path: Path) -> dict[str, Any]:
    """Plain nested values of a YAML file of sections; an empty file has none.

    Raises:
        SettingsError: the file is missing or is not a YAML mapping.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        names = ", ".join(own.stem for own in shipped_configs())
        hint = f" Configurations that come with the package: {names}." if not path.suffix else ""
        raise SettingsError(f"{path}: cannot be read: {error.strerror}.{hint}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path}: is not UTF-8 text.") from None
    try:
        values = parse_yaml(text)
        _require_single_keys(text)
    except ValueError as error:
        raise SettingsError(f"{path}: {error}.") from None
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise SettingsError(f"{path}: expected sections such as 'train:', got {type(values).__name__}.")
    return values


def parse_yaml(text: str | bytes) -> Any:
    """Plain value of a YAML text; no code that it names is run.

    Raises:
        ValueError: the text is not valid YAML, is nested too deeply, or holds an impossible value or a
            reference, by which a few lines can mean gigabytes.
    """
    import yaml

    try:
        for event in yaml.parse(text, yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):
                raise _ReferenceError(f"the reference *{event.anchor} is not read; repeat the value")
        return yaml.safe_load(text)
    except _ReferenceError:
        raise
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    except Exception as error:  # PyYAML raises whatever an odd value of a type makes it raise
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark else ""
        raise ValueError(f"{line}is not valid YAML ({getattr(error, 'problem', None) or error})") from None


def _require_single_keys(text: str) -> None:
    """Refuse a key that is given twice, of which YAML would take the last without a word.

    Raises:
        ValueError: there is one.
    """
    import yaml

    nodes: list[Any] = [yaml.compose(text, yaml.SafeLoader)]
    while nodes:
        node = nodes.pop()
        known = set()
        for key, value in node.value if node is not None and node.id == "mapping" else ():
            if key.value in known:
                raise ValueError(f"line {key.start_mark.line + 1}: {key.value!r} is given twice; keep one")
            known.add(key.value)
            nodes.append(value)


def dump_settings(settings: Settings) -> str:
    """YAML text of all settings; `read_settings` gives the same settings back."""
    import yaml

    return yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
