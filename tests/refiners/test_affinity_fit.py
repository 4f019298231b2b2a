"""What PSA and IRN are fitted on, and that fitting them works, repeats itself and stops at nan."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch

from support import walkers
from support.blocks import draw_blocks
from support.walkers import METHODS
from swtformer.errors import DataError, NonFiniteError, SettingsError
from swtformer.functional.affinity import IGNORED, affinity_loss, label_pairs
from swtformer.progress import Progress
from swtformer.refiners import Example
from swtformer.refiners.affinity_fit import labels_to_learn, random_crop
from swtformer.refiners.walk import WalkRefiner
from swtformer.settings import RefineSettings


def built(method: str, **changes: Any) -> WalkRefiner:
    """A refiner that is quickly fitted."""
    quick = {"fit_crop_px": 64, "fit_batch_size": 4, "fit_epochs": 1, "fit_learning_rate": 5e-3}
    return walkers.built(method, **{**quick, "fit_precision": "fp32", **changes})


class States:
    """Copies of the states of a fit, by epoch."""

    def __init__(self) -> None:
        self.saved: dict[int, dict[str, Any]] = {}

    def newest(self) -> dict[str, Any] | None:
        return self.saved[max(self.saved)] if self.saved else None

    def save(self, epoch: int, state: dict[str, Any]) -> None:
        self.saved[epoch] = deepcopy(state)


def stop_after(step: int) -> Progress:
    def progress(stage: str, done: int, total: int, note: str = "") -> None:
        if done == step:
            raise KeyboardInterrupt

    return progress


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


@pytest.mark.parametrize(("method", "stopped"), [("psa", 3), ("psa", 5), ("irn", 4)])
def test_a_stopped_fit_goes_on_to_the_same_weights(method: str, stopped: int) -> None:
    examples = draw_blocks(3)
    options: dict[str, Any] = {"fit_batch_size": 2, "fit_epochs": 3, "fit_crop_px": 32, "drop_path": 0.3}
    whole, first, second = (built(method, **options) for _ in range(3))
    whole.fit(examples, seed=0)
    states = States()
    with pytest.raises(KeyboardInterrupt):
        first.fit(examples, seed=0, states=states, progress=stop_after(stopped))
    assert list(states.saved) == ([1] if stopped < 5 else [1, 2])
    steps = []
    second.fit(
        examples, seed=0, states=states, progress=lambda stage, done, total, note="": steps.append(done)
    )
    assert steps == list(range(2 * (1 + (stopped == 5)) + 1, 7))
    expected, found = whole.network.state_dict(), second.network.state_dict()
    assert [name for name in expected if not torch.equal(expected[name], found[name])] == []
    assert not second.network.training


def test_a_fit_that_was_over_is_taken_up_without_a_step() -> None:
    examples, states = draw_blocks(2), States()
    first, second = built("psa"), built("psa")
    first.fit(examples, seed=0, states=states)
    second.fit(examples, seed=0, states=states, progress=stop_after(1))
    expected, found = first.network.state_dict(), second.network.state_dict()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


@pytest.mark.parametrize("method", METHODS)
def test_half_precision_learns_the_same_up_to_rounding(method: str) -> None:
    examples = draw_blocks(8)
    refiners = {kind: built(method, fit_epochs=3, fit_precision=kind) for kind in ("fp32", "bf16")}
    for refiner in refiners.values():
        refiner.fit(examples, seed=0)
        assert all(value.dtype == torch.float32 for value in refiner.network.parameters())
    losses = {kind: loss_of(refiner, examples) for kind, refiner in refiners.items()}
    assert losses["bf16"] != losses["fp32"]
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.05)


def test_affinities_are_in_full_precision_whatever_the_network_computes_in() -> None:
    image = draw_blocks(1)[0].image[None]
    with torch.autocast("cpu", torch.bfloat16):
        psa, irn = (built(method).network.affinity(image, radius=3) for method in METHODS)
    assert psa.dtype == irn.dtype == torch.float32
    assert len(psa.unique()) > 0.5 * int((psa > 0).sum())  # bf16 has 128 numbers from ½ to 1


def test_fp16_is_refused_on_a_cpu() -> None:
    with pytest.raises(SettingsError, match="fp16 is not for CPUs"):
        built("psa", fit_precision="fp16").fit(draw_blocks(1), seed=0)


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

    states = States()
    with pytest.raises(NonFiniteError, match=r"After step 2 of 2 1 weights .* not finite"):
        refiner.fit(draw_blocks(2), seed=0, states=states, progress=progress)
    assert list(states.saved) == [1]


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
    plain = labels_to_learn(example, RefineSettings(fit_labels="maps"))
    assert plain.tolist() == [[4] * 10 + [0] * 10] * 20
    confirmed = labels_to_learn(example, RefineSettings(fit_labels="dense_crf"))
    assert (confirmed[:, :8] == 4).all()
    assert (confirmed[:, 9] == IGNORED).all()  # column 8 shows a bit of both colours
    assert (confirmed[:, 10:] == 0).all()
