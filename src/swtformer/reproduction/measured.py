"""What was measured of the rows, over seeds, and whether it may stand beside what was published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev

from torch import Tensor

from swtformer.functional.scores import mean_iou
from swtformer.reproduction.rows import PUBLISHED_IMAGES, Published, Row, TableName
from swtformer.settings import Settings

PRETRAINED = "pretrained"


@dataclass(frozen=True)
class Measured:
    """One figure of one row.

    Attributes:
        published: what stands beside it.
        values: of each seed, in [0, 1]: mIoU at the label-free threshold or by the maps' own background; mAP
            per image for a classifier.
        others: of each seed, with the best threshold of a sweep, which uses the ground truth; mAP per class
            for a classifier.
        counts: (I, N, N+1) counts of each image behind `values`, summed over seeds; None for a classifier.
        unlike: why the published figure is no comparison, in words; empty where it is one.
    """

    published: Published
    values: tuple[float, ...]
    others: tuple[float, ...]
    counts: Tensor | None
    unlike: tuple[str, ...]


@dataclass(frozen=True)
class MeasuredRow:
    """One row of a table.

    Attributes:
        row: what it is.
        backbone: of the run that is scored.
        table: its figure in the table's own column.
        full: the whole method; None where there is none of its own, or the table has none.
    """

    row: Row
    backbone: str
    table: Measured
    full: Measured | None


@dataclass(frozen=True)
class Reproduction:
    """A table with what was measured for it.

    Attributes:
        table: which.
        rows: from top to bottom.
        seeds: of the trainings.
        classes: label names, background first.
        over: labels that means run over.
        scored: what was scored, in words, such as "voc/train, 1,464 images".
        companions: for each class the one that it is most often seen with and the share of its images; from
            the image labels.
    """

    table: TableName
    rows: tuple[MeasuredRow, ...]
    seeds: tuple[int, ...]
    classes: tuple[str, ...]
    over: tuple[int, ...]
    scored: str
    companions: Mapping[str, tuple[str, float]]


def spread(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean, and standard deviation of the sample; None of one value."""
    return mean(values), stdev(values) if len(values) > 1 else None


def differences(row: Row, settings: Settings, *, table: TableName, images: int | None) -> list[str]:
    """Why a run's figure is not comparable to the published one; empty where it is.

    Args:
        row: what was published.
        settings: those that the run was made with.
        table: whose published figure is meant.
        images: number of scored images; None where they are a held-out part of those trained on.
    """
    own = row.settings({}, seed=0)
    found = []
    wanted = PUBLISHED_IMAGES[table]
    if images != wanted:
        ours = "a held-out part of the training images" if images is None else f"{images:,} images"
        found.append(f"{ours} in place of VOC's {wanted:,}")
    if settings.model.weights != PRETRAINED:
        started = "random weights" if settings.model.weights == "none" else "weights from a file"
        found.append(f"{started} in place of {row.about.pretraining}")
    for name, given, theirs in (
        ("backbone", settings.model.backbone, own.model.backbone),
        ("epochs", settings.train.epochs, own.train.epochs),
        ("scales", settings.localize.scales, own.localize.scales),
        ("crop_px", settings.train.crop_px, own.train.crop_px),
    ):
        if given != theirs:
            found.append(f"{name} {_plain(given)} in place of {_plain(theirs)}")
    return found


def _plain(value: object) -> str:
    return ", ".join(f"{item:g}" for item in value) if isinstance(value, tuple) else str(value)


def pooled_miou(counts: Tensor, over: Sequence[int]) -> float:
    """mIoU of the counts of all images together."""
    return float(mean_iou(counts.sum(0), over=over))


def confusion_ratio(counts: Tensor) -> Tensor:
    """(N,) false alarms over hits of each label: how much else a class takes with it.

    The confusion ratio of Lee et al. (Railroad is not a Train, CVPR 2021), over background and all classes.

    Args:
        counts: (N, N) or (N, N+1), rows truths.
    """
    square = counts[:, : counts.shape[0]].double()
    hits = square.diagonal()
    return (square.sum(0) - hits) / hits
