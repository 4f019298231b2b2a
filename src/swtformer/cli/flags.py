"""Flags derived from the settings, and settings put together from a run, a file and flags."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

from cyclopts import Group, Parameter
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from swtformer.settings import CHOSEN_BY, REGISTRIES, Settings, merge, read_settings, validate
from swtformer.settings.plain_text import alternatives, is_tuple, plain_value

Result = TypeVar("Result")

ALIASES = {"data.strict": "--strict"}
"""Short spellings of settings that are asked for often."""

VERBOSE = Annotated[
    bool | None,
    Parameter(name=["--verbose", "-v"], negative=(), help="Show library messages and tracebacks."),
]
"""The flag that every command has."""

ARGUMENTS = ("data", "decision", "format", "only", "out", "ray", "resume", "seeds", "size", "source", "until")
"""Arguments of functions that messages name in backticks, and that are flags of the commands."""

_BOOLEAN_WORDS = frozenset({"true", "false", "yes", "no", "t", "f", "y", "n", "1", "0"})
_METAVARS = {int: "INT", float: "NUMBER", str: "TEXT", Path: "PATH"}


def with_settings(*sections: str) -> Callable[[Callable[..., Result]], Callable[..., Result]]:
    """Give a command one flag per field of some sections of the settings.

    The command receives those that the user gave as keyword arguments `section__field`, as plain text (or
    bool): `gather` checks them all together. Every command gets `--verbose` as well, which `entry` acts on.

    Args:
        sections: names of fields of Settings, `seed` among them; with `data` come the options of its reader.
    """

    def decorate(command: Callable[..., Result]) -> Callable[..., Result]:
        @functools.wraps(command)
        def call(*args: Any, **kwargs: Any) -> Result:
            given = {name: value for name, value in kwargs.items() if value is not None and name != "verbose"}
            return command(*args, **given)

        own = inspect.signature(command, eval_str=True)
        parameters = [item for item in own.parameters.values() if item.kind is not item.VAR_KEYWORD]
        named = [
            name for section in sections for name in ([section, "reader"] if section == "data" else [section])
        ]
        for order, section in enumerate(named, start=1):
            parameters += _section_parameters(section, order)
        parameters.append(
            inspect.Parameter("verbose", inspect.Parameter.KEYWORD_ONLY, annotation=VERBOSE, default=None)
        )
        call.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
        call.__annotations__ = {item.name: item.annotation for item in parameters}
        return call

    return decorate


def gather(*, base: Settings | None = None, config: Path | None = None, flags: Mapping[str, Any]) -> Settings:
    """Settings by rising precedence: defaults, the base's, the file's, the flags'.

    Options of a plug-in in the base are dropped where the file or the flags choose another plug-in.

    Args:
        base: settings of a run, which lie below the file and the flags.
        config: YAML file; only the values that it holds count.
        flags: `section__field` and text, as a command decorated by `with_settings` receives them.

    Raises:
        SettingsError: unknown keys or wrong values, all of one source at once.
    """
    values: dict[str, Any] = {} if base is None else base.model_dump(mode="json")
    over = given(config=config, flags=flags)
    for section, (owner, field) in CHOSEN_BY.items():
        known = values.get(owner, {}).get(field)
        if over.get(owner, {}).get(field, known) != known:
            values[section] = {}
    settings = validate(Settings, merge(values, over), where="command line")
    # Their types are imported only where there are options to check. Which reader "auto" is shows when the
    # data set is opened.
    checked = {
        section: settings.plugin_options(section).model_dump(mode="json", exclude_unset=True)
        for section, (owner, field) in CHOSEN_BY.items()
        if over.get(section) and getattr(getattr(settings, owner), field) != "auto"
    }
    return settings.model_copy(update=checked)


def given(*, config: Path | None, flags: Mapping[str, Any]) -> dict[str, Any]:
    """What a file and flags hold, without defaults, as plain nested values; see `gather`.

    Raises:
        SettingsError: unknown keys or wrong values in the file.
    """
    over = {} if config is None else read_settings(config)
    return merge(over, _nested(flags))


def as_flags(section: str, values: Mapping[str, Any], *, base: Mapping[str, Any]) -> list[str]:
    """The flags that turn one version of a section of the settings into another.

    Args:
        section: its name.
        values: what the flags shall give.
        base: what holds where there is no flag.

    Returns:
        Flags and their values in turn, as the user would type them.
    """
    flags: list[str] = []
    for name, value in values.items():
        if name not in base or value != base[name]:
            flags += [f"--{section}.{name}", "none" if value is None else _text(value)]
    return flags


def join_booleans(arguments: Iterable[str], *, also: Iterable[str] = ()) -> list[str]:
    """Turn `--flag false` into `--flag=false`, so that the word does not count as a path.

    Args:
        arguments: the command line.
        also: boolean flags besides those of the settings.
    """
    names = {
        *also,
        *ALIASES.values(),
        *(name for dotted, field in _fields() if field.annotation is bool for name in _spellings(dotted)),
    }
    joined: list[str] = []
    for argument in arguments:
        if argument.lower() in _BOOLEAN_WORDS and joined and joined[-1] in names:
            joined[-1] += f"={argument}"
        else:
            joined.append(argument)
    return joined


def with_dashes(message: str) -> str:
    """A message of the Python API in the words of the command line.

    Messages name a setting as `train.epochs` and an argument as "`out`", which become `--train.epochs` and
    `--out` here. A setting in quotes or before a colon is a line of a settings file and stays.
    """
    return re.sub(_names(), lambda name: f"--{name[1] or name[2]}", message)


@functools.cache
def _names() -> str:
    """Pattern of the settings and the arguments that messages name."""
    settings = [re.escape(dotted) for dotted, _ in _fields()]
    options = rf"(?:{'|'.join(REGISTRIES)})\.[a-z]\w*"
    return rf"(?<![\w./'-])({'|'.join(settings)}|{options})\b(?![:'])|`({'|'.join(ARGUMENTS)})`"


def join_numbers(arguments: Iterable[str]) -> list[str]:
    """Turn `--data.range 0 4095` into `--data.range 0,4095` for the settings that hold several numbers."""
    names = {name for dotted, field in _fields() if _holds_numbers(field) for name in _spellings(dotted)}
    joined: list[str] = []
    is_open = False
    for argument in arguments:
        if is_open and _is_numbers(argument) and joined[-1] not in names:
            joined[-1] += f",{argument}"
            continue
        is_open = argument in names or (is_open and joined[-1] in names and _is_numbers(argument))
        joined.append(argument)
    return joined


def _holds_numbers(field: FieldInfo) -> bool:
    tuples = [each for each in alternatives(field.annotation) if get_origin(each) is tuple]
    return any(alternatives(get_args(each)[0])[0] in (int, float) for each in tuples)


def _is_numbers(text: str) -> bool:
    try:
        return bool([float(part) for part in text.split(",") if part.strip()])
    except ValueError:
        return False


def flag_help(field: FieldInfo) -> str:
    """The values that a setting takes and its default, as in "INT (default 3)"."""
    default = field.get_default(call_default_factory=True)
    values = "true|false" if field.annotation is bool else _metavar(field.annotation)
    return values if default in (None, "", ()) else f"{values} (default {_text(default)})"


def flowing(text: str) -> str:
    """A docstring's paragraphs as one line each, for the terminal to break."""
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n")).strip()


def _spellings(dotted: str) -> list[str]:
    """Flags of a setting: its section as commands are spelled, with hyphens, and as in the settings file."""
    section, dot, name = dotted.rpartition(".")
    return list(dict.fromkeys((f"--{section.replace('_', '-')}{dot}{name}", f"--{dotted}")))


def _fields() -> Iterable[tuple[str, FieldInfo]]:
    for section, info in Settings.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            for name, field in info.annotation.model_fields.items():
                yield f"{section}.{name}", field


@functools.cache  # the commands share sections
def _section_parameters(section: str, order: int) -> list[inspect.Parameter]:
    info = Settings.model_fields[section]
    if section in REGISTRIES:
        return [_options_parameter(section, order)]
    if not (isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel)):
        return [_parameter(section, section, info, None)]
    title = f"{section.replace('_', ' ').capitalize()} settings"
    group = Group(title, help=flowing(info.annotation.__doc__ or ""), sort_key=order)
    return [
        _parameter(f"{section}__{name}", f"{section}.{name}", field, group)
        for name, field in info.annotation.model_fields.items()
    ]


def _parameter(python_name: str, dotted: str, field: FieldInfo, group: Group | None) -> inspect.Parameter:
    """A keyword-only parameter: None where not given, else the user's text, which pydantic checks later."""
    default = field.get_default(call_default_factory=True)
    shown = _text(default)
    names = [*_spellings(dotted), *([ALIASES[dotted]] if dotted in ALIASES else [])]
    shared: dict[str, Any] = {
        "name": names,
        "help": flowing(field.description or ""),
        "show_default": False if default is None else lambda _: shown,
    }
    if group is not None:
        shared["group"] = group
    hint: Any
    if field.annotation is bool:
        negatives = [".no-".join(name.rsplit(".", 1)) for name in _spellings(dotted)]
        hint = Annotated[bool | None, Parameter(**shared, negative=negatives)]
    else:
        annotation = list[str] if is_tuple(field.annotation) else str
        shared |= {"negative": (), "metavar": _metavar(field.annotation), "allow_leading_hyphen": True}
        hint = Annotated[annotation | None, Parameter(**shared)]
    return inspect.Parameter(python_name, inspect.Parameter.KEYWORD_ONLY, annotation=hint, default=None)


def _options_parameter(section: str, order: int) -> inspect.Parameter:
    """A keyword-only parameter for all options of a plug-in, which only the plug-in knows."""
    kind = REGISTRIES[section].kind
    description = f"--{section}.NAME VALUE: option of the {kind}; `swtformer plugins {section}` lists them."
    group = Group(f"{section.capitalize()} settings", sort_key=order)
    hint = Annotated[
        dict[str, str] | None,
        Parameter(name=f"--{section}", help=description, group=group, allow_leading_hyphen=True, negative=()),
    ]
    return inspect.Parameter(section, inspect.Parameter.KEYWORD_ONLY, annotation=hint, default=None)


def _nested(flags: Mapping[str, Any]) -> dict[str, Any]:
    known = dict(_fields()) | {"seed": Settings.model_fields["seed"]}
    nested: dict[str, Any] = {}
    for name, text in flags.items():
        if name in REGISTRIES:
            nested[name] = text
            continue
        dotted = name.replace("__", ".", 1)
        section, _, key = dotted.rpartition(".")
        owner = nested.setdefault(section, {}) if section else nested
        owner[key] = plain_value(text, known[dotted].annotation)
    return nested


def _metavar(annotation: Any) -> str:
    first = alternatives(annotation)[0]
    if get_origin(first) is tuple:
        inner = get_args(first)
        count = "..." if inner[-1] is Ellipsis else ""
        return ",".join(_metavar(item) for item in inner if item is not Ellipsis) + f",{count}" * bool(count)
    if get_origin(first) is Literal:
        return "|".join(str(option) for option in get_args(first))
    return _METAVARS[first]


def _text(value: Any) -> str:
    """A default as the user would type it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list):
        return ",".join(_text(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
