"""What there is to choose from: the command `plugins`."""

from __future__ import annotations

import inspect
from typing import Annotated

from cyclopts import Parameter

from swtformer.cli.flags import flag_help, flowing, with_settings
from swtformer.cli.outcome import Outcome
from swtformer.cli.screen import say
from swtformer.errors import SettingsError, nearest
from swtformer.settings import REGISTRIES, Registry
from swtformer.settings.field_help import describe

COLUMN = 16
"""Width of the column of names."""


@with_settings()
def plugins(
    kind: Annotated[
        str | None, Parameter(help=f"Only these: {', '.join(REGISTRIES)}. They are then described.")
    ] = None,
    name: Annotated[str | None, Parameter(help="One of them, with its options.")] = None,
    /,
) -> Outcome:
    """List the methods, refiners, readers and exporters, those of other packages too, and their options."""
    if kind is None:
        for section, registry in REGISTRIES.items():
            say(f"{section:{COLUMN}}{', '.join(registry)}")
        say("\nswtformer plugins KIND describes those of a kind; swtformer plugins KIND NAME, one's options.")
    elif kind not in REGISTRIES:
        raise SettingsError(f"Unknown kind of plug-in {kind!r}. {nearest(kind, REGISTRIES)}")
    elif name is None:
        for known, plugin in REGISTRIES[kind].loadable():
            package = REGISTRIES[kind].package(known)
            say(f"{known:{COLUMN}}{_summary(plugin)}" + (f" ({package})" if package else ""))
    else:
        _show(REGISTRIES[kind], name)
    return Outcome()


def _show(registry: Registry, name: str) -> None:
    plugin = registry[name]
    say(f"{name}: {_summary(plugin)}")
    section = plugin.settings_type
    describe(section)
    if not section.model_fields:
        say("It has no options.")
    for key, field in section.model_fields.items():
        say(f"\n  --{registry.section}.{key} {flag_help(field)}\n      {flowing(field.description or '')}")


def _summary(plugin: type) -> str:
    """The first sentence of a plug-in's docstring."""
    return flowing(inspect.getdoc(plugin) or "").partition("\n")[0]
