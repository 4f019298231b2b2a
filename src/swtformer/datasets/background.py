"""Which class or category names mean background: one rule for readers, imports and exporters."""

from __future__ import annotations

from collections.abc import Iterable

from swtformer.datasets.problems import Problems

BACKGROUND_NAMES = frozenset({"background", "_background_", "__background__", "none"})
"""Names (lower case) of classes, categories, folders and labels that mean that no class is there."""


def is_background(name: str) -> bool:
    """Whether a name means background; case and blanks around it make no difference."""
    return name.strip().lower() in BACKGROUND_NAMES


def warn_of_background(names: Iterable[str], where: str, problems: Problems) -> None:
    """Say once which names of a data set are background and not classes.

    Args:
        names: those found, in any order; nothing is said of none.
        where: file and place that they stand in.
        problems: collects the warning.
    """
    found = ", ".join(repr(name) for name in dict.fromkeys(names))
    if found:
        problems.warn("background", f"{where}: {found} means background, so it is not a class.")
