"""Defaults and limits from refined maps to exported masks."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from support.setting_values import NOT_FINITE, require_closed, require_limit, with_value
from swtformer.settings import ExportSettings, PredictSettings, RefineSettings


def test_an_export_keeps_all_that_masks_hold_and_copies_nothing_unasked() -> None:
    export = ExportSettings()
    assert (export.objects, export.ignored, export.images) == ("class", "keep", "none")


def test_windows_by_default_overlap_by_less_than_half() -> None:
    predict = PredictSettings()
    assert 2 * predict.overlap_px < predict.window_px


@pytest.mark.parametrize(
    ("place", "lowest", "below"),
    [
        ("refine.background_power", 1e-9, 0),
        ("refine.batch_size", 1, 0),
        ("refine.workers", 0, -1),
        ("pseudo_label.margin", 0, -0.01),
        ("pseudo_label.high", 0, -0.01),
        ("pseudo_label.low", 0, -0.01),
        ("pseudo_label.keep", 0.01, 0),
        ("segment.validation_fraction", 0, -0.01),
        ("segment.dice", 0, -1e-9),
        ("segment.presence", 0, -1e-9),
        ("segment.crop_px", 32, 31),
        ("segment.scale", (1e-9, 1), (0, 1)),
        ("segment.jitter", 0, -0.01),
        ("segment.batch_size", 2, 1),
        ("predict.scales", (0.1,), ()),
        ("predict.scales", (0.1,), (1, 0)),
        ("predict.presence", 0, -0.01),
        ("predict.window_px", 64, 60),
        ("predict.overlap_px", 8, 4),
        ("predict.workers", 0, -1),
    ],
)
def test_lower_limits(place: str, lowest: Any, below: Any) -> None:
    require_limit(place, lowest, below, match="greater than|at least")


@pytest.mark.parametrize(
    ("place", "highest", "above"),
    [
        ("pseudo_label.margin", 1, 1.01),
        ("pseudo_label.high", 1, 1.01),
        ("pseudo_label.low", 1, 1.01),
        ("pseudo_label.keep", 1, 1.01),
        ("segment.validation_fraction", 0.99, 1),
        ("segment.jitter", 1, 1.01),
        ("predict.presence", 1, 1.01),
    ],
)
def test_upper_limits(place: str, highest: Any, above: Any) -> None:
    require_limit(place, highest, above, match="less than")


@pytest.mark.parametrize("place", ["predict.window_px", "predict.overlap_px"])
def test_windows_lie_on_the_grid_of_the_networks_output(place: str) -> None:
    require_limit(place, 256, 258, match="multiple of 4")


@pytest.mark.parametrize("value", NOT_FINITE)
@pytest.mark.parametrize("place", ["refine.background_power", "segment.dice"])
def test_numbers_are_finite(place: str, value: float) -> None:
    with pytest.raises(ValidationError, match="finite number"):
        with_value(place, value)
    with pytest.raises(ValidationError, match="finite number"):
        with_value("segment.scale", (1.0, value))


@pytest.mark.parametrize("place", ["background_power", "batch_size"])
def test_what_depends_on_the_maps_or_machine_is_left_open(place: str) -> None:
    assert getattr(RefineSettings(), place) is None


def test_a_refiner_that_is_not_registered_is_refused() -> None:
    with pytest.raises(ValidationError, match="Unknown refiner 'crf'"):
        with_value("refine.method", "crf")


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("refine.source", "maps"),
        ("refine.accelerator", "cuda"),
        ("pseudo_label.source", "cam"),
        ("pseudo_label.rule", "oracle"),
        ("segment.decoder", "unet"),
        ("segment.weighting", "focal"),
        ("predict.network", "best"),
        ("predict.exif", "upright"),
        ("predict.precision", "fp64"),
        ("predict.accelerator", "cuda"),
        ("export.objects", "instance"),
        ("export.ignored", "background"),
        ("export.images", "link"),
    ],
)
def test_choices_are_closed(place: str, value: Any) -> None:
    require_closed(place, value)
