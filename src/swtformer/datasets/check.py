"""Reads every file of a data set before work starts, and reports everything wrong with it at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from swtformer.datasets.folders.name_patterns import pattern_hint
from swtformer.datasets.groups import shared_groups
from swtformer.datasets.images import check_readable, has_rotation, read_image
from swtformer.datasets.label_images import require_known_labels, require_same_size
from swtformer.datasets.look_alikes import Hash, Seen, difference_hash, look_alikes
from swtformer.datasets.mask_images import read_mask_and_colours
from swtformer.datasets.pixels.stored_pixels import seen_in_colour
from swtformer.datasets.problems import images_have
from swtformer.datasets.records import NOT_THERE, ImageSet, Problem, Record
from swtformer.datasets.value_range import settle
from swtformer.errors import DataError, ImageError
from swtformer.label_values import IGNORED
from swtformer.progress import Progress, silent
from swtformer.settings import DataSettings, ImageSettings

UNUSABLE_MASK = ("unreadable_mask", "mask_size", "mask_values")
"""Kinds of problems of a mask that nothing can be scored against."""

_THREADS = 2
_BATCH = 64
_TELLING = 20
"""Labelled images from which it says something that none is clean."""


@dataclass(frozen=True)
class CheckReport:
    """What a data set holds and what is wrong with it.

    Attributes:
        name: name of the set.
        format: the reader that opened it.
        labels_from: where its image-level labels came from.
        images: number of images, those that cannot be read included.
        unreadable: images that cannot be read. Commands skip them, but training notices only the damage that
            the decoder does (see `images`).
        missing: listed images that were left out, as their files are not there.
        images_per_class: number of images of each class, in the order of the classes.
        images_per_label_count: number of images with 0, 1, 2 … classes; 0 is pure background.
        unlabelled: images whose labels are not known.
        heights_px: smallest and largest height of the readable images; None if there are none.
        widths_px: the same for the width.
        rotated: images whose EXIF orientation turns or mirrors them.
        masks: ground-truth masks found.
        usable_masks: masks that can be read, fit their image and hold values of the classes only.
        masks_unlike_labels: usable masks that show other classes than the image's labels.
        groups: groups (`data.group`) that the images belong to; 0 where they are not known.
        problems: those of the set, then those found by reading every file, in the order of the set.
    """

    name: str
    format: str
    labels_from: str
    images: int
    unreadable: int
    missing: int
    images_per_class: dict[str, int]
    images_per_label_count: dict[int, int]
    unlabelled: int
    heights_px: tuple[int, int] | None
    widths_px: tuple[int, int] | None
    rotated: int
    masks: int
    usable_masks: int
    masks_unlike_labels: int
    groups: int
    problems: tuple[Problem, ...]

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in order."""
        return tuple(self.images_per_class)

    @property
    def skipped(self) -> int:
        """Listed images that commands skip."""
        return self.unreadable + self.missing

    def rows(self) -> list[tuple[str, str]]:
        """Everything but classes and problems as (what, value) rows of a table, without empty ones."""
        background = self.images_per_label_count.get(0, 0)
        per_count = ", ".join(f"{count}: {images:,}" for count, images in self.images_per_label_count.items())
        unusable = self.masks - self.usable_masks
        rows = [
            ("data set", f"{self.name} ({self.format})"),
            ("labels from", self.labels_from),
            ("images", f"{self.images:,}"),
            ("  that cannot be read", f"{self.unreadable:,}" if self.unreadable else ""),
            ("  missing, left out", f"{self.missing:,}" if self.missing else ""),
            ("  without known labels", f"{self.unlabelled:,}" if self.unlabelled else ""),
            ("  of background only", f"{background:,}" if background else ""),
            ("  turned by EXIF", f"{self.rotated:,}" if self.rotated else ""),
            ("classes", f"{len(self.classes):,}"),
            ("classes per image", per_count),
            ("groups", f"{self.groups:,}" if self.groups else ""),
            ("height", _range(self.heights_px)),
            ("width", _range(self.widths_px)),
            ("masks", f"{self.masks:,}"),
            ("  that cannot be used", f"{unusable:,}" if unusable else ""),
            ("  unlike the labels", f"{self.masks_unlike_labels:,}" if self.masks_unlike_labels else ""),
        ]
        return [(what, value) for what, value in rows if value]


def _limits(lengths: Sequence[int]) -> tuple[int, int] | None:
    return (min(lengths), max(lengths)) if lengths else None


def _range(limits: tuple[int, int] | None) -> str:
    if limits is None:
        return ""
    low, high = limits
    return f"{low:,} px" if low == high else f"{low:,} to {high:,} px"


@dataclass(frozen=True)
class _Finding:
    """What reading one record's files gave; `size` is None where the image cannot be read."""

    size: tuple[int, int] | None
    hash: Hash | None
    is_rotated: bool
    mask_is_usable: bool
    mask_is_unlike_labels: bool
    mask_is_in_colours: bool
    problems: tuple[Problem, ...]


def check(
    image_set: ImageSet,
    *,
    settings: DataSettings,
    against: Sequence[ImageSet] = (),
    progress: Progress = silent,
) -> CheckReport:
    """Decode every image and every mask of a data set, and count what it holds.

    Args:
        image_set: the set as its reader opened it.
        against: other splits of the data, which should share no group and no image with it. Their images are
            only looked at for that; what is wrong with them is not reported.
        settings: `exif` as the other commands will read the images; `strict` makes unreadable ones fatal.
        progress: called after every image.

    Returns:
        The counts and all problems. A bad file never raises: it is a problem of kind "unreadable_image",
        "unreadable_mask", "mask_size" or "mask_values". "no_labels" and "group_in_two_splits" (which stop
        training), "one_class_each", "exif_rotation", "mask_unlike_labels" and those of images that look alike
        are remarks about many images at once.
    """
    settings, pixels = _pixels(image_set, settings)
    sets = (image_set, *(_without_masks(other) for other in against))
    of_all = [(images.name, record) for images in sets for record in images.records]
    read: list[_Finding] = []
    progress("check", 0, len(of_all))
    for images in sets:
        for finding in _findings(images, settings):
            read.append(finding)
            progress("check", len(read), len(of_all))
    total = len(image_set)
    findings = read[:total]
    seen = [
        Seen(record, name, finding.hash)
        for (name, record), finding in zip(of_all, read, strict=True)
        if finding.size is not None
    ]
    labelled = [record.present for record in image_set.records if record.present is not None]
    per_class = Counter(index for present in labelled for index in present)
    sizes = [finding.size for finding in findings if finding.size is not None]
    return CheckReport(
        name=image_set.name,
        format=image_set.format,
        labels_from=image_set.labels_from,
        images=total,
        unreadable=sum(finding.size is None for finding in findings),
        missing=sum(problem.kind in NOT_THERE for problem in image_set.problems),
        images_per_class={name: per_class[index] for index, name in enumerate(image_set.classes)},
        images_per_label_count=dict(sorted(Counter(map(len, labelled)).items())),
        unlabelled=total - len(labelled),
        heights_px=_limits([height for height, _ in sizes]),
        widths_px=_limits([width for _, width in sizes]),
        rotated=sum(finding.is_rotated for finding in findings),
        masks=sum(record.mask is not None for record in image_set.records),
        usable_masks=sum(finding.mask_is_usable for finding in findings),
        masks_unlike_labels=sum(finding.mask_is_unlike_labels for finding in findings),
        groups=len({record.group for record in image_set.records} - {None}),
        problems=(
            *image_set.problems,
            *(problem for finding in findings for problem in finding.problems),
            *_without_labels(image_set),
            *_remarks(image_set.records, findings, settings),
            *_one_class_each(image_set, labelled, settings),
            *pixels,
            *(
                Problem("group_in_two_splits", True, shared)
                for other in against
                if (shared := shared_groups(image_set, other))
            ),
            *look_alikes(seen),
        ),
    )


def _pixels(image_set: ImageSet, settings: DataSettings) -> tuple[DataSettings, list[Problem]]:
    """The settings with the range of values decided, and what is to be said of values, bands and pages."""
    try:
        decided, remarks = settle([record.image for record in image_set.records], settings)
    except DataError as error:
        return settings, [Problem("pixels", True, str(error))]
    return decided, [Problem("pixels", False, remark) for remark in remarks]


def _without_masks(images: ImageSet) -> ImageSet:
    return replace(images, records=tuple(replace(record, mask=None) for record in images.records))


def _findings(image_set: ImageSet, settings: DataSettings) -> Iterator[_Finding]:
    """Findings in the order of the records, in small batches, so that Ctrl-C is answered soon."""
    classes = image_set.classes
    with ThreadPoolExecutor(_THREADS) as pool:
        for start in range(0, len(image_set), _BATCH):
            batch = image_set.records[start : start + _BATCH]
            yield from pool.map(lambda record: _examine(record, classes, settings), batch)


def _examine(record: Record, classes: Sequence[str], settings: DataSettings) -> _Finding:
    """Read the image and the mask of one record."""
    problems: list[Problem] = []
    size = hash = None
    is_rotated = False
    try:
        pixels = read_image(record.image, settings, thorough=True)
        size = (pixels.shape[0], pixels.shape[1])
        hash = difference_hash(seen_in_colour(pixels))
        is_rotated = has_rotation(record.image)
    except ImageError as error:
        problems.append(Problem("unreadable_image", settings.strict, _from(record, str(error)), record.id))
    shown, in_colours = None, False
    if record.mask is not None:
        shown, in_colours = _classes_of_mask(record, record.mask, size, classes, problems)
    return _Finding(
        size=size,
        hash=hash,
        is_rotated=is_rotated,
        mask_is_usable=shown is not None,
        mask_is_unlike_labels=None not in (shown, record.present) and shown != record.present,
        mask_is_in_colours=in_colours,
        problems=tuple(problems),
    )


def _classes_of_mask(
    record: Record,
    path: Path,
    size: tuple[int, int] | None,
    classes: Sequence[str],
    problems: list[Problem],
) -> tuple[tuple[int, ...] | None, bool]:
    """Indices of the classes that a record's mask shows, sorted; None where the mask cannot be used.

    And whether the mask holds colours that were looked up in VOC's palette.
    """
    try:
        mask, in_colours = read_mask_and_colours(path, record.colours)
    except DataError as error:
        problems.append(Problem("unreadable_mask", False, _from(record, str(error)), record.id))
        return None, False
    values = np.flatnonzero(np.bincount(mask.reshape(-1), minlength=256)).tolist()
    found: list[Problem] = []
    try:
        if size is not None:
            require_same_size(mask.shape, path, size, f"its image {record.image}")
    except DataError as error:
        found.append(Problem("mask_size", False, _from(record, str(error)), record.id))
    try:
        require_known_labels(mask, path, classes)
    except DataError as error:
        found.append(Problem("mask_values", False, _from(record, str(error)), record.id))
    problems.extend(found)
    return None if found else tuple(value - 1 for value in values if 0 < value < IGNORED), in_colours


def _from(record: Record, message: str) -> str:
    return f"{record.source}: {message}" if record.source else message


def _without_labels(image_set: ImageSet) -> Iterator[Problem]:
    """A fatal problem where nothing can be learned: no image has labels, or there is no class at all."""
    is_known = any(record.present is not None for record in image_set.records)
    if image_set.records and not (is_known and image_set.classes):
        what = "shows a class" if is_known else "has labels"
        message = f"no image {what}, so there is nothing to train on; add labels, or name the file with them."
        hint = "" if is_known else pattern_hint([Path(record.id).name for record in image_set.records])
        yield Problem("no_labels", True, f"{message} {hint}".strip())


def _one_class_each(
    image_set: ImageSet, labelled: Sequence[tuple[int, ...]], settings: DataSettings
) -> Iterator[Problem]:
    """A remark where each image shows one class and none is clean: surroundings predict the class, too."""
    is_told = len(image_set.classes) > 1 and settings.background == "label" and len(labelled) >= _TELLING
    if is_told and all(len(present) == 1 for present in labelled):
        message = (
            "every image shows exactly one class, so its surroundings can pass for it. Images without any "
            "class, or with several, show the difference; for faults on even surfaces there is "
            "localize.seeds contrast."
        )
        yield Problem("one_class_each", False, message)


def _remarks(
    records: Sequence[Record], findings: Sequence[_Finding], settings: DataSettings
) -> Iterator[Problem]:
    """One problem for each thing that many images share and that stops no command."""
    rotated = [record.id for record, found in zip(records, findings, strict=True) if found.is_rotated]
    if rotated and settings.exif == "raw":
        message = (
            f"{images_have(rotated)} an EXIF orientation that is not applied, because masks like VOC's fit "
            "the stored pixels; to turn the images upright, set data.exif to apply."
        )
        yield Problem("exif_rotation", False, message)
    unlike = [
        record.id for record, found in zip(records, findings, strict=True) if found.mask_is_unlike_labels
    ]
    if unlike:
        message = (
            f"{images_have(unlike)} a mask that shows other classes than the labels; scores take the mask."
        )
        yield Problem("mask_unlike_labels", False, message)
    painted = [record.id for record, found in zip(records, findings, strict=True) if found.mask_is_in_colours]
    if painted:
        message = f"{images_have(painted)} a mask in the colours of PASCAL VOC, which are read as its values."
        yield Problem("mask_colours", False, message)


def refuse_unreadable(image_set: ImageSet, settings: ImageSettings) -> None:
    """Decode every image before work starts.

    Raises:
        DataError: some cannot be read; the first twenty are named.
    """
    with ThreadPoolExecutor(2) as pool:
        reasons = pool.map(lambda record: check_readable(record.image, settings), image_set.records)
        problems = [reason for reason in reasons if reason is not None]
    if problems:
        shown = "\n".join(f"  {line}" for line in problems[:20])
        raise DataError(f"{len(problems)} images cannot be read (data.strict):\n{shown}")
