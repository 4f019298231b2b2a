"""One pass over a run's maps: what each image adds to the scores under every policy, and the sums."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from swtformer.datasets.label_images import read_truth, require_same_size
from swtformer.datasets.records import Record
from swtformer.errors import SwtformerError
from swtformer.functional.scores import ImageMean, confusion_matrix, mean_iou
from swtformer.functional.thresholds import (
    LocalConfusion,
    ThresholdSweep,
    confusion_at_thresholds,
    label_free_threshold,
    score_histogram,
)
from swtformer.label_values import IGNORED
from swtformer.labelling.mask_rule import argmax_labels, foreground, foreground_maps
from swtformer.store.maps import ClassActivationMaps, Source
from swtformer.store.masks import Policy
from swtformer.store.refined_maps import require_current
from swtformer.store.run import Run


@dataclass(frozen=True)
class ImageCounts:
    """What one image adds.

    Attributes:
        id: record id.
        histograms: per source, for the label-free threshold; all zero where the maps cannot be read.
        sweeps: per source, confusion at all thresholds; empty without ground truth.
        argmax: (N, N+1) confusion of the maps that bring their own background, by argmax; None for CAMs alone
            or without ground truth.
        curves: per source, mean IoU of this image at all thresholds.
        argmax_miou: (1,) mean IoU of this image by argmax; None as for `argmax`.
        miou: the one of these that follows the run's masks; None without ground truth.
        ignored: number of pixels that the ground truth leaves out.
        probabilities: (C,) of the classifier, where image-level labels are known.
        missing: the maps cannot be read, and the image was scored as all background.
    """

    id: str
    histograms: Mapping[Source, Tensor]
    sweeps: Mapping[Source, LocalConfusion] = field(default_factory=dict)
    argmax: Tensor | None = None
    curves: Mapping[Source, Tensor] = field(default_factory=dict)
    argmax_miou: Tensor | None = None
    miou: Tensor | None = None
    ignored: int = 0
    probabilities: Tensor | None = None
    missing: bool = False


@dataclass(frozen=True)
class MapCounter:
    """Loads the maps of one image and counts; it changes nothing, so threads may share it.

    Attributes:
        run: the run whose maps are counted.
        records: the data set's records by id; images of the run that it lacks only add to the histograms.
        classes: the set's class names, without background.
        sources: the maps that are scored; those that bring their own background come last.
        thresholds: (M,) float32 thresholds of the sweep.
        masks_by: source and policy of the run's masks; the per-image scores follow them.
        over: labels that the means run over.
        made_by: fingerprint that the maps must carry.
        missing: what to do about an image with ground truth and without readable maps.
    """

    run: Run
    records: Mapping[str, Record]
    classes: Sequence[str]
    sources: Sequence[Source]
    thresholds: Tensor
    masks_by: tuple[Source, Policy]
    over: Sequence[int]
    made_by: str
    missing: Literal["error", "background"]

    def __call__(self, id: str) -> ImageCounts:
        """Count one image.

        Raises:
            SwtformerError: its maps are damaged (unless they count as background) or stale.
            DataError: the sizes of maps and ground truth differ, or the ground truth is not a label image.
        """
        record = self.records.get(id)
        mask = None if record is None else record.mask
        truth = None
        if record is not None and mask is not None:
            truth = torch.from_numpy(read_truth(record, self.classes))
        loaded = self._load(id, truth)
        maps = loaded or _blank((1, 1) if truth is None else (truth.shape[0], truth.shape[1]))
        histograms = {source: score_histogram(foreground_maps(maps, source)) for source in self.sources}
        probabilities = None
        if loaded is not None and record is not None and record.present is not None:
            probabilities = torch.from_numpy(maps.probabilities)
        if truth is None:
            return ImageCounts(id, histograms, probabilities=probabilities)
        require_same_size(maps.size, self.run.map_file(id), truth.shape, f"its ground truth {mask}")
        best = {source: foreground(maps, source) for source in self.sources}
        sweeps = {
            source: confusion_at_thresholds(best[source], truth, self.thresholds) for source in self.sources
        }
        curves = {source: self._curve(local) for source, local in sweeps.items()}
        argmax = argmax_miou = None
        last = self.sources[-1]
        if last != "cam":
            decided = argmax_labels(maps, last, best[last])
            argmax = confusion_matrix(decided, truth, labels=len(self.classes) + 1)
            argmax_miou = mean_iou(argmax, over=self.over)[None]
        source, policy = self.masks_by
        by_argmax = policy == "argmax" and source != "cam" and argmax_miou is not None
        return ImageCounts(
            id,
            histograms,
            sweeps,
            argmax,
            curves=curves,
            argmax_miou=argmax_miou,
            miou=argmax_miou if by_argmax else curves[source],
            ignored=int((truth == IGNORED).count_nonzero()),
            probabilities=probabilities,
            missing=loaded is None,
        )

    def _load(self, id: str, truth: Tensor | None) -> ClassActivationMaps | None:
        """The maps of one image; None where they cannot be read and need not be."""
        try:
            maps = ClassActivationMaps.load(self.run.map_file(id))
            maps.channels(self.sources[-1])  # refuses maps without R-CAM among those with
        except SwtformerError:
            if truth is not None and self.missing == "error":
                raise
            return None
        if id not in self.records:
            return maps
        require_current(self.run, id, maps, made_by=self.made_by)
        if len(maps.probabilities) != len(self.classes) or maps.values.max(initial=0) > len(self.classes):
            raise SwtformerError(
                f"{self.run.map_file(id)} was made for another class list: expected {len(self.classes)} "
                f"classes, got {len(maps.probabilities)}. Make the maps again with `swtformer localize`."
            )
        return maps

    def _curve(self, local: LocalConfusion) -> Tensor:
        """(M,) mean IoU of one image at all thresholds."""
        scored = [place for place, label in enumerate(local.labels.tolist()) if label in self.over]
        return mean_iou(local.counts, over=scored)


def _blank(size: tuple[int, int]) -> ClassActivationMaps:
    """Maps of nothing but background."""
    background = np.ones((1, 1, 1), np.float16)
    return ClassActivationMaps(
        values=np.zeros(0, np.int16),
        size=size,
        cam=np.zeros((0, 1, 1), np.float16),
        probabilities=np.zeros(0, np.float32),
        rcam=background,
        refined=background,
    )


class MapTotals:
    """Sums of `ImageCounts` over a data set."""

    def __init__(self, sources: Sequence[Source], thresholds: Tensor, labels: int) -> None:
        self.sweeps = {source: ThresholdSweep(labels, thresholds) for source in sources}
        self.histograms = {source: score_histogram(torch.zeros(0, 1, 1)) for source in sources}
        self.argmax = torch.zeros(labels, labels + 1, dtype=torch.int64)
        self.curves = {source: ImageMean(len(thresholds)) for source in sources}
        self.argmax_miou = ImageMean()
        self.miou: dict[str, Tensor] = {}
        self.probabilities: dict[str, Tensor] = {}
        self.ignored = 0
        self.missing = 0

    def add(self, image: ImageCounts) -> None:
        """Add one image."""
        for source, histogram in image.histograms.items():
            self.histograms[source] += histogram
        for source, local in image.sweeps.items():
            self.sweeps[source].add(local)
        for source, curve in image.curves.items():
            self.curves[source].update(curve)
        if image.argmax is not None:
            self.argmax += image.argmax
        if image.argmax_miou is not None:
            self.argmax_miou.update(image.argmax_miou)
        if image.miou is not None:
            self.miou[image.id] = image.miou
        if image.probabilities is not None:
            self.probabilities[image.id] = image.probabilities
        self.ignored += image.ignored
        self.missing += image.missing

    def truth(self) -> Tensor:
        """(N,) number of scored ground-truth pixels of each label."""
        return next(iter(self.sweeps.values())).counts[0].sum(1)

    def label_free(self, source: Source) -> float:
        """The threshold that `mask` would choose for these maps."""
        return label_free_threshold(self.histograms[source])

    def oracle(self, source: Source, over: Sequence[int]) -> float:
        """The sweep's threshold of the best mean IoU, the lowest of equals; it uses the ground truth."""
        sweep = self.sweeps[source]
        best = int(mean_iou(sweep.counts, over=over).nan_to_num(nan=-1).argmax())
        return float(str(sweep.thresholds.numpy()[best]))  # 0.15, not 0.15000000596

    def confusion(self, source: Source, threshold: float | None) -> Tensor:
        """Confusion over all images at a threshold of the sweep, or by argmax where it is None."""
        if threshold is None:
            return self.argmax
        sweep = self.sweeps[source]
        return sweep.counts[sweep.index(threshold)]

    def miou_per_image(self, source: Source, threshold: float | None) -> float:
        """Mean over images of their mean IoU; the threshold as for `confusion`."""
        if threshold is None:
            return float(self.argmax_miou.means())
        return float(self.curves[source].means()[self.sweeps[source].index(threshold)])

    def miou_of_images(self, source: Source, threshold: float | None) -> dict[str, float]:
        """Mean IoU of each image's mask by id, at a threshold of the sweep, or by argmax where it is None."""
        place = 0 if threshold is None else self.sweeps[source].index(threshold)
        return {id: float(curve[place]) for id, curve in self.miou.items()}
