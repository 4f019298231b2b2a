"""The page of commands and settings, written from the command line's own parameters.

Where a page holds the line `<!-- commands -->` or `<!-- settings -->`, the text is put in its place.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args

from cyclopts import App, Parameter
from sphinx.application import Sphinx

from swtformer.cli.entry import build_app
from swtformer.cli.flags import flag_help
from swtformer.settings import REGISTRIES
from swtformer.settings.field_help import describe


@dataclass(frozen=True)
class Command:
    """One command: its words on the command line, and the object that knows the rest."""

    name: str
    app: App

    @property
    def parameters(self) -> list[tuple[inspect.Parameter, Parameter]]:
        """What it takes: Python's parameter, and what the command line calls it."""
        taken = inspect.signature(self.app.default_command).parameters.values()
        return [
            (item, next(part for part in get_args(item.annotation) if isinstance(part, Parameter)))
            for item in taken
            if item.name != "verbose"
        ]


def commands(app: App | None = None, prefix: str = "") -> Iterator[Command]:
    """Every command in the order of `swtformer --help`, those below `data` by their two words."""
    app = app or build_app()
    children = {name: app[name] for name in app if not name.startswith("-")}
    for name, child in sorted(children.items(), key=lambda item: item[1].sort_key):
        if child.default_command is None:
            yield from commands(child, f"{name} ")
        else:
            yield Command(prefix + name, child)


def commands_text() -> str:
    """Markdown: for each command its usage, what it does, its arguments and links to its settings."""
    return "\n".join(line for command in commands() for line in _command(command))


def settings_text() -> str:
    """Markdown: every section of the settings with flags, values, defaults and help."""
    lines: list[str] = []
    shown: set[str] = set()
    for command in commands():
        for item, parameter in command.parameters:
            section, dot, _ = item.name.partition("__")
            if not dot or item.name in shown:
                continue
            if section not in {name.partition("__")[0] for name in shown}:
                group = parameter.group[0]
                lines += [f"### {group.name}", "", _plain(group.help), ""]
            shown.add(item.name)
            lines += _definition(item, parameter)
    for section in REGISTRIES:
        lines += _options(section)
    return "\n".join(lines)


def _options(section: str) -> Iterator[str]:
    """The options of every plug-in of a kind, which are one section of the settings."""
    registry = REGISTRIES[section]
    yield f"### {section.capitalize()} settings\n"
    yield f"Options of the {registry.kind} in use.\n"
    for name, plugin in registry.items():
        fields = plugin.settings_type.model_fields
        describe(plugin.settings_type)
        if not fields:
            yield f"`{name}` has no options.\n"
            continue
        yield f"#### {registry.kind.capitalize()} {name}\n"
        for key, field in fields.items():
            values, _, default = flag_help(field).partition(" (default ")
            shown = f" · default `{default.removesuffix(')')}`" if default else ""
            yield f"`--{section}.{key}` `{values}`{shown}"
            yield f": {_plain(' '.join((field.description or '').split()))}\n"


def _command(command: Command) -> Iterator[str]:
    yield f"### {command.name}\n"
    yield f"```text\n{command.app.usage.removeprefix('Usage: ')}\n```\n"
    yield _plain(command.app.help) + "\n"
    sections = []
    for item, parameter in command.parameters:
        section, dot, _ = item.name.partition("__")
        if not dot and section not in REGISTRIES:
            yield from _definition(item, parameter)
        elif section not in sections:
            sections.append(section)
    if sections:
        links = (f"[{name.replace('_', ' ')}](#{name.replace('_', '-')}-settings)" for name in sections)
        yield f"Settings: {', '.join(links)}.\n"


def _definition(item: inspect.Parameter, parameter: Parameter) -> Iterator[str]:
    """One parameter: how it is typed, its values and default, and its help."""
    values = _values(item, parameter)
    default = _default(item, parameter)
    facts = [f"`{values}`"] if values else []
    facts += [f"default `{default}`"] if default else []
    yield f"{_spelling(item, parameter)} {' · '.join(facts)}".rstrip()
    yield f": {_plain(parameter.help or '')}\n"


def _spelling(item: inspect.Parameter, parameter: Parameter) -> str:
    if item.kind is item.POSITIONAL_ONLY:
        return f"`{item.name.upper()}`"
    if item.kind is item.VAR_POSITIONAL:
        return f"`{item.name.upper().removesuffix('S')}...`"
    names = parameter.name or (f"--{item.name.replace('_', '-')}",)
    return ", ".join(f"`{name}`" for name in names)


def _values(item: inspect.Parameter, parameter: Parameter) -> str:
    """The values that a flag takes; nothing for a switch or a path given by position."""
    if item.kind in (item.POSITIONAL_ONLY, item.VAR_POSITIONAL):
        return ""
    if parameter.metavar:
        return parameter.metavar
    options = _literals(item.annotation)
    return "|".join(options)


def _literals(annotation: Any) -> list[str]:
    """The strings of the Literals within an annotation."""
    found: list[str] = []
    for part in get_args(annotation):
        found += [part] if isinstance(part, str) else _literals(part)
    return found


def _default(item: inspect.Parameter, parameter: Parameter) -> str:
    if callable(parameter.show_default):
        return str(parameter.show_default(None))
    return "" if item.default in (None, False, item.empty) else str(item.default)


def _plain(text: str) -> str:
    """Help as Markdown: code stays code, and nothing else is markup."""
    parts = text.split("`")
    for number in range(0, len(parts), 2):
        for character in "\\<*_$[":
            parts[number] = parts[number].replace(character, "\\" + character)
    return "`".join(parts)


def fill_in(app: Sphinx, docname: str, source: list[str]) -> None:
    """Put the texts in place of their marks."""
    for mark, text in (("<!-- commands -->", commands_text), ("<!-- settings -->", settings_text)):
        if mark in source[0]:
            source[0] = source[0].replace(mark, text())


def setup(app: Sphinx) -> dict[str, Any]:
    """Fill pages in while they are read."""
    app.connect("source-read", fill_in)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
