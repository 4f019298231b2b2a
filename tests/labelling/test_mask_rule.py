"""What settings mean for the maps that there are; the label images are tested with the stage `mask`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from swtformer.functional.thresholds import label_free_threshold, score_histogram
from swtformer.labelling.mask_rule import pooled_threshold, rule_for
from swtformer.settings import MaskSettings
from swtformer.store.maps import Source
from swtformer.store.masks import MaskRule


@pytest.mark.parametrize(
    ("best", "settings", "rule"),
    [
        ("cam", {}, MaskRule("cam", "label_free", 0.25)),
        ("rcam", {}, MaskRule("rcam", "argmax", None)),
        ("refined", {}, MaskRule("refined", "argmax", None)),
        ("rcam", {"source": "cam"}, MaskRule("cam", "label_free", 0.25)),
        ("cam", {"source": "rcam"}, MaskRule("rcam", "argmax", None)),
        ("refined", {"source": "cam"}, MaskRule("refined", "argmax", None)),
        ("cam", {"policy": "argmax"}, MaskRule("cam", "argmax", 0.5)),
        ("rcam", {"policy": "label_free"}, MaskRule("rcam", "label_free", 0.25)),
        ("rcam", {"policy": "fixed", "threshold": 0.4}, MaskRule("rcam", "fixed", 0.4)),
    ],
)
def test_settings_and_maps_decide(best: Source, settings: dict[str, Any], rule: MaskRule) -> None:
    assert rule_for(best, MaskSettings.model_validate(settings), label_free=lambda _: 0.25) == rule


def test_without_many_images_argmax_replaces_the_label_free_threshold() -> None:
    assert rule_for("cam", MaskSettings()) == MaskRule("cam", "argmax", 0.5)
    assert rule_for("rcam", MaskSettings(policy="label_free")) == MaskRule("rcam", "argmax", None)


@pytest.mark.parametrize("source", ["cam", "rcam"])
def test_the_label_free_threshold_is_that_of_all_readable_maps(
    draw: Callable[..., Any], source: Source
) -> None:
    drawn = draw()
    drawn.run.map_file("b").write_bytes(b"")
    histogram = score_histogram(torch.zeros(0, 1, 1))
    for id in ("a", "sub/c"):
        maps = drawn.maps(id)
        foreground = maps.cam if source == "cam" else maps.rcam[1:]
        histogram += score_histogram(torch.from_numpy(foreground))
    threshold = pooled_threshold(drawn.run, ["a", "b", "none", "sub/c"], source)
    assert threshold == label_free_threshold(histogram) > 0
