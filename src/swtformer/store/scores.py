"""scores.json: what was measured, with everything that is needed to understand a figure.

`evaluate` writes one for a run's maps and one for its refined maps; `run` writes those of the pseudo-masks
and of the segmentation network's masks. The training of a segmentation network writes `HeldOutScores`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from swtformer.errors import some
from swtformer.store.files import write_json
from swtformer.store.notes import read_notes
from swtformer.store.run import Run

SOURCES = {"cam": "CAM", "rcam": "R-CAM", "refined": "Refined maps", "folder": "Masks"}
"""Sources in words."""

POLICIES = {
    "argmax": "Argmax",
    "label_free": "Label-free threshold",
    "fixed": "Fixed threshold",
    "given": "As given",
    "decided": "Decided pixels",
    "oracle": "Oracle threshold",
}
"""Background policies in words."""

_QUOTED = {"cam": ("label_free", "fixed", "argmax")}
"""Policies of a source in the order in which they are quoted; never the oracle, unless it is alone."""
_QUOTED_ELSEWHERE = ("argmax", "label_free", "fixed", "given")


@dataclass(frozen=True)
class SegmentationScore:
    """How well one kind of masks fits the ground truth.

    `functional.scores` has the formulas. All but `miou_per_image` are of counts summed over the images.

    Attributes:
        source: "cam", "rcam", "refined", or "folder" for masks from elsewhere.
        policy: fixed, argmax, label_free, oracle; for masks from elsewhere "given" or, without their
            undecided pixels, "decided".
        threshold: background score; None where a background map competed, or where it is not known.
        uses_ground_truth: the threshold was chosen with the ground truth (oracle).
        miou: mean over the scored labels that occur; None if none does.
        iou: IoU of every label, 0 to 1; None where it is absent from truth and masks.
        absent: number of scored labels left out of the mean for that reason.
        coverage: part of the pixels with ground truth that were scored; below 1 only for "decided".
        frequency_weighted_iou: mean IoU of the scored labels, weighted by their true pixels; None if none is
            in the truth.
        miou_per_image: mean over images of each image's own mean IoU; None if no image has one.
        mean_dice: mean Dice coefficient over the same labels as `miou`.
        dice: Dice coefficient of every label, as `iou`.
    """

    source: str
    policy: str
    threshold: float | None
    uses_ground_truth: bool
    miou: float | None
    iou: dict[str, float | None]
    absent: int
    coverage: float = 1.0
    frequency_weighted_iou: float | None = None
    miou_per_image: float | None = None
    mean_dice: float | None = None
    dice: dict[str, float | None] = field(default_factory=dict)

    @property
    def source_name(self) -> str:
        """The source in words."""
        return SOURCES.get(self.source, self.source)

    @property
    def policy_name(self) -> str:
        """The policy in words."""
        return POLICIES.get(self.policy, self.policy)


@dataclass(frozen=True)
class ClassificationScore:
    """Average precision of the image-level classifier.

    Attributes:
        map_per_class: textbook mAP, mean over the classes that have an AP; None if none has.
        map_per_image: mean over images that show some of the classes, as in MCTformer's code; None if none
            does.
        ap: AP of each class; None for classes that no image shows, or every image.
        images: number of images with labels and probabilities.
    """

    map_per_class: float | None
    map_per_image: float | None
    ap: dict[str, float | None]
    images: int


@dataclass(frozen=True)
class ImageScore:
    """Mean IoU of one image over the scored labels that occur in its truth or mask."""

    id: str
    miou: float


@dataclass(frozen=True)
class Scores:
    """Everything that one evaluation measured.

    Attributes:
        split: data set or split scored.
        images: number of images whose masks were scored (of those classified where there are no masks).
        ground_truth: folder of the ground truth; empty where there is none.
        labels_from: where the image-level labels came from.
        predictions: folder of the maps or masks that were scored.
        classes: all labels, background first.
        scored_classes: labels that the means run over.
        scales: image scales of the maps; empty for masks from elsewhere.
        flip: whether mirrored images were added; in_turn where every second scale was mirrored.
        segmentation: one entry per source and policy.
        classification: None where no image has labels.
        per_image: for the source and policy of the run's masks.
        skipped: number of images without ground truth, which were not scored.
        missing: number of images without a prediction, which were scored as background.
        known_groups: groups (`data.group`) of the scored images that the run was trained on, by other images.
        seeds: number of training seeds behind the figures.
        trained_on: how many of the images the run's segmentation network was trained on; None where that is
            not known.
        supervision: kind of masks that the network was trained on; None for masks and maps of other origin.
        caution: what hand-drawn masks had to do with that, in words; empty where nothing.
    """

    split: str
    images: int
    ground_truth: str
    labels_from: str
    predictions: str
    classes: tuple[str, ...]
    scored_classes: tuple[str, ...]
    scales: tuple[float, ...]
    flip: bool | Literal["in_turn"]
    segmentation: tuple[SegmentationScore, ...]
    classification: ClassificationScore | None
    per_image: tuple[ImageScore, ...]
    skipped: int
    missing: int
    known_groups: tuple[str, ...] = ()
    seeds: int = 1
    trained_on: int | None = None
    supervision: str | None = None
    caution: str = ""

    def about_groups(self) -> str:
        """What to know of groups that were trained on as well, in a sentence; empty where there are none."""
        if not self.known_groups:
            return ""
        count = len(self.known_groups)
        groups = "1 group that is" if count == 1 else f"{count} groups that are"
        return (
            f"The run was trained on other images of {groups} scored here "
            f"({some(self.known_groups)}), so the scores are not about new groups."
        )

    def __repr__(self) -> str:
        measured = {f"{entry.source_name} ({entry.policy_name}) mIoU": entry.miou for entry in self.quoted()}
        if self.classification is not None:
            measured["mAP"] = self.classification.map_per_class
        found = [f"{name} {'n/a' if value is None else f'{value:.3f}'}" for name, value in measured.items()]
        return f"Scores({self.split!r}, {self.images} images: {', '.join(found)})"

    def quoted(self) -> tuple[SegmentationScore, ...]:
        """One entry per source: CAMs with the label-free threshold and others with argmax, if measured."""
        best: dict[str, SegmentationScore] = {}
        for entry in self.segmentation:
            order = _QUOTED.get(entry.source, _QUOTED_ELSEWHERE)
            known = best.setdefault(entry.source, entry)
            best[entry.source] = min(known, entry, key=lambda item: _rank(item.policy, order))
        return tuple(best.values())


@dataclass(frozen=True)
class HeldOutScores:
    """What the training of a segmentation network measured on images that it held out.

    Attributes:
        validation_miou: mIoU of the weights that were kept; None where no image was held out.
        masks: folder of the masks, those of the held-out images among them.
        supervision: kind of these masks: pseudo_masks, corrected, ground_truth or given.
        training_images: number of images trained on.
        validation_images: number of images held out.
        against: what the held-out images were scored against, in words.
    """

    validation_miou: float | None
    masks: str
    supervision: str
    training_images: int
    validation_images: int
    against: str = "held-out masks of the same folder"


def write_scores(path: Path, scores: Scores) -> None:
    """Write a file of scores."""
    write_json(path, asdict(scores))


def read_scores(path: Path) -> Scores | None:
    """Read a file of scores; None where it does not exist.

    Raises:
        SwtformerError: the file is damaged or holds something else.
    """
    return read_notes(path, Scores, remedy="Make it again with `swtformer evaluate`.")


def write_held_out_scores(trained: Run, scores: HeldOutScores) -> None:
    """Write scores.json of a segmentation network's folder."""
    write_json(trained.scores_file, asdict(scores))


def read_held_out_scores(trained: Run) -> HeldOutScores | None:
    """Read scores.json of a segmentation network's folder; None where its training has not finished.

    Raises:
        SwtformerError: the file is damaged or holds something else.
    """
    remedy = "Make it again with `swtformer segment`."
    return read_notes(trained.scores_file, HeldOutScores, remedy=remedy)


def _rank(policy: str, order: Sequence[str]) -> int:
    if policy == "oracle":
        return len(order) + 1
    return order.index(policy) if policy in order else len(order)
