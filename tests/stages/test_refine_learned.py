"""PSA and IRN in a run: fitted once, whatever of their walk or images changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from support.squares import draw_squares, quick_settings
from swtformer.datasets.records import ImageSet
from swtformer.methods import create_model
from swtformer.methods.pretrained import save_pretrained
from swtformer.settings import ModelSettings, Settings
from swtformer.stages.localize import localize
from swtformer.stages.refine import refine
from swtformer.store.files import read_json
from swtformer.store.maps import ClassActivationMaps
from swtformer.store.run import Run


@pytest.fixture
def data(tmp_path: Path) -> ImageSet:
    folder = tmp_path / "images"
    folder.mkdir()
    return draw_squares(folder).subset([0, 1, 2])


@pytest.fixture
def run(tmp_path: Path, data: ImageSet) -> Run:
    run = Run(tmp_path / "run")
    run.write_settings(settings("psa"))
    torch.manual_seed(0)
    model = create_model(ModelSettings(backbone="swin_nano", weights="none"), data.classes)
    save_pretrained(model, run.model)
    localize(run, data)
    return run


def settings(method: str, source: str = "auto", **options: Any) -> Settings:
    quick = {"fit_crop_px": 32, "fit_epochs": 1, "fit_batch_size": 4, "fit_precision": "fp32"}
    return quick_settings(
        refine={"method": method, "source": source, "accelerator": "cpu", "workers": 0},
        refiner={**quick, "walk_steps": 8, **options},
    )


def stages_of(run: Run, data: ImageSet, wanted: Settings) -> tuple[int, bool]:
    """Maps refined by a call, and whether the network was fitted for it."""
    seen = set()

    def progress(stage: str, done: int, total: int, note: str = "") -> None:
        seen.add(stage)

    result = refine(run, data, settings=wanted, progress=progress)
    return result.done, "fit" in seen


def refined(run: Run, id: str) -> np.ndarray:
    maps = ClassActivationMaps.load(run.refined_map_file(id)).refined
    assert maps is not None
    return maps


def test_fitted_once_and_refined_again_for_another_walk(run: Run, data: ImageSet) -> None:
    assert stages_of(run, data, settings("irn")) == (3, True)
    first = refined(run, "0")
    assert stages_of(run, data, settings("irn")) == (0, False)
    assert stages_of(run, data, settings("irn", walk_beta=3)) == (3, False)
    assert not np.allclose(refined(run, "0"), first)
    assert stages_of(run, data, settings("irn")) == (3, False)
    np.testing.assert_array_equal(refined(run, "0"), first)
    assert stages_of(run, data, settings("irn", fit_confident=0.9)) == (3, True)


def test_images_that_cannot_be_read_are_not_fitted_on(run: Run, data: ImageSet) -> None:
    record = data.records[0]
    record.image.write_bytes(record.image.read_bytes()[:-20])
    result = refine(run, data, settings=settings("psa"))
    assert [failure.id for failure in result.failures] == ["0"]
    assert result.done == 2


def test_the_walk_is_as_long_as_its_start_needs(run: Run, data: ImageSet) -> None:
    """R-CAMs need fewer steps than CAMs; which of them there are, the refiner learns from the run."""
    record = data.records[0]
    for source, steps in (("auto", 32), ("cam", 256)):
        refine(run, data, settings=settings("irn", source, walk_steps=None))
        default = refined(run, record.id)
        refine(run, data, settings=settings("irn", source, walk_steps=steps))
        np.testing.assert_array_equal(refined(run, record.id), default)


def test_the_background_comes_from_the_settings(run: Run, data: ImageSet) -> None:
    refine(run, data, settings=settings("irn", background=0.25))
    assert read_json(run.refined_file)["settings"]["refiner.background"] == 0.25
    np.testing.assert_array_equal(refined(run, "0")[0], np.float16(0.25))
