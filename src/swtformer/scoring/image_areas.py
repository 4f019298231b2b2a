"""Areas of each image's labels, for intervals of differences between methods."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from swtformer.datasets.label_images import read_truth, require_same_size
from swtformer.datasets.records import ImageSet, Record
from swtformer.datasets.truth import records_with_mask
from swtformer.errors import SwtformerError
from swtformer.functional.scores import confusion_matrix, label_areas
from swtformer.in_order import in_order
from swtformer.labelling.mask_rule import label_image
from swtformer.progress import Progress, shown
from swtformer.store.maps import ClassActivationMaps
from swtformer.store.masks import MaskRule
from swtformer.store.run import Run


def image_areas(
    run: Run,
    data: ImageSet,
    rule: MaskRule,
    *,
    missing: Literal["error", "background"] = "error",
    progress: Progress = shown,
) -> Tensor:
    """Areas of the labels in every image with a mask, by a rule.

    Args:
        run: a run with maps of these images, or its refined maps (`RefinedRun`).
        data: images with masks.
        rule: how labels come from maps.
        missing: what to do about an image whose maps cannot be read.
        progress: called for every image.

    Returns:
        (I, 3, N) int64 pixels, in the order of the images' ids; see `label_areas`.

    Raises:
        SwtformerError: maps are missing or damaged, unless they count as background.
        DataError: a mask does not fit its maps.
    """
    records: dict[str, Record] = {record.id: record for record, _ in records_with_mask(data)}

    def areas(predicted: Tensor, truth: Tensor) -> Tensor:
        return label_areas(confusion_matrix(predicted, truth, labels=len(data.classes) + 1))

    def count(id: str) -> Tensor:
        truth = torch.from_numpy(read_truth(records[id], data.classes))
        try:
            maps = ClassActivationMaps.load(run.map_file(id))
        except SwtformerError:
            if missing == "error":
                raise
            return areas(torch.zeros_like(truth), truth)
        require_same_size(maps.size, run.map_file(id), truth.shape, f"its ground truth {records[id].mask}")
        return areas(label_image(maps, rule), truth)

    return torch.stack(list(in_order("count", count, sorted(records), progress)))
