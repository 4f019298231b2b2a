from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from swtformer.functional.pixel_losses import (
    dice_loss,
    pixel_cross_entropy,
    presence_loss,
    rarity_weights,
)


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(0)
    logits = torch.from_numpy(rng.normal(size=(2, 3, 4, 5)))
    labels = rng.choice([0, 1, 2, 255], size=(2, 4, 5)).astype(np.uint8)
    return logits, torch.from_numpy(labels)


def softmax(logits: torch.Tensor) -> np.ndarray:
    values = np.exp(logits.numpy() - logits.numpy().max(1, keepdims=True))
    return values / values.sum(1, keepdims=True)


def test_cross_entropy_of_two_pixels_by_hand() -> None:
    logits = torch.tensor([[[[0.0, math.log(3), 9.0]], [[0.0, 0.0, -9.0]]]])
    labels = torch.tensor([[[0, 1, 255]]], dtype=torch.uint8)
    # −log(1/2) and −log(1/4); the third pixel is not known.
    assert pixel_cross_entropy(logits, labels).item() == pytest.approx((math.log(2) + math.log(4)) / 2)


@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy_equals_a_loop(weighted: bool, batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    logits, labels = batch
    by_class, by_image = [0.5, 2.0, 0.0], [1.0, 0.25]
    probabilities = softmax(logits)
    total = weight = 0.0
    for b, y, x in np.ndindex(2, 4, 5):
        label = int(labels[b, y, x])
        if label == 255:
            continue
        w = by_class[label] * by_image[b] if weighted else 1.0
        total += -w * math.log(probabilities[b, label, y, x])
        weight += w
    options = {}
    if weighted:
        options = {
            "class_weights": torch.tensor(by_class, dtype=torch.float64),
            "image_weights": torch.tensor(by_image, dtype=torch.float64),
        }
    assert pixel_cross_entropy(logits, labels, **options).item() == pytest.approx(total / weight)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("kind", "closeness"), [(torch.float32, 1e-5), (torch.bfloat16, 1e-2)])
def test_cross_entropy_by_blocks_is_that_of_torch(
    kind: torch.dtype, closeness: float, memory_format: torch.memory_format
) -> None:
    generator = torch.Generator().manual_seed(0)
    # 5 rows to a block, so that the last one is smaller.
    logits = 9 * torch.randn(2, 21, 12, 1200, generator=generator)
    logits = logits.to(kind).contiguous(memory_format=memory_format).requires_grad_()
    before = logits.detach().clone()
    labels = torch.randint(0, 22, (2, 12, 1200), generator=generator)
    labels[labels == 21] = 255
    wanted = F.cross_entropy(logits.float(), labels, ignore_index=255)
    (slope,) = torch.autograd.grad(3 * wanted, logits)
    ours = pixel_cross_entropy(logits, labels.to(torch.uint8))
    (made,) = torch.autograd.grad(3 * ours, logits)
    torch.testing.assert_close(ours, wanted, rtol=1e-5, atol=0)
    torch.testing.assert_close(made, slope, rtol=closeness, atol=closeness * float(slope.abs().max()))
    assert made.dtype == kind
    assert torch.equal(logits.detach(), before)


@pytest.mark.parametrize("devices", [(), ("cpu",)])
def test_unknown_pixels_may_hold_anything(devices: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swtformer.functional.pixel_losses._BY_BLOCKS", devices)
    logits = torch.zeros(1, 3, 1, 3)
    logits[..., 0] = -math.inf
    labels = torch.tensor([[[255, 0, 1]]], dtype=torch.uint8)
    logits.requires_grad_()
    loss = pixel_cross_entropy(logits, labels, image_weights=torch.tensor([2.0]))
    assert loss.item() == pytest.approx(math.log(3))
    loss.backward()
    assert logits.grad is not None
    torch.testing.assert_close(logits.grad[0, :, 0, 1], torch.tensor([-1 / 3, 1 / 6, 1 / 6]))


def test_infinite_logits_show_in_the_loss() -> None:
    logits = torch.zeros(1, 3, 2, 2)
    logits[0, 1, 0, 0] = math.inf
    assert pixel_cross_entropy(logits, torch.zeros(1, 2, 2, dtype=torch.uint8)).isnan()


def test_dice_equals_a_loop(batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    logits, labels = batch
    probabilities = softmax(logits)
    known = labels.numpy() != 255
    losses = []
    for label in range(3):
        truth = (labels.numpy() == label) & known
        q = probabilities[:, label]
        losses.append(1 - 2 * q[truth].sum() / (q[known].sum() + truth.sum()))
    assert dice_loss(logits, labels).item() == pytest.approx(np.mean(losses))


def test_dice_of_bf16_is_summed_in_fp32() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4, 5, 64, 64, generator=generator).bfloat16()
    labels = torch.randint(0, 5, (4, 64, 64), generator=generator)
    with torch.autocast("cpu", torch.bfloat16):
        found = dice_loss(logits, labels)
    torch.testing.assert_close(found, dice_loss(logits.float(), labels), rtol=1e-6, atol=0)


def test_dice_runs_over_labels_that_occur() -> None:
    logits = torch.full((1, 3, 2, 2), -40.0)
    logits[:, 1] = 40.0
    assert dice_loss(logits, torch.ones(1, 2, 2, dtype=torch.uint8)).item() == pytest.approx(0, abs=1e-6)
    assert dice_loss(logits, torch.zeros(1, 2, 2, dtype=torch.uint8)).item() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("loss", [pixel_cross_entropy, dice_loss])
def test_nothing_known_is_no_loss_and_no_gradient(loss) -> None:
    logits = torch.randn(1, 3, 2, 2, requires_grad=True)
    value = loss(logits, torch.full((1, 2, 2), 255, dtype=torch.uint8))
    value.backward()
    assert value.item() == 0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


@pytest.mark.parametrize("loss", [pixel_cross_entropy, dice_loss])
def test_gradients(loss, batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    logits, labels = batch
    assert torch.autograd.gradcheck(lambda x: loss(x, labels), logits.requires_grad_())


def test_presence_of_a_crop_by_hand() -> None:
    """Class 1 is in the crop, 2 in the image alone, 3 nowhere, 4 in the crop against the image's labels."""
    labels = torch.tensor([[[1, 0], [255, 4]]], dtype=torch.uint8)
    present = torch.tensor([[True, True, False, False]])
    logits = torch.tensor([[0.0, 5.0, math.log(3), -math.log(3)]])
    # −log of 1/2, then 1 − 3/4, then 1/4; the second has no loss.
    wanted = (math.log(2) + math.log(4) + math.log(4)) / 3
    assert presence_loss(logits, labels, present).item() == pytest.approx(wanted)


def test_presence_of_a_batch_equals_a_loop() -> None:
    rng = np.random.default_rng(1)
    logits = torch.from_numpy(rng.normal(size=(3, 4)))
    labels = torch.from_numpy(rng.choice([0, 1, 2, 255], size=(3, 2, 2)).astype(np.uint8))
    present = torch.from_numpy(rng.random((3, 4)) < 0.5)
    losses = []
    for b, c in np.ndindex(3, 4):
        shown = bool((labels[b] == c + 1).any())
        if shown or not present[b, c]:
            s = 1 / (1 + math.exp(-float(logits[b, c])))
            losses.append(-math.log(s if shown else 1 - s))
    assert presence_loss(logits, labels, present).item() == pytest.approx(np.mean(losses))
    assert torch.autograd.gradcheck(lambda x: presence_loss(x, labels, present), logits.requires_grad_())


def test_no_presence_known_is_no_loss() -> None:
    logits = torch.randn(1, 2, requires_grad=True)
    value = presence_loss(logits, torch.zeros(1, 2, 2, dtype=torch.uint8), torch.ones(1, 2))
    value.backward()
    assert value.item() == 0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


def test_rarity_weights_by_hand() -> None:
    # Shares 0.8 and 0.2: 1/sqrt gives 1.118 and 2.236, whose mean over pixels is 1.3416.
    weights = rarity_weights(torch.tensor([80, 20, 0]))
    assert weights.tolist() == pytest.approx([0.8333, 1.6667, 0.0], abs=1e-4)
