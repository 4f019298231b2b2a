"""Photographs and the masks that a segmentation network is trained on, checked before work starts."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

import numpy as np
import torch
from torch import Tensor

from swtformer.datasets.images import image_size
from swtformer.datasets.label_images import read_labels, require_same_size
from swtformer.datasets.mask_colours import MaskColours
from swtformer.datasets.mask_images import read_mask
from swtformer.datasets.records import ImageSet, Record
from swtformer.datasets.truth import require_classes
from swtformer.errors import DataError, ImageError
from swtformer.in_order import in_order
from swtformer.label_values import IGNORED
from swtformer.progress import Progress
from swtformer.settings import ImageSettings
from swtformer.store.corrections import NOTES, read_corrections
from swtformer.store.failures import Failure
from swtformer.store.files import digest, read_rows
from swtformer.store.mask_folders import require_same_numbers
from swtformer.store.notes import CorrectionNotes, Supervision
from swtformer.store.run import PSEUDO_MASKS_FILE, REVIEW_FILE
from swtformer.training.pair_samples import MaskedImage

NAMED = 10


@dataclass(frozen=True)
class Pairs:
    """The images of a set that have a mask, each checked against it.

    Attributes:
        images: the records that can be used, as a set.
        pairs: the same with their masks, in the same order.
        pixels: (C+1,) number of pixels of each label over all masks.
        largest_side_px: long side of the largest.
        without_mask: number of images that have no mask and are left out.
        rejected: number of images that have one and are left out because of it.
        supervision: what the masks are.
        failures: images or masks that cannot be read.
        fingerprint: equal for equal labels, confidences and sizes of image files by id, wherever they lie
            and whenever they were copied there.
        present_fingerprint: equal for equal classes that the images show, by id.
        corrections: what was corrected, where `import` left a note of it in the folder; else None.
    """

    images: ImageSet
    pairs: tuple[MaskedImage, ...]
    pixels: Tensor
    largest_side_px: int
    without_mask: int
    rejected: int
    supervision: Supervision
    failures: tuple[Failure, ...]
    fingerprint: str
    present_fingerprint: str
    corrections: CorrectionNotes | None

    def of(self, images: ImageSet) -> list[MaskedImage]:
        """The pairs of some of the images."""
        by_id = {pair.id: pair for pair in self.pairs}
        return [by_id[record.id] for record in images.records]


def find_pairs(
    data: ImageSet,
    folder: Path,
    *,
    settings: ImageSettings,
    rejected: frozenset[str] = frozenset(),
    progress: Progress,
) -> Pairs:
    """Match images with masks `<folder>/<id>.png` and read every mask once.

    Args:
        data: the images.
        folder: of palette or grey PNGs with the set's label values.
        settings: how images are read.
        rejected: ids of masks that are left out, as if nothing was known of their images.
        progress: called after every mask, as stage "check masks".

    Raises:
        DataError: the folder is known to number its classes otherwise; no image has a mask, or all of these
            are left out; masks hold other values than the classes', or have another size than their images
            (the first ten are named); no mask shows any class.
    """
    if not folder.is_dir():
        raise DataError(
            f"{folder}: holds no masks to train on; make them with `swtformer pseudo-label`, or name "
            "their folder with segment.masks."
        )
    require_same_numbers(folder, data.classes)
    masked = [record for record in data.records if (folder / f"{record.id}.png").is_file()]
    if not masked:
        raise DataError(
            f"{folder}: holds no mask of the {len(data)} images of {data.name}; expected "
            f"{data.records[0].id}.png. Is it another data set or split (data.split)?"
        )
    kept = {record.id: record for record in masked if record.id not in rejected}
    if not kept:
        raise DataError(
            f"{folder}: all {len(masked)} masks were left out of training in the review; decide otherwise "
            "about some in `swtformer app`."
        )
    supervision = _supervision(folder, masked)
    corrections = read_corrections(folder)

    def check(id: str) -> _Checked | Failure | str:
        truth = None if supervision == "pseudo_masks" else kept[id].mask
        return _checked(kept[id], folder / f"{id}.png", data.classes, settings, truth=truth)

    results = list(in_order("check masks", check, list(kept), progress))
    wrong = [result for result in results if isinstance(result, str)]
    if wrong:
        shown = "\n".join(f"  {line}" for line in wrong[:NAMED])
        raise DataError(f"{len(wrong)} of {len(kept)} masks cannot be trained on:\n{shown}")
    checked = {result.id: result for result in results if isinstance(result, _Checked)}
    failures = tuple(result for result in results if isinstance(result, Failure))
    if not checked:
        raise DataError(f"{folder}: none of its {len(kept)} masks can be used. {failures[0].reason}")
    total = torch.stack([result.pixels for result in checked.values()]).sum(0)
    pixels = total[: len(data.classes) + 1]
    if not pixels[1:].any():
        _refuse_classless(folder, supervision, int(total[IGNORED]), data.classes)
    if any(result.is_truth for result in checked.values()):
        supervision = "ground_truth"
    images = data.subset([place for place, record in enumerate(data.records) if record.id in checked])
    present = {id: _present(kept[id], result, len(data.classes)) for id, result in checked.items()}
    part = None
    if corrections is not None:
        part = CorrectionNotes(
            base=corrections.base, count=len(checked.keys() & corrections.corrected.keys())
        )
    facts = "".join(f"{id} {result.digest} {result.image_bytes}\n" for id, result in checked.items())
    return Pairs(
        images=images,
        pairs=tuple(
            MaskedImage(record.id, record.image, folder / f"{record.id}.png", present[record.id])
            for record in images.records
        ),
        pixels=pixels,
        largest_side_px=max(result.long_side_px for result in checked.values()),
        without_mask=len(data) - len(masked),
        rejected=len(masked) - len(kept),
        supervision=supervision,
        failures=failures,
        fingerprint=digest(facts),
        present_fingerprint=digest(present),
        corrections=part,
    )


def with_confidence(pairs: Pairs, folder: Path) -> Pairs:
    """The pairs with the confidence that review.csv beside the masks gives them.

    Of corrected masks it lies beside those that were corrected, and what a person changed counts whole.

    Raises:
        SwtformerError: the file is missing, cannot be read, has no columns id and confidence, or lacks
            images.
    """
    corrections = read_corrections(folder)
    path = (folder if corrections is None else corrections.base) / REVIEW_FILE
    if not path.exists():
        raise DataError(
            f"{path}: does not exist; segment.weighting confidence needs it. `swtformer pseudo-label` "
            "writes it."
        )
    _, rows = read_rows(path)
    try:
        known = {row["id"]: float(row["confidence"]) for row in rows}
    except (KeyError, ValueError) as error:
        raise DataError(f"{path}: expected columns id and confidence with numbers ({error}).") from None
    if corrections is not None:
        known |= dict.fromkeys(corrections.corrected, 1.0)
    missing = [pair.id for pair in pairs.pairs if not 0 <= known.get(pair.id, -1.0) <= 1]
    if missing:
        raise DataError(
            f"{path}: {len(missing)} of {len(pairs.pairs)} images with masks have no confidence in [0, 1], "
            f"{missing[0]!r} first."
        )
    weighed = tuple(replace(pair, confidence=known[pair.id]) for pair in pairs.pairs)
    text = pairs.fingerprint + "".join(f"\n{pair.id} {pair.confidence!r}" for pair in weighed)
    return replace(pairs, pairs=weighed, fingerprint=digest(text))


@dataclass(frozen=True)
class _Checked:
    """A usable mask.

    Attributes:
        id: record id.
        pixels: (256,) number of pixels of each value.
        long_side_px: of the mask.
        digest: of its labels.
        image_bytes: size of its image's file.
        is_truth: whether it is a copy of the ground truth.
    """

    id: str
    pixels: Tensor
    long_side_px: int
    digest: str
    image_bytes: int
    is_truth: bool


def _checked(
    record: Record, mask: Path, classes: Sequence[str], settings: ImageSettings, *, truth: Path | None
) -> _Checked | Failure | str:
    """What the mask holds; a failure where a file is damaged; a sentence where the mask is wrong."""
    try:
        size = image_size(record.image, settings)
    except ImageError as error:
        return Failure(record.id, "segment", str(record.image), str(error))
    try:
        labels = read_labels(mask, classes)
        require_same_size(labels.shape, mask, size, f"its image {record.image}")
    except ImageError as error:
        return Failure(record.id, "segment", str(mask), str(error))
    except DataError as error:
        return str(error)
    pixels = torch.bincount(torch.from_numpy(labels).flatten(), minlength=256)
    # A single label proves nothing: any two masks that show the same class everywhere are equal.
    is_truth = (
        truth is not None
        and int((pixels[:IGNORED] > 0).sum()) > 1
        and _is_copy(labels, truth, record.colours)
    )
    facts = hashlib.sha256(f"{labels.shape} ".encode() + labels.tobytes()).hexdigest()
    return _Checked(record.id, pixels, max(labels.shape), facts, record.image.stat().st_size, is_truth)


def _is_copy(labels: np.ndarray, truth: Path, colours: MaskColours | None) -> bool:
    """Whether a mask has the labels of the ground truth; one that cannot be read is equal to nothing."""
    try:
        return np.array_equal(labels, read_mask(truth, colours))
    except DataError:
        return False


def _present(record: Record, mask: _Checked, classes: int) -> tuple[bool, ...]:
    """The classes that an image shows or may show, by its labels and its mask.

    Without labels that is every class where the mask leaves pixels undecided, else those of the mask.
    """
    labels: Collection[int] = record.present if record.present is not None else ()
    if record.present is None and mask.pixels[IGNORED]:
        labels = range(classes)
    return tuple(index in labels or bool(mask.pixels[index + 1]) for index in range(classes))


def _refuse_classless(
    folder: Path, supervision: Supervision, ignored: int, classes: Sequence[str]
) -> NoReturn:
    """Say why masks may show no class at all."""
    if supervision == "pseudo_masks":
        raise DataError(
            f"{folder}: the pseudo-masks show no class: no pixel of one is sure enough. Lower "
            "pseudo_label.margin and run `swtformer pseudo-label` again, or train the run's model longer."
        )
    require_classes(torch.zeros(len(classes) + 1), ignored, str(folder), classes)
    raise DataError(
        f"{folder}: the masks are all background (0), so there is no class to learn; expected values 1 "
        f"({classes[0]}) to {len(classes)} ({classes[-1]})."
    )


def _supervision(folder: Path, masked: Sequence[Record]) -> Supervision:
    for record in masked:
        own = record.mask
        if own is not None and own.is_file() and own.samefile(folder / f"{record.id}.png"):
            return "ground_truth"
    if (folder / NOTES).is_file():
        return "corrected"
    return "pseudo_masks" if (folder / PSEUDO_MASKS_FILE).is_file() else "given"
