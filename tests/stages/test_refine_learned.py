"""Refiners that are fitted to a run: once, again only when what they learn from changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.models import tiny
from support.squares import draw_squares, quick_settings
from swtformer.datasets.records import ImageSet
from swtformer.errors import CheckpointError
from swtformer.methods import create_model
from swtformer.methods.pretrained import save_pretrained
from swtformer.settings import ModelSettings, Settings
from swtformer.stages.localize import localize
from swtformer.stages.refine import refine
from swtformer.store.files import read_json
from swtformer.store.maps import ClassActivationMaps
from swtformer.store.models import WEIGHTS
from swtformer.store.run import Run


@pytest.fixture
def data(tmp_path: Path) -> ImageSet:
    folder = tmp_path / "images"
    folder.mkdir()
    return draw_squares(folder).subset([0, 1, 2, 3, 4])


@pytest.fixture
def run(tmp_path: Path, data: ImageSet) -> Run:
    tiny()  # fixes the seed of the weights
    model = create_model(ModelSettings(backbone="swin_nano", weights="none"), ("red", "green"))
    run = Run(tmp_path / "run")
    run.write_settings(quick_settings())
    save_pretrained(model, run.model)
    localize(run, data)
    return run


def settings(method: str, **changes: Any) -> Settings:
    quick = {"fit_crop_px": 32, "fit_epochs": 1, "fit_batch_size": 4, "walk_steps": 16}
    return quick_settings(refine={"method": method, **quick, **changes})


def stages_of(run: Run, data: ImageSet, wanted: Settings) -> tuple[int, bool]:
    """Maps refined by a call, and whether the network was fitted for it."""
    seen = set()

    def progress(stage: str, done: int, total: int, note: str = "") -> None:
        seen.add(stage)

    result = refine(run, data, settings=wanted, progress=progress)
    return result.done, f"fit {wanted.refine.method}" in seen


@pytest.mark.parametrize("method", ["psa", "irn"])
def test_fitted_once_and_refined(method: str, run: Run, data: ImageSet) -> None:
    assert stages_of(run, data, settings(method)) == (5, True)
    assert run.refined_model(method).is_file()
    assert read_json(run.refined_file)["method"] == method
    for record in data.records:
        made = ClassActivationMaps.load(run.refined_map_file(record.id))
        assert made.refined is not None
        assert len(made.refined) == len(record.present or ()) + 1
        assert made.refined.min() >= 0
        assert made.refined.max() <= 1
    assert stages_of(run, data, settings(method)) == (0, False)


def test_fitted_again_only_for_what_it_learns_from(run: Run, data: ImageSet) -> None:
    refine(run, data, settings=settings("irn"))
    first = run.refined_model("irn").read_bytes()
    assert stages_of(run, data, settings("irn", walk_beta=3)) == (5, False)
    assert stages_of(run, data, settings("irn", walk_beta=3, crf_certainty=0.6))[1] is False
    assert stages_of(run, data, settings("irn", fit_confident=0.9)) == (5, True)
    assert run.refined_model("irn").read_bytes() != first
    assert stages_of(run, data, settings("irn")) == (5, True)
    assert run.refined_model("irn").read_bytes() == first


def test_damaged_weights_or_another_model_are_fitted_again(run: Run, data: ImageSet) -> None:
    refine(run, data, settings=settings("irn"))
    path = run.refined_model("irn")
    path.write_bytes(path.read_bytes()[:1000])
    assert stages_of(run, data, settings("irn")) == (0, True)
    save_pretrained(
        create_model(ModelSettings(backbone="swin_nano", weights="none"), data.classes), run.model
    )
    assert stages_of(run, data, settings("irn")) == (5, True)


def test_the_loaded_network_is_the_fitted_one(run: Run, data: ImageSet) -> None:
    refine(run, data, settings=settings("psa"))
    path = run.refined_map_file(data.records[0].id)
    fitted = ClassActivationMaps.load(path).refined
    path.unlink()
    assert stages_of(run, data, settings("psa")) == (1, False)
    loaded = ClassActivationMaps.load(path).refined
    assert fitted is not None
    assert loaded is not None
    np.testing.assert_array_equal(loaded, fitted)


def test_the_run_s_model_is_needed(run: Run, data: ImageSet) -> None:
    (run.model / WEIGHTS).unlink()
    with pytest.raises(CheckpointError, match=WEIGHTS):
        refine(run, data, settings=settings("psa"))


def test_the_walk_is_as_long_as_its_start_needs(run: Run, data: ImageSet) -> None:
    refine(run, data, settings=settings("irn", walk_steps=None))
    assert (read_json(run.refined_file)["source"], read_json(run.refined_file)["walk_steps"]) == (
        "refined",
        32,
    )
    made = ClassActivationMaps.load(run.refined_map_file(data.records[0].id)).refined
    assert stages_of(run, data, settings("irn", walk_steps=32)) == (0, False)
    assert stages_of(run, data, settings("irn", walk_steps=31)) == (5, False)
    refine(run, data, settings=settings("irn", walk_steps=None, source="cam"))
    assert [read_json(run.refined_file)[key] for key in ("source", "walk_steps")] == ["cam", 256]
    other = ClassActivationMaps.load(run.refined_map_file(data.records[0].id)).refined
    assert made is not None
    assert other is not None
    assert not np.allclose(made, other)
