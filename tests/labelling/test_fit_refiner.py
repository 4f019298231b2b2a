"""Fitting on squares with a tiny untrained model: weights are kept while what they come from is the same."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from support.models import tiny
from support.squares import draw_squares, quick_settings
from swtformer.datasets.records import ImageSet
from swtformer.engine.checkpoint_files import newest_checkpoint
from swtformer.errors import SettingsError
from swtformer.methods import create_model
from swtformer.methods.pretrained import save_pretrained
from swtformer.settings import ModelSettings, Settings
from swtformer.stages.localize import localize
from swtformer.stages.refine import refine
from swtformer.store.run import Run

FIT = {
    "method": "psa",
    "fit_precision": "fp32",
    "fit_epochs": 1,
    "fit_crop_px": 32,
    "fit_batch_size": 2,
    "walk_steps": 8,
}


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


def stopped(run: Run, data: ImageSet, **changes: Any) -> None:
    """Stop a fit of two steps an epoch in its second epoch."""

    def progress(stage: str, done: int, total: int, note: str = "") -> None:
        if stage == "fit psa" and done == 3:
            raise KeyboardInterrupt

    run.refined_model("psa").unlink(missing_ok=True)
    with pytest.raises(KeyboardInterrupt):
        refine(run, data, settings=settings(**changes), progress=progress)
    assert not run.refined_model("psa").exists()


def fitted_steps(run: Run, data: ImageSet, **changes: Any) -> list[int]:
    """The steps that a fit takes."""
    steps = []

    def progress(stage: str, done: int, total: int, note: str = "") -> None:
        if stage == "fit psa":
            steps.append(done)

    refine(run, data, settings=settings(**changes), progress=progress)
    return steps


def test_a_stopped_fit_goes_on_and_ends_with_the_same_weights(made: tuple[Run, ImageSet]) -> None:
    run, data = made
    run.refined_model("psa").unlink(missing_ok=True)
    assert fitted_steps(run, data, fit_epochs=3) == [1, 2, 3, 4, 5, 6]
    whole = run.refined_model("psa").read_bytes()
    stopped(run, data, fit_epochs=3)
    assert [path.name for path in sorted(run.refined_fit("psa").glob("*.ckpt"))] == ["epoch-0001.ckpt"]
    assert fitted_steps(run, data, fit_epochs=3) == [3, 4, 5, 6]
    assert run.refined_model("psa").read_bytes() == whole
    assert not run.refined_fit("psa").exists()


def test_the_states_of_another_fit_do_not_count(made: tuple[Run, ImageSet]) -> None:
    run, data = made
    stopped(run, data, fit_epochs=3)
    stopped(run, data, fit_epochs=3, fit_confident=0.4)
    assert fitted_steps(run, data, fit_epochs=3) == [1, 2, 3, 4, 5, 6]


def test_damaged_states_start_a_fit_over(
    made: tuple[Run, ImageSet], caplog: pytest.LogCaptureFixture
) -> None:
    run, data = made
    stopped(run, data, fit_epochs=3)
    newest = newest_checkpoint(run.refined_fit("psa"))
    newest.write_bytes(newest.read_bytes()[:-1])
    with caplog.at_level(logging.WARNING, logger="swtformer"):
        assert fitted_steps(run, data, fit_epochs=3) == [1, 2, 3, 4, 5, 6]
    assert "No checkpoint is whole" in caplog.text
    assert "The fit starts over." in caplog.text


def test_fp16_on_a_cpu_is_refused_before_images_are_read(made: tuple[Run, ImageSet]) -> None:
    run, data = made
    seen = set()
    with pytest.raises(SettingsError, match="fp16 is not for CPUs"):
        refine(run, data, settings=settings(fit_precision="fp16"), progress=lambda stage, *_: seen.add(stage))
    assert not seen
