"""What PSA and IRN are fitted on, and that fitting them works, repeats itself and stops at nan."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from support.blocks import draw_blocks
from swtformer.backbones import create_backbone
from swtformer.errors import DataError, NonFiniteError
from swtformer.functional.affinity import IGNORED, affinity_loss, label_pairs
from swtformer.refiners import Example, create_refiner
from swtformer.refiners.affinity_fit import labels_to_learn, random_crop
from swtformer.refiners.walk import WalkRefiner
from swtformer.settings import RefineSettings

METHODS = ("psa", "irn")


def settings(**changes: Any) -> RefineSettings:
    values = {"fit_crop_px": 64, "fit_batch_size": 4, "fit_epochs": 1, "fit_learning_rate": 5e-3, **changes}
    return RefineSettings.model_validate(values)


def built(method: str, backbone: str = "swin_nano", **changes: Any) -> WalkRefiner:
    torch.manual_seed(0)
    refiner = create_refiner(settings(method=method, **changes))
    assert isinstance(refiner, WalkRefiner)
    refiner.build(create_backbone(backbone, weights="none"))
    return refiner


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
def test_the_loss_falls(method: str) -> None:
    examples = draw_blocks(8)
    refiner = built(method, fit_epochs=6)
    torch.manual_seed(0)
    refiner.network.reset()
    before = loss_of(refiner, examples)
    steps = []

    def progress(stage: str, done: int, total: int, note: str = "") -> None:
        steps.append((stage, done, total, note))

    refiner.fit(examples, seed=0, progress=progress)
    assert [step[:3] for step in steps] == [(f"fit {method}", i, 12) for i in range(1, 13)]
    assert steps[0][3].startswith("loss ")
    assert loss_of(refiner, examples) < 0.9 * before
    assert not refiner.network.training


@pytest.mark.parametrize("method", METHODS)
def test_equal_seeds_give_equal_weights_with_any_number_of_threads(method: str) -> None:
    examples = draw_blocks(3)

    def weights(seed: int, workers: int) -> dict[str, torch.Tensor]:
        refiner = built(method, fit_batch_size=2, workers=workers)
        refiner.fit(examples, seed=seed)
        return refiner.network.state_dict()

    first, same, other = weights(0, 0), weights(0, 3), weights(1, 1)
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_irn_leaves_the_backbone_alone_and_psa_trains_it() -> None:
    for method, stays in (("irn", True), ("psa", False)):
        refiner = built(method)
        before = {name: value.clone() for name, value in refiner.network.backbone.state_dict().items()}
        refiner.fit(draw_blocks(2), seed=0)
        after = refiner.network.backbone.state_dict()
        assert all(torch.equal(before[name], after[name]) for name in before) == stays


def test_images_without_a_class_or_smaller_than_the_crop_are_learned_from() -> None:
    examples = [
        Example(torch.rand(3, 1, 1), torch.ones(1, 1, 1), torch.zeros(0, dtype=torch.long)),
        Example(torch.rand(3, 20, 150), torch.ones(1, 5, 38), torch.zeros(0, dtype=torch.long)),
    ]
    for method in METHODS:
        refiner = built(method)
        refiner.fit(examples, seed=0)
        assert all(value.isfinite().all() for value in refiner.network.state_dict().values())


def test_nothing_to_learn_from() -> None:
    with pytest.raises(DataError, match="nothing to learn affinities from"):
        built("psa").fit([], seed=0)


def test_a_diverging_fit_stops() -> None:
    examples = draw_blocks(2)
    refiner = built("irn", fit_epochs=4)
    with torch.no_grad():
        next(refiner.network.backbone.parameters()).fill_(torch.nan)
    with pytest.raises(NonFiniteError, match="not finite at step 1 of 4"):
        refiner.fit(examples, seed=0)


def test_a_last_step_that_breaks_a_weight_is_not_kept() -> None:
    refiner = built("irn", fit_epochs=2)

    def progress(stage: str, done: int, total: int, note: str = "") -> None:
        if done == total:
            with torch.no_grad():
                next(iter(refiner.network.new_parameters())).fill_(torch.nan)

    with pytest.raises(NonFiniteError, match=r"After the last of 2 steps 1 weights .* not finite"):
        refiner.fit(draw_blocks(2), seed=0, progress=progress)


def test_crops_show_image_and_labels_of_one_place() -> None:
    height, width = 40, 56
    values = torch.arange(height * width).view(1, height, width) / (height * width)
    labels = (values[0] * 250).round().to(torch.uint8)
    for seed in range(8):
        generator = np.random.default_rng(seed)
        image, cropped = random_crop(
            values.expand(3, -1, -1), labels, generator, crop_px=48, scales=(1.0, 1.0)
        )
        inside = ~image[0].isnan()
        assert image.shape == (3, 48, 48)
        assert inside.sum() == height * 48
        assert torch.equal(cropped == IGNORED, ~inside)
        torch.testing.assert_close((image[0][inside] * 250).round().to(torch.uint8), cropped[inside])


def test_crops_of_any_size_and_scale() -> None:
    for size in ((1, 1), (1, 300), (70, 33)):
        image, labels = random_crop(
            torch.rand(3, *size),
            torch.zeros(1, 1, dtype=torch.uint8),
            np.random.default_rng(0),
            crop_px=32,
            scales=(0.5, 1.5),
        )
        assert (image.shape, labels.shape) == ((3, 32, 32), (32, 32))
        assert (labels == 0).any()


def test_the_dense_crf_takes_back_what_the_colours_deny() -> None:
    # The maps stop at column 10 of 20, the colour at column 8.
    image = torch.full((3, 80, 80), 0.1)
    image[:, :, :32] = 0.9
    cam = torch.full((1, 20, 20), 0.05)
    cam[:, :, :10] = 0.95
    example = Example(image, torch.cat([1 - cam, cam]), torch.tensor([4]))
    plain = labels_to_learn(example, settings(fit_labels="maps"))
    assert plain.tolist() == [[4] * 10 + [0] * 10] * 20
    confirmed = labels_to_learn(example, settings(fit_labels="dense_crf"))
    assert (confirmed[:, :8] == 4).all()
    assert (confirmed[:, 9] == IGNORED).all()  # column 8 shows a bit of both colours
    assert (confirmed[:, 10:] == 0).all()
