"""Photographs and the masks that a segmentation network is trained on, checked before work starts."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from swtformer.datasets.images import image_size
from swtformer.datasets.records import ImageSet, Record
from swtformer.errors import DataError, ImageError
from swtformer.functional.scores import IGNORED
from swtformer.run import Failure, Progress
from swtformer.stages.in_order import in_order
from swtformer.stages.truth import read_labels, require_classes
from swtformer.training.pair_loader import MaskedImage

Supervision = Literal["pseudo_masks", "ground_truth", "given"]
"""What masks are: made by `pseudo-label`, the data set's own ground truth, or of unknown origin."""

NOTE = "pseudo_masks.json"
REVIEW = "review.csv"
NAMED = 10


@dataclass(frozen=True)
class Pairs:
    """The images of a set that have a mask, each checked against it.

    Attributes:
        images: the records that can be used, as a set.
        pairs: the same with their masks, in the same order.
        pixels: (C+1,) number of pixels of each label over all masks.
        without_mask: number of images that have no mask and are left out.
        supervision: what the masks are.
        failures: images or masks that cannot be read.
        fingerprint: equal for equal masks.
    """

    images: ImageSet
    pairs: tuple[MaskedImage, ...]
    pixels: Tensor
    without_mask: int
    supervision: Supervision
    failures: tuple[Failure, ...]
    fingerprint: str

    def of(self, images: ImageSet) -> list[MaskedImage]:
        """The pairs of some of the images."""
        by_id = {pair.id: pair for pair in self.pairs}
        return [by_id[record.id] for record in images.records]


def find_pairs(data: ImageSet, folder: Path, *, exif: Literal["raw", "apply"], progress: Progress) -> Pairs:
    """Match images with masks `<folder>/<id>.png` and read every mask once.

    Args:
        data: the images.
        folder: of palette or grey PNGs with the set's label values.
        exif: how images are read.
        progress: told about every mask, as stage "check masks".

    Raises:
        DataError: no image has a mask; masks hold other values than the classes', or have another size than
            their images (the first ten are named); no mask shows any class.
    """
    if not folder.is_dir():
        raise DataError(
            f"{folder}: there are no masks to train on; make them with `swtformer pseudo-label`, or name "
            "their folder with --segment.masks."
        )
    masked = [record for record in data.records if (folder / f"{record.id}.png").is_file()]
    if not masked:
        raise DataError(
            f"{folder}: holds no mask of the {len(data)} images of {data.name}; expected "
            f"{data.records[0].id}.png. Is it another data set or split (--data.split)?"
        )
    found: dict[str, Tensor | Failure | str] = {}
    by_id = {record.id: record for record in masked}

    def check(id: str) -> Tensor | Failure | str:
        return _counts(by_id[id], folder / f"{id}.png", data.classes, exif)

    for id, result in zip(by_id, in_order("check masks", check, list(by_id), progress), strict=True):
        found[id] = result
    _refuse([result for result in found.values() if isinstance(result, str)], len(masked))
    counts = {id: result for id, result in found.items() if isinstance(result, Tensor)}
    failures = tuple(result for result in found.values() if isinstance(result, Failure))
    if not counts:
        raise DataError(f"{folder}: none of its {len(masked)} masks can be used. {failures[0].reason}")
    total = torch.stack(list(counts.values())).sum(0)
    pixels = total[: len(data.classes) + 1]
    require_classes(pixels, int(total[IGNORED]), str(folder), data.classes)
    digest = hashlib.sha256()
    for id, values in counts.items():
        digest.update(f"{id} {values.tolist()}\n".encode())
    images = data.subset([place for place, record in enumerate(data.records) if record.id in counts])
    return Pairs(
        images=images,
        pairs=tuple(
            MaskedImage(record.id, record.image, folder / f"{record.id}.png") for record in images.records
        ),
        pixels=pixels,
        without_mask=len(data) - len(masked),
        supervision=_supervision(folder, masked),
        failures=failures,
        fingerprint=digest.hexdigest()[:32],
    )


def with_confidence(pairs: Pairs, folder: Path) -> Pairs:
    """The pairs with the confidence that review.csv beside the masks gives them.

    Raises:
        DataError: there is no such file, it has no columns id and confidence, or lacks images.
    """
    path = folder / REVIEW
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            known = {row["id"]: float(row["confidence"]) for row in csv.DictReader(stream)}
    except FileNotFoundError:
        raise DataError(
            f"{path}: does not exist; --segment.weighting confidence needs it. `swtformer pseudo-label` "
            "writes it."
        ) from None
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: expected columns id and confidence with numbers ({error}).") from None
    missing = [pair.id for pair in pairs.pairs if not 0 <= known.get(pair.id, -1.0) <= 1]
    if missing:
        raise DataError(
            f"{path}: {len(missing)} of {len(pairs.pairs)} images with masks have no confidence in [0, 1], "
            f"{missing[0]!r} first."
        )
    return replace(pairs, pairs=tuple(replace(pair, confidence=known[pair.id]) for pair in pairs.pairs))


def _counts(
    record: Record, mask: Path, classes: Sequence[str], exif: Literal["raw", "apply"]
) -> Tensor | Failure | str:
    """(256,) pixels of each value; a failure where a file is damaged; a sentence where the mask is wrong."""
    try:
        size = image_size(record.image, exif=exif)
    except ImageError as error:
        return Failure(record.id, "segment", str(record.image), str(error))
    try:
        labels = read_labels(mask, classes)
    except ImageError as error:
        return Failure(record.id, "segment", str(mask), str(error))
    except DataError as error:
        return str(error)
    if tuple(labels.shape) != size:
        return (
            f"{mask}: has {labels.shape[1]}×{labels.shape[0]} pixels, its image {record.image} has "
            f"{size[1]}×{size[0]}."
        )
    return torch.bincount(labels.flatten(), minlength=256)


def _refuse(problems: Sequence[str], total: int) -> None:
    if problems:
        shown = "\n".join(f"  {line}" for line in problems[:NAMED])
        raise DataError(f"{len(problems)} of {total} masks cannot be trained on:\n{shown}")


def _supervision(folder: Path, masked: Sequence[Record]) -> Supervision:
    for record in masked:
        own = record.mask
        if own is not None and own.is_file() and own.samefile(folder / f"{record.id}.png"):
            return "ground_truth"
    return "pseudo_masks" if (folder / NOTE).is_file() else "given"
