"""Says whose fault an unexpected error is: ours, or that of another package's plug-in."""

from __future__ import annotations

import traceback

from swtformer.settings import REGISTRIES

OURS = __name__.partition(".")[0]


def explain(error: Exception) -> str:
    """The last line about an unexpected error, whose traceback stands above it.

    The plug-in that was running is named: the innermost whose method, or else whose package, has a line in
    the traceback. Where none was, all loaded plug-ins of other packages are, since the error may come from
    what one of them returned.
    """
    plugins = {
        plugin: f"{section} {name!r} ({plugin.__module__})"
        for section, registry in REGISTRIES.items()
        for name, plugin in registry.loaded().items()
        if _package(plugin.__module__) != OURS
    }
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)][::-1]
    foreign = [frame for frame in frames if _package(frame.f_globals.get("__name__", "")) != OURS]
    what = f"{type(error).__name__}: {error}".rstrip(": ")
    for frame in foreign:
        owner = frame.f_locals.get("self", frame.f_locals.get("cls"))
        kind = owner if isinstance(owner, type) else type(owner)
        if kind in plugins:
            return f"The {plugins[kind]} failed: {what}. The lines above say where."
    packages = {_package(plugin.__module__) for plugin in plugins}
    modules = [frame.f_globals.get("__name__", "") for frame in frames]
    if helper := next((module for module in modules if _package(module) in packages), None):
        return f"{helper}, which comes with a plug-in, failed: {what}. The lines above say where."
    if plugins:
        return (
            f"{type(error).__name__}. Look first at what these return: {', '.join(plugins.values())}. "
            "If it is not their fault, please report it with the lines above."
        )
    return f"{type(error).__name__}. This is a bug: please report it with the lines above."


def _package(module: str) -> str:
    return module.partition(".")[0]
