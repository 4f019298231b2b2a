"""What was measured of the rows, over seeds, and whether it may stand beside what was published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from torch import Tensor

from swtformer.reproduction.rows import PUBLISHED_IMAGES, TRAINED_IMAGES, Published, Row, TableName
from swtformer.settings import Settings, differing
from swtformer.store.failures import Failure

PRETRAINED = "pretrained"


@dataclass(frozen=True)
class Measured:
    """One figure of one row.

    Attributes:
        name: what was scored, such as "SEAM, R-CAM, argmax".
        published: what stands beside it.
        values: of each seed, in [0, 1]: mIoU at the label-free threshold or by the maps' own background; mAP
            per image for a classifier.
        others: of each seed, with the best threshold of a sweep, which uses the ground truth; mAP per class
            for a classifier.
        areas: (S, I, 3, N) areas of each seed and image behind `values`, see `label_areas`; None for a
            classifier.
        unlike: why the published figure is no comparison, in words; empty where it is one.
    """

    name: str
    published: Published
    values: tuple[float, ...]
    others: tuple[float, ...]
    areas: Tensor | None
    unlike: tuple[str, ...]


@dataclass(frozen=True)
class MeasuredRow:
    """One row of a table.

    Attributes:
        row: what it is.
        settings: those of the row's own run.
        table: its figure in the table's own column; None where the paper has no such row.
        full: the whole method, in Table 2; None where the table's column has it.
    """

    row: Row
    settings: Settings
    table: Measured | None
    full: Measured | None

    def figures(self) -> list[Measured]:
        """Those that there are, the table's first."""
        return [measured for measured in (self.table, self.full) if measured is not None]


@dataclass(frozen=True)
class Reproduction:
    """A table with what was measured for it.

    Attributes:
        table: which.
        rows: from top to bottom.
        seeds: of the trainings.
        classes: label names, background first.
        over: labels that means run over.
        scored_name: name of the scored images.
        scored: what was scored against what, in words.
        companions: for each class the one that it is most often seen with and the share of its images; from
            the image labels.
        failures: images that runs skipped, by the file that says why.
    """

    table: TableName
    rows: tuple[MeasuredRow, ...]
    seeds: tuple[int, ...]
    classes: tuple[str, ...]
    over: tuple[int, ...]
    scored_name: str
    scored: str
    companions: Mapping[str, tuple[str, float]]
    failures: Mapping[Path, Sequence[Failure]] = field(default_factory=dict)


def spread(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean, and standard deviation of the sample; None of one value."""
    return mean(values), stdev(values) if len(values) > 1 else None


def differences(
    row: Row,
    settings: Settings,
    published: Published,
    *,
    table: TableName,
    images: int | None,
    trained: int,
) -> list[str]:
    """Why a run's figure is not comparable to the published one; empty where it is.

    Args:
        row: whose run is scored.
        settings: those that the run was made with, without the file that its weights came from.
        published: the figure that it stands beside.
        table: of the figure.
        images: number of scored images; None where they are a held-out part of those trained on.
        trained: number of images trained on, validation included.
    """
    found = []
    wanted = PUBLISHED_IMAGES[table]
    if images != wanted:
        ours = "a held-out part of the training images" if images is None else f"{images:,} images"
        found.append(f"{ours} in place of VOC's {wanted:,}")
    if trained != TRAINED_IMAGES:
        found.append(f"training on {trained:,} images in place of VOC's {TRAINED_IMAGES:,}")
    if settings.data.validation_split is None and settings.data.validation_fraction > 0:
        found.append(f"{100 * settings.data.validation_fraction:g} % of the training images held out")
    if settings.model.weights != PRETRAINED:
        started = "random weights" if settings.model.weights == "none" else "weights from a file"
        found.append(f"{started} in place of {row.about.pretraining}")
    sections = ["model", "method", "train", "localize"]
    if published.maps == "refined":
        sections += ["refine", "refiner"]
    theirs, ours_now = (each.shaping(*sections) for each in (row.settings({}, seed=0), settings))
    for name in differing(theirs, ours_now):
        if name not in ("model.weights", "model.bands"):
            found.append(f"{name} {_plain(ours_now.get(name))} in place of {_plain(theirs.get(name))}")
    if settings.evaluate.score_classes is not None:
        found.append(f"a mean over {len(settings.evaluate.score_classes)} classes and the background")
    return found


def _plain(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_plain, value))
    if value is None:
        return "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def confusion_ratio(areas: Tensor) -> Tensor:
    """(N,) false alarms over hits of each label: how much else a class takes with it.

    The confusion ratio of Lee et al. (Railroad is not a Train, CVPR 2021), over background and all classes.

    Args:
        areas: (3, N), see `label_areas`.
    """
    hits, _, predictions = areas.double().unbind()
    return (predictions - hits) / hits
