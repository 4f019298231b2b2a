"""Where image-level labels come from, in words that readers write and that can be told apart again."""

from __future__ import annotations

from collections.abc import Mapping

_MASKS = " masks"
_OUTLINES = "categories of outlined objects in "


def masks_in(folder: str) -> str:
    """Labels that are the classes in the drawn masks of a folder, having no other source."""
    return f"{folder}{_MASKS}"


def categories_in(file: str, *, outlined: bool) -> str:
    """Labels that are the categories of the objects in a file.

    Args:
        file: its name.
        outlined: whether outlines or masks of the objects are in it beside their categories.
    """
    return f"{_OUTLINES}{file}" if outlined else f"categories in {file}"


def counted(sources: Mapping[str, int]) -> str:
    """All sources, with their numbers of images where there are several; "none" without any."""
    if len(sources) == 1:
        return next(iter(sources))
    return ", ".join(f"{source} ({count})" for source, count in sources.items()) or "none"


def are_of_masks(labels_from: str) -> bool:
    """Whether any of the labels were read from drawn masks."""
    return any(part.split(" (")[0].endswith(_MASKS) for part in labels_from.split(", "))


def are_of_outlines(labels_from: str) -> bool:
    """Whether the objects were outlined that the labels are the categories of."""
    return labels_from.startswith(_OUTLINES)
