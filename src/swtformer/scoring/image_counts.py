"""Confusion of each image by itself, for intervals of differences between methods."""

from __future__ import annotations

import torch
from torch import Tensor

from swtformer.datasets.label_images import read_truth, require_same_size
from swtformer.datasets.records import ImageSet, Record
from swtformer.datasets.truth import records_with_mask
from swtformer.functional.scores import confusion_matrix
from swtformer.in_order import in_order
from swtformer.labelling.mask_rule import label_image
from swtformer.progress import Progress, shown
from swtformer.store.maps import ClassActivationMaps
from swtformer.store.masks import MaskRule
from swtformer.store.run import Run


def image_counts(run: Run, data: ImageSet, rule: MaskRule, *, progress: Progress = shown) -> Tensor:
    """Count the pixels of every image with a mask under a rule.

    Args:
        run: a run with maps of these images, or its refined maps (`RefinedRun`).
        data: images with masks.
        rule: how labels come from maps.
        progress: called for every image.

    Returns:
        (I, N, N+1) int64, in the order of the images' ids; see `confusion_matrix`.

    Raises:
        SwtformerError: maps are missing or damaged.
        DataError: a mask does not fit its maps.
    """
    records: dict[str, Record] = {record.id: record for record, _ in records_with_mask(data)}

    def count(id: str) -> Tensor:
        truth = torch.from_numpy(read_truth(records[id], data.classes))
        maps = ClassActivationMaps.load(run.map_file(id))
        require_same_size(maps.size, run.map_file(id), truth.shape, f"its ground truth {records[id].mask}")
        return confusion_matrix(label_image(maps, rule), truth, labels=len(data.classes) + 1)

    return torch.stack(list(in_order("count", count, sorted(records), progress)))
