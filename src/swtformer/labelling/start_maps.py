"""Maps of all channels, background first, as refinement and pseudo-labels start from them."""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from typing import Literal

import torch
from torch import Tensor

from swtformer.errors import SettingsError
from swtformer.functional.thresholds import STEPS
from swtformer.labelling.mask_rule import CAM_ARGMAX_THRESHOLD, first_whole, pooled_threshold
from swtformer.store.maps import ClassActivationMaps, Source
from swtformer.store.notes import Made
from swtformer.store.run import Run


def source_of(run: Run, ids: Sequence[str], wanted: Literal["auto", "cam", "rcam"]) -> Made:
    """The maps of a run to start from; auto takes R-CAMs where the method makes them.

    Raises:
        SwtformerError: R-CAMs are wanted and were not made, or no maps can be read.
    """
    first = first_whole(run, ids)
    if wanted == "auto":
        return "cam" if first.rcam is None else "rcam"
    first.channels(wanted)
    return wanted


def require_source(source: str, background: str) -> None:
    """Refuse maps that leave pixels without a class where every pixel has one.

    Args:
        source: `refine.source` or `mask.source`.
        background: `data.background`.

    Raises:
        SettingsError: CAMs are wanted, and there is no background.
    """
    if source == "cam" and background == "none":
        raise SettingsError(
            "With data.background none every pixel has a class, but CAMs are 0 where no class is found. "
            "Leave refine.source and mask.source at auto, which takes R-CAMs."
        )


def label_free_power(run: Run, ids: Sequence[str]) -> float:
    """Power p at which a CAM's background (1 − max)^p wins up to the label-free threshold of all CAMs.

    Eq. 3 is p = 1 and wins up to ½, which is far above the scores of most of an object.
    """
    return power_for(pooled_threshold(run, ids, "cam"))


def power_for(threshold: float) -> float:
    """Power p at which the background (1 − max)^p wins up to a threshold t of the maximum: (1 − t)^p = t.

    Args:
        threshold: in [0, 1]; clamped to [1/100, ½].
    """
    threshold = min(max(threshold, 1 / STEPS), CAM_ARGMAX_THRESHOLD)
    return log(threshold) / log(1 - threshold)


def all_channels(maps: ClassActivationMaps, source: Source, *, power: float) -> Tensor:
    """(K+1, h, w) float32 maps in [0, 1], background first; that of CAMs is (1 − max)^power.

    Raises:
        SwtformerError: there are no maps of this kind.
    """
    channels = torch.from_numpy(maps.channels(source))
    if source == "cam":
        channels[0] **= power
    return channels
