"""The mask rule: which maps a label image is made from, and which score the background has."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from swtformer.errors import SwtformerError
from swtformer.functional.labels import Foreground, best_foreground, labels_against, labels_at
from swtformer.functional.thresholds import label_free_threshold, score_histogram
from swtformer.settings import MaskSettings
from swtformer.store.failures import Failure, read_failures
from swtformer.store.maps import ClassActivationMaps, Source
from swtformer.store.masks import MaskRule, Policy
from swtformer.store.notes import MapNotes, map_notes, read_notes
from swtformer.store.refined_maps import load_current
from swtformer.store.run import Run

CAM_ARGMAX_THRESHOLD = 0.5
"""A CAM's background is 1 − max over the present classes (Eq. 3); it wins up to a maximum of one half."""


def rule_for(
    best: Source, settings: MaskSettings, *, label_free: Callable[[Source], float] | None = None
) -> MaskRule:
    """The rule that settings mean for maps.

    Args:
        best: the best maps that there are, which the source `auto` takes (`ClassActivationMaps.best`).
        settings: source, policy and threshold. They choose among the maps of the method: where `best` are
            refined maps, these are taken.
        label_free: gives the label-free threshold of maps of a source, which takes the maps of many images.
            Where None, argmax replaces that policy.
    """
    source, policy = source_and_policy(best, settings)
    if policy == "fixed":
        return MaskRule(source, policy, settings.threshold)
    if policy == "label_free" and label_free is not None:
        return MaskRule(source, policy, label_free(source))
    return MaskRule(source, "argmax", CAM_ARGMAX_THRESHOLD if source == "cam" else None)


def source_and_policy(best: Source, settings: MaskSettings) -> tuple[Source, Policy]:
    """Source and policy of `rule_for`; by default CAMs get the label-free threshold and others argmax."""
    source = best if settings.source == "auto" or best == "refined" else settings.source
    if settings.policy == "auto":
        return source, "label_free" if source == "cam" else "argmax"
    return source, settings.policy


def mask_rule(run: Run, ids: Sequence[str], settings: MaskSettings) -> MaskRule:
    """The rule of a run's masks, settled before the first mask is written.

    Raises:
        SwtformerError: there are no maps of the wanted source, or none that can be read.
    """
    first = first_whole(run, ids)
    source, _ = source_and_policy(first.best, settings)
    first.channels(source)  # refuses maps that were never made
    return rule_for(first.best, settings, label_free=lambda source: pooled_threshold(run, ids, source))


def pooled_threshold(run: Run, ids: Sequence[str], source: Source) -> float:
    """The label-free threshold of the maps of several images together; maps that cannot be used do not count.

    Stages record such maps as failures when they come to them.
    """
    histogram, made_by = score_histogram(torch.zeros(0, 1, 1)), map_notes(run).made_by
    for id in ids:
        try:
            histogram += score_histogram(foreground_maps(load_current(run, id, made_by=made_by), source))
        except SwtformerError:
            continue
    return label_free_threshold(histogram)


def label_image(maps: ClassActivationMaps, rule: MaskRule) -> Tensor:
    """(H, W) uint8 label image of one image.

    Raises:
        SwtformerError: there are no maps of the rule's kind.
    """
    best = foreground(maps, rule.source)
    if rule.threshold is None:
        return argmax_labels(maps, rule.source, best)
    return labels_at(best, rule.threshold)


def foreground_maps(maps: ClassActivationMaps, source: Source) -> Tensor:
    """The (K, h, w) maps of the present classes.

    Raises:
        SwtformerError: there are no maps of this kind.
    """
    return torch.from_numpy(maps.channels(source)[1:])


def foreground(maps: ClassActivationMaps, source: Source) -> Foreground:
    """The best foreground class of each pixel at full size."""
    return best_foreground(foreground_maps(maps, source), torch.from_numpy(maps.values), maps.size)


def argmax_labels(maps: ClassActivationMaps, source: Source, best: Foreground) -> Tensor:
    """(H, W) uint8 labels where the background competes: the maps' own channel, or Eq. 3 for CAMs."""
    if source == "cam":
        return labels_at(best, CAM_ARGMAX_THRESHOLD)
    return labels_against(best, torch.from_numpy(maps.channels(source)[0]))


def ids_with_maps(run: Run) -> list[str]:
    """Ids of the images that have maps.

    Raises:
        SwtformerError: there are none.
    """
    ids = run.map_ids()
    if not ids:
        raise SwtformerError(f"{run.maps} holds no maps; make them with `swtformer localize`.")
    return ids


def without_maps(run: Run, stage: str) -> list[Failure]:
    """A stage's rows for images whose maps `localize` has not made, or whose files vanished since.

    Images that `localize` could not use have its own rows.
    """
    notes = read_notes(run.maps_file, MapNotes)
    if notes is None:
        return []
    known = {failure.id for failure in read_failures(run) if failure.stage == "localize"}
    known.update(run.map_ids())
    reason = "its maps were never made, or the file is gone; `swtformer localize` makes them."
    return [
        Failure(id, stage, str(run.map_file(id)), f"{id}: {reason}") for id in notes.ids if id not in known
    ]


def first_whole(run: Run, ids: Sequence[str]) -> ClassActivationMaps:
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
