"""Which names mean that no class is there: one rule for readers, imports and exporters."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # problems are of records, whose masks have colours that mean background
    from swtformer.datasets.problems import Problems

BACKGROUND_NAMES = frozenset({"background", "_background_", "__background__", "bg", "none"})
"""Names (lower case) of classes, categories, folders and labels that mean that no class is there."""

NOTHING_WORDS = (
    *("no finding", "no findings", "no abnormality", "normal", "unremarkable", "nothing"),
    *("nan", "null", "n/a", "na", "-"),
    *("keine", "nichts", "ohne befund", "kein befund", "o.b.", "o. b.", "aucun", "aucune", "rien"),
    *("ninguno", "ninguna", "nessuno", "nessuna"),
)
"""Labels (lower case) of whole images that mean the same; drawn objects may well be called so."""

SOUNDS_LIKE_NOTHING = frozenset(
    {"healthy", "good", "ok", "negative", "no defect", "clean", "empty", "intact", "no tumor", "no", "absent"}
)
"""Names (lower case) of classes that may mean that there is nothing to see: asked about, but kept."""


SOUNDS_UNKNOWN = frozenset(
    {"unknown", "unsure", "uncertain", "undefined", "?", "unlabeled", "unlabelled", "not labeled", "todo"}
)
"""Names (lower case) of classes that may mean that nobody knows: asked about, but kept."""


def folded(name: str) -> str:
    """A name in the form that the lists of words have."""
    return " ".join(name.lower().replace("_", " ").split())


def is_background(name: str) -> bool:
    """Whether a name means background; case and blanks around it make no difference."""
    return name.strip().lower() in BACKGROUND_NAMES


def is_nothing(label: str, declared: Collection[str] | None) -> bool:
    """Whether the label of a whole image means that no class is there.

    Args:
        label: the label.
        declared: classes that the user or a class file names, which stay classes whatever they are called.
    """
    return is_background(label) or (folded(label) in NOTHING_WORDS and label not in (declared or ()))


def sounds_like_nothing(name: str) -> bool:
    """Whether a class may be one of images that show nothing: it stays a class, and is asked about."""
    return folded(name) in {*SOUNDS_LIKE_NOTHING, *NOTHING_WORDS}


def sounds_unknown(name: str) -> bool:
    """Whether a class may be one of images that nobody labelled: it stays a class, and is asked about."""
    return folded(name) in SOUNDS_UNKNOWN


def warn_of_background(names: Iterable[str], where: str, problems: Problems) -> None:
    """Say once which names of a data set are no classes.

    Args:
        names: those found, in any order; nothing is said of none.
        where: file and place that they stand in.
        problems: collects the warning.
    """
    found = list(dict.fromkeys(names))
    if background := ", ".join(repr(name) for name in found if is_background(name)):
        problems.warn("background", f"{where}: {background} means background, so it is not a class.")
    if words := ", ".join(repr(name) for name in found if not is_background(name)):
        problems.warn(
            "background",
            f"{where}: {words} means that an image shows no class; if it is one, name it in data.classes.",
        )
