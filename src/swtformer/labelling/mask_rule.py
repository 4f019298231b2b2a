"""The mask rule: which maps, and which score the background has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from swtformer.errors import SwtformerError
from swtformer.functional.labels import Foreground, best_foreground, labels_against, labels_at
from swtformer.functional.thresholds import label_free_threshold, score_histogram
from swtformer.settings import MaskSettings
from swtformer.store.maps import ClassActivationMaps
from swtformer.store.run import Run

Source = Literal["cam", "refined"]


Policy = Literal["argmax", "fixed", "label_free"]


CAM_ARGMAX_THRESHOLD = 0.5
"""A CAM's background is 1 − max over the present classes (Eq. 3); it wins up to a maximum of one half."""


@dataclass(frozen=True)
class MaskRule:
    """What turns maps into labels, as masks.json tells it.

    Attributes:
        source: the maps used.
        policy: how the background was decided.
        threshold: the background's score (`functional.labels.labels_at`); None where the refined maps' own
            background channel competes.
    """

    source: Source
    policy: Policy
    threshold: float | None


def ids_with_maps(run: Run) -> list[str]:
    """Ids of the images that have maps.

    Raises:
        SwtformerError: there are none.
    """
    ids = run.map_ids()
    if not ids:
        raise SwtformerError(f"{run.maps} holds no maps; make them with `swtformer localize`.")
    return ids


def source_and_policy(maps: ClassActivationMaps, settings: MaskSettings) -> tuple[Source, Policy]:
    """What the settings mean for maps of this kind: `auto` depends on whether there are refined maps."""
    made: Source = "cam" if maps.refined is None else "refined"
    source = made if settings.source == "auto" else settings.source
    if settings.policy == "auto":
        return source, "argmax" if source == "refined" else "label_free"
    return source, settings.policy


def foreground_maps(maps: ClassActivationMaps, source: Source) -> Tensor:
    """The (K, h, w) maps of the present classes.

    Raises:
        SwtformerError: refined maps are asked for and were not made.
    """
    if source == "cam":
        return torch.from_numpy(maps.cam)
    return _refined(maps)[1:]


def foreground(maps: ClassActivationMaps, source: Source) -> Foreground:
    """The best foreground class of each pixel at full size."""
    return best_foreground(foreground_maps(maps, source), torch.from_numpy(maps.values), maps.size)


def argmax_labels(maps: ClassActivationMaps, source: Source, best: Foreground) -> Tensor:
    """(H, W) uint8 labels where the background competes: R-CAM's own channel, or Eq. 3 for CAMs."""
    if source == "cam":
        return labels_at(best, CAM_ARGMAX_THRESHOLD)
    return labels_against(best, _refined(maps)[0])


def label_image(maps: ClassActivationMaps, rule: MaskRule) -> Tensor:
    """(H, W) uint8 label image of one image.

    Raises:
        SwtformerError: refined maps are asked for and were not made.
    """
    best = foreground(maps, rule.source)
    if rule.threshold is None:
        return argmax_labels(maps, rule.source, best)
    return labels_at(best, rule.threshold)


def _refined(maps: ClassActivationMaps) -> Tensor:
    if maps.refined is None:
        raise SwtformerError(
            "there are no refined maps: the run's method makes CAMs only. Use --mask.source cam, or train "
            "with --model.method swtformer_v2."
        )
    return torch.from_numpy(maps.refined)


def mask_rule(run: Run, ids: list[str], settings: MaskSettings) -> MaskRule:
    """Settle source, policy and threshold before the first mask is written."""
    first = first_whole(run, ids)
    source, policy = source_and_policy(first, settings)
    foreground_maps(first, source)  # refuses refined maps that were never made
    if policy == "fixed":
        return MaskRule(source, policy, settings.threshold)
    if policy == "argmax":
        return MaskRule(source, policy, CAM_ARGMAX_THRESHOLD if source == "cam" else None)
    histogram = score_histogram(torch.zeros(0, 1, 1))
    for id in ids:
        try:
            histogram += score_histogram(foreground_maps(ClassActivationMaps.load(run.map_file(id)), source))
        except SwtformerError:
            continue  # recorded as a failure when its mask is made
    return MaskRule(source, policy, label_free_threshold(histogram))


def first_whole(run: Run, ids: list[str]) -> ClassActivationMaps:
    """The first maps that can be read.

    Raises:
        SwtformerError: none can; the last one's reason.
    """
    for id in ids:
        try:
            return ClassActivationMaps.load(run.map_file(id))
        except SwtformerError as error:
            reason = error
    raise reason
