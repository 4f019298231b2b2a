"""Fitting learned refiners: losses fall, equal seeds give equal weights, stopped fits resume, nan stops."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import torch

from support.blocks import draw_blocks
from support.toy_refiners import Texture, TextureSettings
from support.walkers import METHODS, built, fitted
from swtformer.backbones import create_backbone
from swtformer.errors import DataError, NonFiniteError, SettingsError
from swtformer.functional.affinity import affinity_loss, label_pairs
from swtformer.progress import Progress
from swtformer.refiners import Example
from swtformer.refiners.walk import WalkRefiner
from swtformer.settings import OptimisationSettings
from swtformer.store.run import Run
from swtformer.training.refiner import RefinerModule

QUICK = {
    "fit_crop_px": 64,
    "fit_batch_size": 4,
    "fit_epochs": 1,
    "fit_learning_rate": 5e-3,
    "fit_precision": "fp32",
}


def texture(**options: Any) -> Texture:
    """A toy that is fitted in no time."""
    quick = {"fit_epochs": 2, "fit_batch_size": 2, "fit_precision": "fp32", "fit_learning_rate": 1e-2}
    refiner = Texture(TextureSettings.model_validate({**quick, **options}))
    torch.manual_seed(0)
    refiner.build(create_backbone("swin_nano", weights="none"))
    return refiner


def stop_after(step: int) -> Progress:
    def progress(stage: str, done: int, total: int, note: str = "") -> None:
        if done == step:
            raise KeyboardInterrupt

    return progress


def rows_of(folder: Path) -> list[dict[str, str]]:
    with Run(folder).metrics_file.open(newline="") as stream:
        return list(csv.DictReader(stream))


def assert_same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


def loss_of(refiner: WalkRefiner, examples: list[Example]) -> float:
    """Mean loss at radius 5 over whole images, against labels of the true edges."""
    total = 0.0
    with torch.no_grad():
        for example in examples:
            affinity = refiner.network.affinity(example.image[None], radius=5)
            truth = (example.image.mean(0) > 0.5).float()[None, None]
            coarse = torch.nn.functional.interpolate(truth, affinity.shape[-2:], mode="nearest-exact")
            total += affinity_loss(affinity, label_pairs(coarse[0].long(), radius=5)).item()
    return total / len(examples)


@pytest.mark.parametrize("method", METHODS)
def test_affinities_are_learned(method: str, tmp_path: Path) -> None:
    """In half precision the same is learned, up to rounding."""
    examples = draw_blocks(8)
    refiner, half = (
        built(method, **{**QUICK, "fit_epochs": 3, "fit_precision": p}) for p in ("fp32", "bf16")
    )
    before = loss_of(refiner, examples)
    backbone = {name: value.clone() for name, value in refiner.network.backbone.state_dict().items()}
    steps = []

    def progress(stage: str, done: int, total: int, note: str = "") -> None:
        steps.append((stage, done, total))

    fitted(refiner, examples, tmp_path / "fp32", progress=progress)
    assert steps == [("fit", step, 6) for step in range(1, 7)]
    after = loss_of(refiner, examples)
    assert after < 0.9 * before
    assert not refiner.network.training
    trained = refiner.network.backbone.state_dict()
    assert all(torch.equal(backbone[name], trained[name]) for name in backbone) == (method == "irn")
    fitted(half, examples, tmp_path / "bf16")
    assert all(value.dtype == torch.float32 for value in half.network.parameters())
    assert loss_of(half, examples) != after
    assert loss_of(half, examples) == pytest.approx(after, rel=0.05)


def test_equal_seeds_give_equal_weights_with_any_number_of_workers(tmp_path: Path) -> None:
    examples = draw_blocks(3)
    first = fitted(texture(), examples, tmp_path / "first")
    same = fitted(texture(), examples, tmp_path / "same", workers=2)
    other = fitted(texture(), examples, tmp_path / "other", seed=1)
    assert_same(first, same)
    assert any(not torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize("stopped", [3, 5])
def test_a_stopped_fit_resumes_and_ends_with_the_same_weights(stopped: int, tmp_path: Path) -> None:
    examples = draw_blocks(3)
    options = {**QUICK, "fit_batch_size": 2, "fit_epochs": 3, "fit_crop_px": 32, "drop_path": 0.3}
    whole, first, second = (built("psa", **options) for _ in range(3))
    expected = fitted(whole, examples, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        fitted(first, examples, tmp_path / "stopped", progress=stop_after(stopped))
    steps: list[int] = []
    found = fitted(
        second,
        examples,
        tmp_path / "stopped",
        resume=True,
        progress=lambda stage, done, total, note="": steps.append(done),
    )
    assert steps == list(range(stopped - (stopped + 1) % 2, 7))
    assert_same(expected, found)
    for one, two in zip(rows_of(tmp_path / "whole"), rows_of(tmp_path / "stopped"), strict=True):
        assert {**one, "seconds": ""} == {**two, "seconds": ""}


def test_every_loss_has_its_column_and_rates_fall_by_a_polynomial(tmp_path: Path) -> None:
    fitted(texture(fit_epochs=2), draw_blocks(3), tmp_path)
    first, second = rows_of(tmp_path)
    assert list(first) == ["epoch", "step", "learning_rate", "loss", "brightness", "roughness", "seconds"]
    assert float(first["loss"]) == pytest.approx(float(first["brightness"]) + float(first["roughness"]))
    assert float(first["learning_rate"]) == pytest.approx(1e-2 * 0.5**0.9)
    assert float(second["learning_rate"]) == 0


def test_the_backbone_of_psa_has_a_tenth_of_the_rate() -> None:
    refiner = built("psa")
    module = RefinerModule(refiner, OptimisationSettings(learning_rate=0.5), seed=0)
    rates = {group["name"]: group["lr"] for group in module.create_optimizer().param_groups}
    assert {name.split("/")[0]: rate for name, rate in rates.items()} == {"new": 0.5, "backbone": 0.05}


def test_images_without_a_class_or_smaller_than_the_crop_are_learned_from(tmp_path: Path) -> None:
    examples = [
        Example(torch.rand(3, 1, 1), torch.ones(1, 1, 1), torch.zeros(0, dtype=torch.long)),
        Example(torch.rand(3, 20, 150), torch.ones(1, 5, 38), torch.zeros(0, dtype=torch.long)),
    ]
    for method in METHODS:
        weights = fitted(built(method, **QUICK), examples, tmp_path / method)
        assert all(value.isfinite().all() for value in weights.values())


class Unreadable(list[Example]):
    """Examples of which some cannot be read."""

    def __getitem__(self, index: Any) -> Any:
        if index < 2:
            raise DataError("gone")
        return super().__getitem__(index)


def test_the_next_example_takes_the_place_of_one_that_cannot_be_read(tmp_path: Path) -> None:
    examples = draw_blocks(3)
    found = fitted(texture(fit_batch_size=3), Unreadable(examples), tmp_path / "found")
    assert_same(found, fitted(texture(fit_batch_size=3), [examples[2]] * 3, tmp_path / "expected"))
    with pytest.raises(DataError, match="None of the 2 images"):
        fitted(texture(), Unreadable(examples[:2]), tmp_path / "none")


def test_fp16_is_refused_on_a_cpu(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="fp16 is not for CPUs"):
        fitted(texture(fit_precision="fp16"), Unreadable(), tmp_path)


def test_a_diverging_fit_stops(tmp_path: Path) -> None:
    refiner = texture()
    with torch.no_grad():
        refiner.network.layer.bias.fill_(torch.nan)
    with pytest.raises(NonFiniteError, match=r"refiner\.fit_learning_rate") as stop:
        fitted(refiner, draw_blocks(2), tmp_path)
    assert stop.value.exit_code == 5


def test_weights_that_the_last_step_breaks_are_not_kept(tmp_path: Path) -> None:
    refiner = texture()

    def progress(stage: str, done: int, total: int, note: str = "") -> None:
        if done == total:
            with torch.no_grad():
                refiner.network.layer.weight.fill_(torch.nan)

    with pytest.raises(NonFiniteError, match=r"layer\.weight .* refiner\.fit_learning_rate"):
        fitted(refiner, draw_blocks(2), tmp_path, progress=progress)
    assert [path.name for path in Run(tmp_path).checkpoints.glob("*.ckpt")] == ["epoch-0001.ckpt"]
