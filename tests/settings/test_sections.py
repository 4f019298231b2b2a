"""The sections themselves: defaults, and the limits of their values."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from swtformer.settings import LocalizeSettings, ModelSettings, Section, Settings, TrainSettings

DEFAULTS = Settings()
SECTIONS = {name: value for name, value in DEFAULTS if isinstance(value, Section)}


def with_value(place: str, value: Any) -> Any:
    """What a setting, named by section and field, holds after it was given a value."""
    *section, field = place.split(".")
    values = {section[0]: {field: value}} if section else {field: value}
    settings = Settings.model_validate(values)
    return getattr(getattr(settings, section[0]) if section else settings, field)


def test_settings_cannot_be_changed_in_place() -> None:
    for section in (DEFAULTS, *SECTIONS.values()):
        name = next(iter(type(section).model_fields))
        with pytest.raises(ValidationError, match="frozen"):
            setattr(section, name, getattr(section, name))


def test_everything_but_the_seed_lies_in_a_section() -> None:
    assert [name for name, _ in DEFAULTS if name not in SECTIONS] == ["seed"]


@pytest.mark.parametrize("name", SECTIONS)
def test_a_section_refuses_what_it_does_not_know(name: str) -> None:
    with pytest.raises(ValidationError, match=rf"{name}\.nothing\n.*not permitted"):
        Settings.model_validate({name: {"nothing": 1}})


def test_the_papers_own_recipe_is_the_default() -> None:
    train = TrainSettings()
    assert (train.batch_size, train.epochs, train.crop_px) == (16, 30, 224)
    assert ModelSettings().backbone == "swin_tiny_patch4_window7_224"
    assert LocalizeSettings().scales == (0.5, 1.0, 1.5, 2.0)


@pytest.mark.parametrize(
    ("place", "lowest", "below"),
    [
        ("seed", 0, -1),
        ("data.validation_fraction", 0, -0.01),
        ("model.drop_path", 0, -0.01),
        ("model.background_weight", 1e-9, 0),
        ("loss.ccl", 0, -1e-9),
        ("loss.ramp_epochs", 0, -1),
        ("train.epochs", 1, 0),
        ("train.batch_size", 1, 0),
        ("train.learning_rate", 1e-12, 0),
        ("train.warmup_fraction", 0, -0.01),
        ("train.clip_norm", 0, -1),
        ("train.accumulate", 1, 0),
        ("train.ema_decay", 0, -0.01),
        ("train.early_stopping_patience", 0, -1),
        ("train.freeze_stages", 0, -1),
        ("train.crop_px", 32, 31),
        ("train.long_side_px", (1, 1), (0, 1)),
        ("train.workers", 0, -1),
        ("localize.scales", (0.1,), ()),
        ("localize.scales", (0.1,), (0.5, 0)),
        ("localize.class_threshold", 0, -0.01),
        ("localize.stride", 1, 0),
        ("mask.threshold", 0, -0.01),
        ("evaluate.threshold", 0, -0.01),
    ],
)
def test_lower_limits(place: str, lowest: Any, below: Any) -> None:
    assert with_value(place, lowest) == lowest
    with pytest.raises(ValidationError, match=r"greater than|at least"):
        with_value(place, below)


@pytest.mark.parametrize(
    ("place", "highest", "above"),
    [
        ("seed", 2**63 - 1, 2**63),
        ("data.validation_fraction", 0.99, 1),
        ("model.drop_path", 0.99, 1),
        ("train.warmup_fraction", 1, 1.01),
        ("train.ema_decay", 0.9999, 1),
        ("train.freeze_stages", 4, 5),
        ("localize.class_threshold", 1, 1.01),
        ("mask.threshold", 1, 1.01),
        ("evaluate.threshold", 1, 1.01),
    ],
)
def test_upper_limits(place: str, highest: Any, above: Any) -> None:
    assert with_value(place, highest) == highest
    with pytest.raises(ValidationError, match="less than"):
        with_value(place, above)


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
@pytest.mark.parametrize("place", ["train.learning_rate", "loss.gsc", "model.background_weight"])
def test_numbers_are_finite(place: str, value: float) -> None:
    with pytest.raises(ValidationError, match="finite number"):
        with_value(place, value)
    with pytest.raises(ValidationError, match="finite number"):
        with_value("localize.scales", (1.0, value))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("data.format", "yolo"),
        ("data.exif", "upright"),
        ("model.method", "swtformer_v3"),
        ("model.kernel", 2),
        ("model.pooling", "max"),
        ("model.norm", "softmax"),
        ("loss.ccl_reading", "paper"),
        ("train.keep", "first"),
        ("train.precision", "fp64"),
        ("localize.classes", "all"),
        ("localize.seeds", "none"),
        ("mask.policy", "oracle"),
        ("evaluate.policies", ("auto",)),
        ("evaluate.missing", "skip"),
    ],
)
def test_choices_are_closed(place: str, value: Any) -> None:
    """`oracle` uses the ground truth: it may be scored, and no mask may be made by it."""
    with pytest.raises(ValidationError, match=r"Input should be '?.* or "):
        with_value(place, value)
