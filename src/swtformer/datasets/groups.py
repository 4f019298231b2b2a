r"""Groups of images that belong together: of one patient, slide, road section or burst of photographs.

Images of a group resemble each other more than others do. Where a group lies in training and validation, the
validation scores are too good. The setting `data.group` names a column of the label table, or else a regular
expression such as ``^(patient\d+)`` that finds the group in the names of images.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from swtformer.datasets.problems import Problems, images_have
from swtformer.datasets.records import ImageSet, Record
from swtformer.errors import DataError, nearest

NAMED = 5
"""Groups that a message names."""

_EXAMPLE = r"^(patient\d+)"


def group_column(columns: Sequence[str], wanted: str | None, path: Path, problems: Problems) -> str | None:
    """The column of a table that holds the groups; None where `data.group` is a pattern, or not set.

    Args:
        columns: names of the table's columns.
        wanted: `data.group`.
        path: the table, for messages.
        problems: gets a fatal problem where the setting is neither.
    """
    if wanted is None or wanted in columns:
        return wanted
    if _pattern(wanted) is None:
        message = (
            f"{path}:1: `data.group` {wanted!r} is neither a column nor a pattern with a group in "
            f"parentheses, such as {_EXAMPLE}; columns: {', '.join(columns)}. {nearest(wanted, columns)}"
        )
        problems.fatal("group", message)
    return None


def with_groups(images: ImageSet, wanted: str) -> ImageSet:
    """A data set whose records know their group.

    A pattern is searched in the id without its folders, or in the whole id where the pattern contains a
    slash. The group is what its parentheses find; several are joined by a slash. An image without a group is
    a group of its own, with a warning.

    Args:
        images: the set; records that have a group already have it from a column.
        wanted: `data.group`.

    Raises:
        DataError: no image has a group.
    """
    records = images.records
    if not any(record.group for record in records):
        pattern = _pattern(wanted)
        if pattern is None:
            raise DataError(
                f"{images.name}: `data.group` {wanted!r} is neither a column of a label table that holds "
                f"groups nor a pattern with a group in parentheses, such as {_EXAMPLE}."
            )
        records = tuple(replace(record, group=_group_in(record.id, pattern)) for record in records)
    alone = [record.id for record in records if record.group is None]
    if records and len(alone) == len(records):
        raise DataError(
            f"{images.name}: the pattern {wanted!r} of `data.group` finds no group in any image; the first "
            f"is {alone[0]!r}. The names are searched without folders, unless the pattern contains a slash."
        )
    problems = Problems()
    if alone:
        message = f"{images_have(alone)} no group by {wanted!r}; each is a group of its own."
        problems.warn("image_without_group", message)
    elif len(records) > 1 and len({record.group for record in records}) == len(records):
        message = f"by {wanted!r}, each of the {len(records):,} images is a group of its own."
        problems.warn("groups_of_one_image", message)
    return replace(images, records=records, problems=(*images.problems, *problems.warnings))


def require_no_shared_group(training: ImageSet, validation: ImageSet) -> None:
    """Refuse a validation split that shows groups of the training images.

    Raises:
        DataError: some group is in both; the first are named with their numbers of images.
    """
    shared = shared_groups(training, validation)
    if shared:
        raise DataError(
            f"{shared} The validation scores would be of groups that the network knows. Move each group to "
            "one split, or name no `data.validation_split`: then a part is set aside by whole groups."
        )


def shared_groups(one: ImageSet, other: ImageSet) -> str:
    """The groups that two splits share, in words; empty if there are none."""
    counts = _images_of_groups(one.records), _images_of_groups(other.records)
    shared = sorted(counts[0].keys() & counts[1].keys())
    if not shared:
        return ""
    shown = [f"{group}: {counts[0][group]} and {counts[1][group]} images" for group in shared[:NAMED]]
    more = "; …" if len(shared) > NAMED else ""
    what = "1 group is" if len(shared) == 1 else f"{len(shared):,} groups are"
    return f"{what} in {one.name} and in {other.name} ({'; '.join(shown)}{more})."


def _images_of_groups(records: Iterable[Record]) -> Counter[str]:
    return Counter(record.group for record in records if record.group is not None)


def _pattern(text: str) -> re.Pattern[str] | None:
    """A regular expression with a group in parentheses; None for other text."""
    try:
        pattern = re.compile(text)
    except (re.error, RecursionError, OverflowError):
        return None
    return pattern if pattern.groups else None


def _group_in(id: str, pattern: re.Pattern[str]) -> str | None:
    found = pattern.search(id if "/" in pattern.pattern else id.rpartition("/")[2])
    return "/".join(part for part in found.groups() if part) or None if found else None
