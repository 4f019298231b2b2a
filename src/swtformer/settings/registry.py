"""Plug-ins: methods, refiners, readers and exporters, each one file that registers itself under a name.

The names of our own are read from their source files, those of other packages from their entry points. So a
name is checked, and the nearest one offered, without importing torch; a plug-in is imported when it is used.

Another package adds a plug-in by an entry point in its pyproject.toml, in the group of the kind:

    [project.entry-points."swtformer.methods"]
    focal = "my_package.focal"
"""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic_core import PydanticCustomError

from swtformer.errors import SettingsError, nearest
from swtformer.settings.base import Section
from swtformer.settings.plain_text import plain_value
from swtformer.settings.validation import UNKNOWN_PLUGIN, validate

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


PluginT = TypeVar("PluginT", bound=type[Any])


class NoSettings(Section):
    """The section of a plug-in that has no settings."""


logger = logging.getLogger("swtformer")


class Registry(Mapping[str, Any]):
    """The plug-ins of one kind by name, our own first.

    Looking at names imports nothing; looking up a name imports that plug-in alone. A plug-in is a class with
    `name`, which it was registered under, and `settings_type`, its own section of the settings.

    Attributes:
        kind: what one of them is called in messages ("method").
        group: package of our own plug-ins, and group of the entry points of other packages.
        section: section of the settings that holds the options of the chosen plug-in.
    """

    def __init__(self, kind: str, *, group: str, section: str) -> None:
        self.kind = kind
        self.group = group
        self.section = section
        self._registered: dict[str, type[Any]] = {}

    def register(self, name: str) -> Callable[[PluginT], PluginT]:
        """Class decorator that registers a plug-in.

        Our own plug-ins are found by this line of their source, so the name is a literal string there.

        Raises:
            SettingsError: another plug-in has the name.
        """

        def decorate(plugin: PluginT) -> PluginT:
            known = self._registered.get(name)
            # A notebook cell that is run again defines the same class again.
            if known is not None and _place(known) != _place(plugin):
                raise SettingsError(
                    f"Two plug-ins claim the {self.section} {name!r}: {_place(known)} and {_place(plugin)}. "
                    f'Rename one; {self._variable}.unregister("{name}") forgets the first.'
                )
            if name in self._own and plugin.__module__ != self._own_module(name):
                raise SettingsError(
                    f"The {self.section} {name!r} of {_place(plugin)} has the name of one of ours; rename it."
                )
            plugin.name = name
            self._registered[name] = plugin
            return plugin

        return decorate

    def unregister(self, name: str) -> None:
        """Forget a plug-in that was registered in this process, as a test does with its own."""
        self._registered.pop(name, None)

    def __getitem__(self, name: str) -> type[Any]:
        """The plug-in of a name.

        Raises:
            SettingsError: there is none, two packages claim the name, or the package that announces it cannot
                be imported.
        """
        if name not in self:
            raise SettingsError(self._unknown(name))
        self._require_one_claim(name)
        if name not in self._registered:
            self._load(name)
        return self._registered[name]

    def __contains__(self, name: object) -> bool:
        return name in self._registered or name in self._own or name in self._entry_points

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys((*self._own, *self._entry_points, *self._registered)))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def loaded(self) -> Mapping[str, type[Any]]:
        """The plug-ins that were imported so far, by name."""
        return dict(self._registered)

    def package(self, name: str) -> str:
        """The installed package that announces a plug-in; "" for our own and those of this process alone."""
        points = () if name in self._own else self._entry_points.get(name, ())
        return _package(points[0]) if points else ""

    def loadable(self) -> Iterator[tuple[str, type[Any]]]:
        """All plug-ins by name; one of another package that cannot be imported is skipped with a warning."""
        for name in self:
            try:
                yield name, self[name]
            except SettingsError as error:
                logger.warning("%s", error)

    def check(self, name: str) -> str:
        """Pydantic validator of a setting that holds a name."""
        if name not in self:
            raise PydanticCustomError(UNKNOWN_PLUGIN, "{message}", {"message": self._unknown(name)})
        return name

    def options(
        self, name: str, values: Section | Mapping[str, Any] | None, *, where: str = "settings"
    ) -> Any:
        """The options of a plug-in: an instance of its `settings_type`.

        Args:
            name: of the plug-in.
            values: what was set, as YAML or the text of flags gives it; the rest has its default. Options in
                the plug-in's own type are returned as they are.
            where: file or command that the values came from, named in the message.

        Raises:
            SettingsError: there is no such plug-in or option, or a value is wrong.
        """
        if isinstance(values, Section):
            return values
        section = self[name].settings_type
        fields = section.model_fields
        plain = {
            key: plain_value(value, fields[key].annotation) if key in fields else value
            for key, value in (values or {}).items()
        }
        return validate(section, plain, where=f"{where}, {self.kind} {name!r}", section=self.section)

    def _unknown(self, name: str) -> str:
        hint = nearest(name, list(self))
        more = (
            ""
            if hint.startswith("Did")
            else " If it is a plug-in, install or import the package that registers it."
        )
        return f"Unknown {self.kind} {name!r}. {hint}{more}"

    def _require_one_claim(self, name: str) -> None:
        points = self._entry_points.get(name, ())
        claims = sorted(f"{point.value} (package {_package(point)})" for point in points)
        if name in self._own:
            claims.insert(0, self._own_module(name))
        if len(claims) > 1:
            raise SettingsError(
                f"Two plug-ins claim the {self.section} {name!r}: {' and '.join(claims)}. Rename one, or "
                "uninstall its package."
            )

    def _load(self, name: str) -> None:
        if name in self._own:
            place = self._own_module(name)
            import_module(place)
        else:
            (point,) = self._entry_points[name]
            place = f"{point.value} (package {_package(point)})"
            try:
                loaded = point.load()
            except Exception as error:  # whatever the code of another package raises
                raise SettingsError(
                    f"The {self.section} {name!r} cannot be imported from {place}: {error!r}."
                ) from error
            if isinstance(loaded, type) and name not in self._registered:
                self.register(name)(loaded)
        if name not in self._registered:
            raise SettingsError(
                f"The {self.section} {name!r} should be in {place}, which registers none of this name; "
                f'compare @{self._variable}.register("…") there.'
            )

    @property
    def _variable(self) -> str:
        """What the registry is called in code, for messages."""
        return f"{self.section.upper()}S"

    def _own_module(self, name: str) -> str:
        return f"{self.group}.{self._own[name]}"

    @functools.cached_property
    def _own(self) -> dict[str, str]:
        """Modules of our own plug-ins by name."""
        pattern = re.compile(r'^@[A-Z]+\.register\("([^"]+)"\)', re.MULTILINE)
        spec = find_spec(self.group)
        folders = [] if spec is None else spec.submodule_search_locations or []
        return {
            name: file.stem
            for folder in folders
            for file in sorted(Path(folder).glob("*.py"))
            for name in pattern.findall(file.read_text(encoding="utf-8"))
        }

    @functools.cached_property
    def _entry_points(self) -> dict[str, list[EntryPoint]]:
        """Entry points of other packages by name; those of more than one place are in dispute."""
        from importlib.metadata import entry_points  # with all of `email`, a tenth of the time of `--help`

        points: dict[str, list[EntryPoint]] = {}
        for point in entry_points(group=self.group):
            known = points.setdefault(point.name, [])
            if point.value not in [other.value for other in known]:
                known.append(point)
        return points

    @property
    def own_names(self) -> tuple[str, ...]:
        """Names of our own plug-ins; other packages are not looked at."""
        return tuple(self._own)


def _place(plugin: type) -> str:
    return f"{plugin.__module__}.{plugin.__qualname__}"


def _package(point: EntryPoint) -> str:
    return "unknown" if point.dist is None else point.dist.name


METHODS = Registry("method", group="swtformer.methods", section="method")
"""Networks that are trained on image-level labels and make maps."""
REFINERS = Registry("refiner", group="swtformer.refiners", section="refiner")
"""What makes maps follow the edges of the images."""
READERS = Registry("format", group="swtformer.readers", section="reader")
"""Readers of data sets."""
EXPORTERS = Registry("format", group="swtformer.exporters", section="exporter")
"""Formats in which masks are exchanged with other tools."""
REGISTRIES = {registry.section: registry for registry in (METHODS, REFINERS, READERS, EXPORTERS)}
"""Registries by the section of the settings that holds their plug-ins' options."""
