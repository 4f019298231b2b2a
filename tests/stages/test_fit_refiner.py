"""Fitting on squares with a tiny untrained model: weights are kept while what they come from is the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.models import tiny
from support.squares import draw_squares, quick_settings
from swtformer.datasets.records import ImageSet
from swtformer.methods import create_model
from swtformer.methods.pretrained import save_pretrained
from swtformer.run import Run
from swtformer.settings import ModelSettings, Settings
from swtformer.stages.localize import localize
from swtformer.stages.refine import refine

FIT = {"method": "psa", "fit_epochs": 1, "fit_crop_px": 32, "fit_batch_size": 2, "walk_steps": 8}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, ImageSet]:
    folder = tmp_path_factory.mktemp("fit")
    data = draw_squares(folder).subset([0, 1, 2])
    tiny()  # fixes the seed of the weights
    model = create_model(ModelSettings(backbone="swin_nano", weights="none"), ("red", "green"))
    run = Run(folder / "run")
    run.write_settings(settings())
    save_pretrained(model, run.model)
    localize(run, data)
    return run, data


def settings(**changes: Any) -> Settings:
    return quick_settings(refine={**FIT, "accelerator": "cpu", **changes})


def refine_and_watch(made: tuple[Run, ImageSet], **changes: Any) -> set[str]:
    stages = set()
    run, data = made
    refine(run, data, settings=settings(**changes), progress=lambda stage, *_: stages.add(stage))
    return stages


def test_a_fit_is_kept_while_what_it_comes_from_is_the_same(made: tuple[Run, ImageSet]) -> None:
    run, data = made
    assert "fit psa" in refine_and_watch(made)
    weights = run.refined_model("psa")
    first = weights.read_bytes()
    assert refine_and_watch(made) == {"refine"}
    assert weights.read_bytes() == first
    weights.write_bytes(first[:-10])
    assert "fit psa" in refine_and_watch(made)
    assert weights.read_bytes() == first  # the same again
    assert refine(run, data, settings=settings()).reused == 3
    flipped = bytearray(first)
    flipped[-100] ^= 1  # a byte of a weight: still a whole safetensors file
    weights.write_bytes(flipped)
    assert "fit psa" in refine_and_watch(made)
    assert weights.read_bytes() == first
    assert "fit psa" in refine_and_watch(made, fit_confident=0.5)


def test_images_that_cannot_be_read_are_not_fitted_on(made: tuple[Run, ImageSet], tmp_path: Path) -> None:
    run, data = made
    record = data.records[0]
    whole = record.image.read_bytes()
    try:
        record.image.write_bytes(whole[:-20])
        result = refine(run, data, settings=settings(fit_confident=0.7))
    finally:
        record.image.write_bytes(whole)
    assert [failure.id for failure in result.failures] == ["0"]
    assert result.done == 2
