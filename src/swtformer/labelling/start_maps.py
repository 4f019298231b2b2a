"""Maps of all channels, background first, as refinement and pseudo-labels start from them."""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from typing import Literal

import torch
from torch import Tensor

from swtformer.errors import SwtformerError
from swtformer.functional.thresholds import STEPS, label_free_threshold, score_histogram
from swtformer.labelling.mask_rule import CAM_ARGMAX_THRESHOLD, Source, first_whole
from swtformer.store.maps import ClassActivationMaps
from swtformer.store.run import Run


def source_of(run: Run, ids: Sequence[str], wanted: Literal["auto", "cam", "refined"]) -> Source:
    """The maps to start from; auto takes R-CAMs where the method makes them.

    Raises:
        SwtformerError: R-CAMs are wanted and were not made, or no maps can be read.
    """
    has_refined = first_whole(run, list(ids)).refined is not None
    if wanted == "refined" and not has_refined:
        raise SwtformerError(
            f"{run.maps} holds no R-CAMs: the run's method makes CAMs only. Use --refine.source cam, or "
            "train with --model.method swtformer_v2."
        )
    if wanted == "auto":
        return "refined" if has_refined else "cam"
    return wanted


def label_free_power(run: Run, ids: Sequence[str]) -> float:
    """Power p at which a CAM's background (1 − max)^p wins up to the label-free threshold of all CAMs.

    Eq. 3 is p = 1 and wins up to ½, which is far above the scores of most of an object.
    """
    histogram = score_histogram(torch.zeros(0, 1, 1))
    for id in ids:
        try:
            histogram += score_histogram(torch.from_numpy(ClassActivationMaps.load(run.map_file(id)).cam))
        except SwtformerError:
            continue  # recorded as a failure when its turn comes
    return power_for(label_free_threshold(histogram))


def power_for(threshold: float) -> float:
    """Power p at which the background (1 − max)^p wins up to a threshold t of the maximum: (1 − t)^p = t.

    Args:
        threshold: in [0, 1]; below 1/1000 and above ½ it counts as these.
    """
    threshold = min(max(threshold, 1 / STEPS), CAM_ARGMAX_THRESHOLD)
    return log(threshold) / log(1 - threshold)


def all_channels(maps: ClassActivationMaps, source: Source, *, power: float) -> Tensor:
    """(K+1, h, w) float32 maps in [0, 1]: R-CAMs as they are, CAMs behind a background of (1 − max)^power.

    Raises:
        SwtformerError: R-CAMs are wanted and were not made.
    """
    if source == "refined":
        if maps.refined is None:
            raise SwtformerError("there are no R-CAMs among these maps; make them again with `localize`.")
        return torch.from_numpy(maps.refined).float().clamp(0, 1)
    cam = torch.from_numpy(maps.cam).float().clamp(0, 1)
    highest = cam.amax(0, keepdim=True) if len(cam) else cam.new_zeros(1, *cam.shape[1:])
    return torch.cat([(1 - highest) ** power, cam])
