"""Phrases that say where image-level labels come from, and how to recognise them."""

from __future__ import annotations

from collections.abc import Mapping

_MASKS = " masks"
_OUTLINES = "categories of outlined objects in "


def masks_in(folder: str) -> str:
    """The labels are the classes in the masks of a folder."""
    return f"{folder}{_MASKS}"


def categories_in(file: str, *, outlined: bool) -> str:
    """The labels are the categories of the objects in a file.

    Args:
        file: its name.
        outlined: whether it also has outlines or masks of the objects.
    """
    return f"{_OUTLINES}{file}" if outlined else f"categories in {file}"


def counted(sources: Mapping[str, int]) -> str:
    """All sources; if there are several, with their numbers of images. "none" if there is none."""
    if len(sources) == 1:
        return next(iter(sources))
    return ", ".join(f"{source} ({count})" for source, count in sources.items()) or "none"


def are_of_masks(labels_from: str) -> bool:
    """Whether any labels were read from masks."""
    return any(part.split(" (")[0].endswith(_MASKS) for part in labels_from.split(", "))


def are_of_outlines(labels_from: str) -> bool:
    """Whether the labels are categories of outlined objects."""
    return labels_from.startswith(_OUTLINES)
