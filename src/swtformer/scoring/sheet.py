"""What `evaluate` wrote into scores.json, in the shape that the page shows it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from swtformer.errors import SwtformerError
from swtformer.store.files import read_json
from swtformer.store.run import Run

SOURCES = {"cam": "CAM", "refined": "R-CAM", "folder": "Masks"}
"""Names of map sources on the page, in the order of the columns."""

POLICIES = {
    "argmax": "Argmax",
    "label_free": "Label-free threshold",
    "fixed": "Fixed threshold",
    "given": "As given",
    "decided": "Decided pixels",
    "oracle": "Oracle threshold",
}
"""Names of background policies on the page."""

MASKS = {
    "pseudo_masks": "pseudo-masks",
    "corrected": "corrected masks",
    "ground_truth": "true masks",
    "given": "given masks",
}
"""Names of what a segmentation network was trained on."""

_CAUTIONS = {
    "pseudo_masks": "",
    "corrected": "masks that people corrected had a part in it: no weakly supervised result.",
    "ground_truth": "true masks had a part in it: no weakly supervised result.",
}
_CAUTION_WHERE_UNKNOWN = (
    "masks of a given folder had a part in it; if people drew any of them, it is no weakly supervised result."
)

_QUOTED = {"cam": ("label_free", "fixed", "argmax"), "refined": ("argmax", "label_free", "fixed")}
"""Policy that speaks for a source where one figure must: never the oracle, unless there is nothing else."""


def _finite(value: Any) -> Any:
    """None for nan, which JSON has no word for."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


Fraction = Annotated[float | None, BeforeValidator(_finite)]


class _Sheet(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class SegmentationScore(_Sheet):
    """IoU of the masks of one source under one policy; fractions, None where there is nothing to score."""

    source: str
    policy: str
    threshold: float | None = None
    uses_ground_truth: bool = False
    miou: Fraction = None
    iou: dict[str, Fraction] = {}
    coverage: float = 1.0

    @property
    def source_name(self) -> str:
        """Source as the page calls it."""
        return SOURCES.get(self.source, self.source)

    @property
    def policy_name(self) -> str:
        """Policy as the page calls it."""
        return POLICIES.get(self.policy, self.policy)


class ClassificationScore(_Sheet):
    """Average precision of the image-level classifier; fractions."""

    map_per_class: Fraction = None
    map_per_image: Fraction = None
    ap: dict[str, Fraction] = {}
    images: int = 0


class ImageScore(_Sheet):
    """Mean IoU of one image's mask."""

    id: str
    miou: Fraction = None


class ScoreSheet(_Sheet):
    """scores.json; keys that the page does not show are passed over."""

    split: str
    images: int
    ground_truth: str = ""
    labels_from: str = ""
    classes: tuple[str, ...]
    scored_classes: tuple[str, ...]
    seeds: int = 1
    scales: tuple[float, ...] = ()
    flip: bool = False
    segmentation: tuple[SegmentationScore, ...] = ()
    classification: ClassificationScore | None = None
    per_image: tuple[ImageScore, ...] = ()
    skipped: int = 0
    missing: int = 0
    trained_on: int | None = None
    supervision: str | None = None

    def quoted(self) -> tuple[SegmentationScore, ...]:
        """One entry per source, by the policy that speaks for it."""
        chosen = []
        for source in dict.fromkeys(entry.source for entry in self.segmentation):
            order = _QUOTED.get(source, ())
            entries = [entry for entry in self.segmentation if entry.source == source]
            chosen.append(min(entries, key=lambda entry: _place(entry, order)))
        return tuple(chosen)


def _place(entry: SegmentationScore, order: Sequence[str]) -> int:
    if entry.uses_ground_truth:
        return len(order) + 1
    return order.index(entry.policy) if entry.policy in order else len(order)


def caution(supervision: str) -> str:
    """What a reader must know of a score of a network that drawn masks had, or may have had, a part in.

    Args:
        supervision: what it was trained on: pseudo_masks, corrected, ground_truth or given; anything else is
            as little known as given.

    Returns:
        The end of a sentence; empty where only pseudo-masks had a part.
    """
    return _CAUTIONS.get(supervision, _CAUTION_WHERE_UNKNOWN)


def trained_on_note(trained_on: int | None, images: int, supervision: str) -> str:
    """What training and scores have in common, in words.

    Args:
        trained_on: how many of the scored images the segmentation network was trained on; None where that
            is not known.
        images: how many were scored.
        supervision: what it was trained on there: pseudo_masks, corrected, ground_truth or given.
    """
    known = supervision in MASKS and supervision != "given"
    masks = f"their {MASKS[supervision]}" if known else "masks of a folder"
    if trained_on is None:
        trained = f"it is not known how many of the {images} were"
    else:
        trained = f"{trained_on} of the {images} were"
    return (
        "The scored images are of the set that the classifier was trained on, and "
        f"{trained} in the training of the segmentation network, with {masks}; it "
        "sees no image labels when it predicts. None of the figures is about photographs that are new to the "
        "run."
    )


def read_scores(run: Run) -> ScoreSheet | None:
    """Read scores.json; None where nothing was scored yet.

    Raises:
        SwtformerError: the file is damaged or not what `evaluate` writes.
    """
    return read_sheet(run.scores_file) if run.scores_file.is_file() else None


def read_sheet(path: Path) -> ScoreSheet:
    """Read a file of scores.

    Raises:
        SwtformerError: the file is missing, damaged or not what `evaluate` writes.
    """
    try:
        return ScoreSheet.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise SwtformerError(
            f"{path}: {where}: {first['msg']}; make it again with `swtformer evaluate`."
        ) from None
