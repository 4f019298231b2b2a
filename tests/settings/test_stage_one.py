"""Defaults and limits from the data to the scores of maps."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from support.setting_values import NOT_FINITE, require_closed, require_limit, with_value
from swtformer.settings import DataSettings, EvaluateSettings, LocalizeSettings, ModelSettings, TrainSettings


def test_the_papers_own_recipe_is_the_default() -> None:
    train = TrainSettings()
    assert (train.batch_size, train.epochs, train.crop_px) == (16, 30, 224)
    assert ModelSettings().backbone == "swin_tiny_patch4_window7_224"
    assert LocalizeSettings().scales == (0.5, 1.0, 1.5, 2.0)


def test_masks_lie_on_the_stored_grid_and_every_policy_is_scored_unless_said_otherwise() -> None:
    assert DataSettings().exif == "raw"
    assert EvaluateSettings().policies == ("fixed", "argmax", "label_free", "oracle")


def test_views_in_turn_need_mirror_images() -> None:
    assert LocalizeSettings().mirrored is True
    assert LocalizeSettings(views="in_turn").mirrored == "in_turn"
    assert LocalizeSettings(views="in_turn", flip=False).mirrored is False


@pytest.mark.parametrize(
    ("place", "lowest", "below"),
    [
        ("data.validation_fraction", 0, -0.01),
        ("model.drop_path", 0, -0.01),
        ("train.batch_size", 1, 0),
        ("train.freeze_stages", 0, -1),
        ("train.crop_px", 32, 31),
        ("train.long_side_px", (1, 1), (0, 1)),
        ("localize.scales", (0.1,), ()),
        ("localize.scales", (0.1,), (0.5, 0)),
        ("localize.class_threshold", 0, -0.01),
        ("localize.stride", 1, 0),
        ("localize.batch_size", 1, 0),
        ("localize.workers", 0, -1),
        ("mask.threshold", 0, -0.01),
        ("evaluate.threshold", 0, -0.01),
        ("evaluate.policies", ("oracle",), ()),
    ],
)
def test_lower_limits(place: str, lowest: Any, below: Any) -> None:
    require_limit(place, lowest, below, match="greater than|at least")


@pytest.mark.parametrize(
    ("place", "highest", "above"),
    [
        ("data.validation_fraction", 0.99, 1),
        ("model.drop_path", 0.99, 1),
        ("train.freeze_stages", 4, 5),
        ("localize.class_threshold", 1, 1.01),
        ("mask.threshold", 1, 1.01),
        ("evaluate.threshold", 1, 1.01),
    ],
)
def test_upper_limits(place: str, highest: Any, above: Any) -> None:
    require_limit(place, highest, above, match="less than")


@pytest.mark.parametrize("value", NOT_FINITE)
@pytest.mark.parametrize("place", ["train.learning_rate", "train.weight_decay"])
def test_numbers_are_finite(place: str, value: float) -> None:
    with pytest.raises(ValidationError, match="finite number"):
        with_value(place, value)
    with pytest.raises(ValidationError, match="finite number"):
        with_value("localize.scales", (1.0, value))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("data.exif", "upright"),
        ("train.augmentation", "voc"),
        ("localize.classes", "all"),
        ("localize.seeds", "none"),
        ("localize.precision", "fp64"),
        ("localize.accelerator", "cuda"),
        ("mask.source", "maps"),
        ("mask.policy", "oracle"),
        ("evaluate.maps", "cam"),
        ("evaluate.policies", ("auto",)),
        ("evaluate.missing", "skip"),
    ],
)
def test_choices_are_closed(place: str, value: Any) -> None:
    """`oracle` uses the ground truth: it may be scored, and no mask may be made by it."""
    require_closed(place, value)


@pytest.mark.parametrize("place", ["data.format", "model.method"])
def test_a_plugin_that_is_not_registered_is_refused(place: str) -> None:
    with pytest.raises(ValidationError, match=r"Unknown (format|method) 'vox'"):
        with_value(place, "vox")
