"""The weights of a learned refiner: kept while what they come from is the same, fitted again otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

from support.blocks import draw_blocks
from support.models import tiny
from support.toy_refiners import Texture, registered_toys
from swtformer.engine.checkpoint_files import newest_checkpoint
from swtformer.errors import CheckpointError, SettingsError
from swtformer.methods.pretrained import save_pretrained
from swtformer.refiners import create_refiner
from swtformer.refiners.psa import PSA
from swtformer.settings import Settings
from swtformer.store.models import WEIGHTS
from swtformer.store.run import Run
from swtformer.training.refiner_weights import fit_or_load, load_fitted


@pytest.fixture(autouse=True, scope="module")
def toys() -> Iterator[None]:
    with registered_toys():
        yield


@dataclass
class Fits:
    """A run with an untrained model, and calls of `fit_or_load` on three examples; two steps an epoch."""

    run: Run
    steps: list[int] = field(default_factory=list)
    network: dict[str, torch.Tensor] = field(default_factory=dict)

    def call(
        self,
        *,
        name: str = "toy_texture",
        made_from: str = "maps",
        seed: int = 0,
        stop: int = 0,
        **options: Any,
    ) -> str:
        """The fingerprint of the weights; the steps of the fit are in `steps`."""

        def progress(stage: str, done: int, total: int, note: str = "") -> None:
            self.steps.append(done)
            if done == stop:
                raise KeyboardInterrupt

        quick = {"fit_epochs": 3, "fit_batch_size": 2, "fit_precision": "fp32", "fit_side_px": 32}
        refiner = create_refiner(name, quick | options if name == "toy_texture" else options)
        self.steps = []
        made = fit_or_load(
            refiner,
            draw_blocks(3),
            run=self.run,
            made_from=made_from,
            settings=Settings.model_validate({"seed": seed, "refine": {"workers": 0}}),
            progress=progress,
        )
        self.network = refiner.network.state_dict()
        return made

    @property
    def weights(self) -> Path:
        return self.run.refined_model("toy_texture")

    @property
    def folder(self) -> Run:
        return Run(self.run.refined_fit("toy_texture"))


@pytest.fixture
def fits(tmp_path: Path) -> Fits:
    save_pretrained(tiny(), tmp_path / "model")
    return Fits(Run(tmp_path))


def test_weights_are_fitted_once_and_loaded(fits: Fits) -> None:
    first = fits.call()
    assert fits.steps == [1, 2, 3, 4, 5, 6]
    fitted, file = fits.network, fits.weights.read_bytes()
    assert fits.folder.metrics_file.is_file()
    assert not fits.folder.checkpoints.exists()
    assert fits.call() == first
    assert fits.steps == []
    assert all(torch.equal(fits.network[name], value) for name, value in fitted.items())
    assert fits.weights.read_bytes() == file


@pytest.mark.parametrize("change", ["cut", "flipped", "missing"])
def test_damaged_weights_are_fitted_again(fits: Fits, change: str) -> None:
    fits.call(fit_epochs=1)
    whole = fits.weights.read_bytes()
    if change == "cut":
        fits.weights.write_bytes(whole[:-10])
    elif change == "flipped":
        fits.weights.write_bytes(whole[:-100] + bytes([whole[-100] ^ 1]) + whole[-99:])
    else:
        fits.weights.unlink()
    fits.call(fit_epochs=1)
    assert fits.steps == [1, 2]
    assert fits.weights.read_bytes() == whole


def test_weights_are_fitted_again_for_what_they_come_from(
    fits: Fits, monkeypatch: pytest.MonkeyPatch
) -> None:
    fits.call(fit_epochs=1)
    for change in ({"fit_learning_rate": 1e-3}, {"made_from": "other maps"}, {"seed": 1}):
        fits.call(fit_epochs=1, **change)
        assert fits.steps == [1, 2], change
    # Another model.
    model = tiny()
    with torch.no_grad():
        next(model.backbone.parameters()).mul_(2)
    save_pretrained(model, fits.run.model)
    fits.call(fit_epochs=1)
    assert fits.steps == [1, 2]
    # A network that its author has changed since.
    build = Texture.build

    def build_another(self: Texture, backbone: Any) -> None:
        build(self, backbone)
        self.network.layer = torch.nn.Conv2d(backbone.channels[0], 2, 1, bias=False)

    monkeypatch.setattr(Texture, "build", build_another)
    fits.call(fit_epochs=1)
    assert fits.steps == [1, 2]


def test_options_of_the_walk_do_not_fit_psa_again(fits: Fits) -> None:
    quick = {"fit_epochs": 1, "fit_crop_px": 32, "fit_precision": "fp32"}
    first = fits.call(name=PSA.name, **quick)
    assert fits.call(name=PSA.name, **quick, walk_beta=3, walk_steps=4, walk_radius=3) == first
    assert fits.steps == []
    # The dense CRF's options count only where it confirms labels.
    assert fits.call(name=PSA.name, **quick, crf_certainty=0.6) == first
    fits.call(name=PSA.name, **quick, fit_labels="dense_crf")
    assert fits.steps == [1]
    fits.call(name=PSA.name, **quick, fit_labels="dense_crf", crf_certainty=0.6)
    assert fits.steps == [1]


def test_a_stopped_fit_resumes_and_ends_with_the_same_weights(fits: Fits) -> None:
    whole = fits.call()
    fits.weights.unlink()
    with pytest.raises(KeyboardInterrupt):
        fits.call(stop=3)
    assert not fits.weights.exists()
    assert [path.name for path in fits.folder.checkpoints.glob("*.ckpt")] == ["epoch-0001.ckpt"]
    assert fits.call() == whole
    assert fits.steps == [3, 4, 5, 6]


def test_checkpoints_of_another_fit_and_damaged_ones_do_not_count(fits: Fits) -> None:
    for change in ("seed", "damage"):
        with pytest.raises(KeyboardInterrupt):
            fits.call(stop=3, seed=int(change == "seed"))
        if change == "damage":
            newest = newest_checkpoint(fits.folder.checkpoints)
            newest.write_bytes(newest.read_bytes()[:-1])
        fits.call()
        assert fits.steps == [1, 2, 3, 4, 5, 6]
        fits.weights.unlink()


def test_a_model_with_features_is_needed(fits: Fits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(tiny()), "reusable_features", lambda self: None)
    with pytest.raises(SettingsError, match="'swtformer_v2' has no features"):
        fits.call()
    (fits.run.model / WEIGHTS).unlink()
    with pytest.raises(CheckpointError, match=WEIGHTS):
        fits.call()


def test_several_processes_are_told_how_to_fit_and_load_what_is_fitted(
    fits: Fits, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(KeyboardInterrupt):
        fits.call(stop=4)
    checkpoints = sorted(fits.folder.checkpoints.iterdir())
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(SettingsError, match=r"by one process, but 2 .*without torchrun"):
        fits.call()
    assert sorted(fits.folder.checkpoints.iterdir()) == checkpoints
    monkeypatch.delenv("WORLD_SIZE")
    weights = fits.call()
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert fits.call() == weights
    quick = {"fit_epochs": 3, "fit_batch_size": 2, "fit_precision": "fp32", "fit_side_px": 32}
    another = create_refiner("toy_texture", quick)
    load_fitted(another, run=fits.run)
    assert all(torch.equal(fits.network[name], value) for name, value in another.network.state_dict().items())
