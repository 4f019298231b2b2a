"""Makes an ImageSet of what a reader found: checks classes, duplicates, missing files and masks.

Every format goes through these rules, so that the same fault gets the same message.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from swtformer.datasets.class_doubts import doubt_classes
from swtformer.datasets.mask_colours import read_colours
from swtformer.datasets.masks_beside import find_masks, lossy_mask, named_in_other_case
from swtformer.datasets.paths import is_image_name
from swtformer.datasets.problems import Problems
from swtformer.datasets.records import ImageSet, Record
from swtformer.errors import nearest, some
from swtformer.label_values import MOST_CLASSES
from swtformer.settings import DataSettings

NAMED = 5

_OR_MERGE = {"table": ", or merge the rows of an image by reader.rows object"}


@dataclass(frozen=True)
class Entry:
    """One image as a source names it, before anything is checked.

    Attributes:
        id: name of the outputs.
        image: file, or None where it is missing.
        labels: class names; empty for pure background, None where not known.
        source: file and line, for messages.
        mask: ground-truth label image that the source gives.
        group: what the source says that the image belongs to; None where it does not say.
    """

    id: str
    image: Path | None
    labels: tuple[str, ...] | None
    source: str
    mask: Path | None = None
    group: str | None = None


@dataclass(frozen=True)
class Origin:
    """Where an image set comes from: the part of ImageSet that is known before any record is read.

    Attributes:
        format: name of the reader.
        root: file or folder that was opened.
        folder: folder of the data set, whose name reports call it by.
        split: name of the split; None where the set is whole.
        looked_in: folder where images were looked for, for the message when none is there.
    """

    format: str
    root: Path
    folder: Path
    split: str | None
    looked_in: Path

    @property
    def name(self) -> str:
        """What reports call the set."""
        base = self.folder.resolve().name
        return f"{base}/{self.split}" if self.split else base


@dataclass(frozen=True)
class Classes:
    """Class names and whether the user or the data set declared their order.

    Attributes:
        names: in order; a mask holds index + 1.
        declared: False where they are merely the labels found, sorted.
    """

    names: tuple[str, ...]
    declared: bool

    @cached_property
    def indices(self) -> dict[str, int]:
        """Index of each name, from 0."""
        return {name: index for index, name in enumerate(self.names)}


def assemble(
    entries: Sequence[Entry],
    *,
    origin: Origin,
    classes: Classes,
    settings: DataSettings,
    labels_from: str,
    problems: Problems,
) -> ImageSet:
    """Check entries against each other and against the disk, and make the image set.

    Equal duplicates are merged with a warning; missing images are left out with a warning each, unless
    `settings.strict` is set or all of them are missing.

    Raises:
        DataError: everything fatal that `problems` holds by then, at once.
    """
    if not entries:
        problems.fatal("empty", f"{origin.root}: lists no images.")
    entries = _with_plain_names(entries, settings, problems)
    merged = _merge(entries, origin, problems)
    _note_missing([entry for entry in merged if entry.image is None], len(merged), origin, settings, problems)
    there = [entry for entry in merged if entry.image is not None]
    if settings.masks is not None:
        there = _with_masks(there, settings.masks, problems)
    _refuse_unknown(there, classes, problems)
    if len(classes.names) > MOST_CLASSES:
        message = (
            f"{origin.root}: has {len(classes.names)} classes; expected {MOST_CLASSES} at most, as many as "
            "the 8 bits of a mask can tell apart. Merge classes or leave some out."
        )
        problems.fatal("too_many_classes", message)
    colours = None if settings.palette is None else read_colours(settings.palette, classes.names)
    records = [
        Record(
            entry.id,
            entry.image,
            _indices(entry, classes),
            entry.mask,
            entry.source,
            entry.group,
            colours=colours,
        )
        for entry in there
        if entry.image is not None
    ]
    problems.raise_fatal(origin.name)
    _warn_about_classes(records, classes, problems)
    labelled = any(record.present is not None for record in records)
    return ImageSet(
        name=origin.name,
        format=origin.format,
        root=origin.root,
        classes=classes.names,
        records=tuple(records),
        problems=problems.warnings,
        labels_from=labels_from if labelled else "none",
        split=origin.split,
    )


def _with_plain_names(entries: Sequence[Entry], settings: DataSettings, problems: Problems) -> list[Entry]:
    """Entries without those whose file names are not UTF-8, which lists and tables could not hold."""
    plain = []
    for entry in entries:
        try:
            entry.id.encode()
            plain.append(entry)
        except UnicodeEncodeError:
            tell = problems.fatal if settings.strict or len(entries) == 1 else problems.warn
            message = f"{entry.id!r}: the file name is not UTF-8; left out. Rename the file."
            tell("file_name", message, id=entry.id)
    return plain


def _merge(entries: Iterable[Entry], origin: Origin, problems: Problems) -> list[Entry]:
    """One entry per id; entries that contradict each other are fatal."""
    first: dict[str, Entry] = {}
    again: list[tuple[Entry, Entry]] = []
    for entry in entries:
        known = first.setdefault(entry.id, entry)
        if known is entry:
            continue
        if known.image != entry.image:
            message = (
                f"{entry.source}: {_shown(entry)} and {_shown(known)} ({known.source}) would have the same "
                f"output name {entry.id!r}; rename one of them."
            )
            problems.fatal("one_output_name", message, id=entry.id)
        elif _label_set(known) != _label_set(entry):
            message = (
                f"{entry.source}: {entry.id!r} has the labels {_named(entry)}, but {_named(known)} at "
                f"{known.source}; keep one of them{_OR_MERGE.get(origin.format, '')}."
            )
            problems.fatal("conflicting_labels", message, id=entry.id)
        elif known.group != entry.group:
            message = (
                f"{entry.source}: {entry.id!r} is of the group {entry.group!r}, but of {known.group!r} at "
                f"{known.source}; keep one of them."
            )
            problems.fatal("conflicting_groups", message, id=entry.id)
        else:
            again.append((entry, known))
    for entry, known in again if len(again) <= NAMED else again[:1]:
        more = f" So are {len(again)} rows." if len(again) > NAMED else ""
        what = f"{entry.id!r} is listed again with the same labels ({known.source}); merged."
        problems.warn("duplicate", f"{entry.source}: {what}{more}", id=entry.id)
    return list(first.values())


def _shown(entry: Entry) -> str:
    return repr(entry.image.name) if entry.image else f"{entry.id!r} (missing)"


def _label_set(entry: Entry) -> frozenset[str] | None:
    return None if entry.labels is None else frozenset(entry.labels)


def _named(entry: Entry) -> str:
    return "unknown" if entry.labels is None else repr(";".join(sorted(set(entry.labels))))


def _note_missing(
    missing: list[Entry], listed: int, origin: Origin, settings: DataSettings, problems: Problems
) -> None:
    """Warn of each missing image; under `strict`, or where all are missing, that is fatal."""
    if missing and (settings.strict or len(missing) == listed):
        shown = some(f"{entry.id} ({entry.source})" for entry in missing)
        there = _example(origin.looked_in)
        problems.fatal(
            "missing_image",
            f"{len(missing)} of {listed} images are missing in {origin.looked_in}: {shown}. That "
            f"folder holds {there}. If they are elsewhere, name their folder with `data.images`.",
        )
    for entry in missing:
        message = f"{entry.source}: image {entry.id!r} is missing in {origin.looked_in}; left out."
        problems.warn("missing_image", message, id=entry.id)


def _example(folder: Path) -> str:
    """An image in a folder or just below it, for messages that something else is missing there."""
    folders = [folder, *sorted(path for path in folder.iterdir() if path.is_dir())] if folder.is_dir() else []
    for place in folders[:20]:
        found = min((path for path in place.iterdir() if is_image_name(path.name)), default=None)
        if found is not None:
            return repr(found.relative_to(folder).as_posix())
    return "no image"


def _with_masks(entries: list[Entry], folder: Path, problems: Problems) -> list[Entry]:
    """Entries with their masks in a folder, where they are there (see `find_masks`)."""
    if not folder.is_dir():
        problems.fatal("missing_masks", f"{folder}: the folder of masks does not exist.")
        return entries
    images = [(entry.id, entry.image) for entry in entries if entry.image is not None]
    found = find_masks(folder, images)
    if entries and not found:
        lossy = lossy_mask(folder, images)
        problems.fatal(
            "missing_masks",
            f"{lossy}: JPEG changes the values of masks; save masks as PNG."
            if lossy
            else f"{folder}: holds no mask of these images; expected {folder / entries[0].id}.png, with or "
            f"without its folder, or with _mask, _seg, _label or _gt; the folder holds {_example(folder)}.",
        )
    renamed = [(id, mask) for id, mask in found.items() if named_in_other_case(id, mask)]
    for id, mask in renamed if len(renamed) <= NAMED else renamed[:1]:
        more = f" So are those of {len(renamed)} images." if len(renamed) > NAMED else ""
        problems.warn("other_case", f"{mask}: is taken to be the mask of {id!r}.{more}", id=id)
    without = [entry for entry in entries if entry.id not in found]
    for entry in without if len(without) <= NAMED else without[:1]:
        more = f" So are those of {len(without)} images." if len(without) > NAMED else ""
        message = f"{folder / entry.id}.png: no such mask; the image is not scored.{more}"
        problems.warn("missing_mask", message)
    return [replace(entry, mask=found.get(entry.id)) for entry in entries]


def _refuse_unknown(entries: Iterable[Entry], classes: Classes, problems: Problems) -> None:
    """A class that is not in the list is fatal: one problem, with the first place that names it."""
    unknown: dict[str, list[Entry]] = {}
    for entry in entries:
        for name in dict.fromkeys(entry.labels or ()):
            if name not in classes.indices:
                unknown.setdefault(name, []).append(entry)
    for name, own in unknown.items():
        count = f" (in {len(own)} images)" if len(own) > 1 else ""
        message = f"{own[0].source}: unknown class {name!r}{count}. {nearest(name, classes.names)}"
        problems.fatal("unknown_class", message, id=own[0].id)


def _indices(entry: Entry, classes: Classes) -> tuple[int, ...] | None:
    """Indices of an entry's known labels."""
    if entry.labels is None:
        return None
    return tuple(sorted({classes.indices[name] for name in entry.labels if name in classes.indices}))


def _warn_about_classes(records: Iterable[Record], classes: Classes, problems: Problems) -> None:
    records = list(records)
    labelled = [record.present for record in records if record.present is not None]
    if not labelled:
        return
    images = Counter(index for present in labelled for index in present)
    for index, name in enumerate(classes.names):
        if images[index] == 0:
            problems.warn("class_without_images", f"class {name!r} has no image here; its AP is n/a.")
        elif images[index] == len(labelled) > 1:
            message = (
                f"class {name!r} is in all {len(labelled)} images, so its AP is n/a. Before training, add "
                "images without it: otherwise nothing shows what sets it apart, and its maps mean little."
            )
            problems.warn("class_in_all_images", message)
    doubt_classes(classes.names, [frozenset(present) for present in labelled], problems)
    if not classes.declared and any(record.mask for record in records):
        order = ", ".join(f"{index + 1}={name}" for index, name in enumerate(classes.names))
        message = (
            f"mask values are read as {order} (alphabetical order); declare another order in classes.txt."
        )
        problems.warn("class_order", message)
