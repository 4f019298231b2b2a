"""SEAM against loops that are written from its paper and code, on the features of a small network.

The loops know nothing of the package's own functions. What the public code does beyond the paper is in them:
only the strongest class of a place counts, the hardest fifth of ECR, min-pooling, and scaling by the range.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from support.models import CLASSES, tiny
from swtformer.methods import METHODS, Batch, create_model
from swtformer.settings import LocalizeSettings, ModelSettings

VIEWS = LocalizeSettings(scales=(1.0,), flip=True, seeds="view", stride=8)


def resized(maps: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(K, h, w) maps, bilinear, with the centres of the corners on one another."""
    for axis, target in zip((1, 2), size, strict=True):
        source = maps.shape[axis]
        at = np.arange(target) * ((source - 1) / max(target - 1, 1))
        low = np.minimum(at.astype(int), max(source - 2, 0))
        high = np.minimum(low + 1, source - 1)
        part = (at - low).reshape([-1 if dimension == axis else 1 for dimension in range(3)])
        maps = maps.take(low, axis) * (1 - part) + maps.take(high, axis) * part
    return maps


def ranged(maps: np.ndarray) -> np.ndarray:
    """Positive part of each map by its range."""
    maps = np.maximum(maps, 0)
    least, most = maps.min((1, 2), keepdims=True), maps.max((1, 2), keepdims=True)
    return np.maximum(maps - least - 1e-5, 0) / (most - least + 1e-5)


def strongest(maps: np.ndarray) -> np.ndarray:
    """(C+1, h, w) maps whose weaker classes are 0."""
    kept = np.where(maps[1:] < maps[1:].max(0), 0, maps[1:])
    return np.concatenate([maps[:1], kept])


def features_by_hand(
    model: Any, image: np.ndarray, pyramid: list[np.ndarray], stages: tuple[int, int]
) -> Any:
    """Colours and projected stages on the grid of the second, mixed by a matrix."""
    parts = [(image - model.normalisation.mean[0].numpy()) / model.normalisation.std[0].numpy()]
    for stage, projection in zip(stages, model.correlation.projections, strict=True):
        weights = projection.weight.detach().numpy()[:, :, 0, 0]
        parts.append(np.maximum(np.einsum("oc,chw->ohw", weights, pyramid[stage]), 0))
    joined = np.concatenate([resized(part, pyramid[stages[1]].shape[1:]) for part in parts])
    return np.einsum("oc,chw->ohw", model.correlation.mixing.weight.detach().numpy()[:, :, 0, 0], joined)


def refined_by_hand(
    model: Any,
    image: np.ndarray,
    labels: np.ndarray,
    *,
    over: str = "all",
    stages: tuple[int, int] = (1, 2),
) -> tuple[np.ndarray, np.ndarray]:
    """Raw activations (C, h, w) and refined maps (C+1, h', w') of one image (3, H, W) in [0, 1]."""
    with torch.no_grad():
        encoding = model.encode(torch.from_numpy(image)[None].float())
    activations = encoding.activations[0].numpy()
    features = features_by_hand(model, image, [item[0].numpy() for item in encoding.pyramid], stages)
    maps = np.maximum(activations, 0)
    maps = maps / (maps.max((1, 2), keepdims=True) + 1e-5)
    if over == "present":
        maps = maps * labels[:, None, None]
    start = strongest(np.concatenate([1 - maps.max(0, keepdims=True), maps]))
    grid = features.shape[1:]
    start = resized(start, grid).reshape(len(start), -1)
    places = features.reshape(len(features), -1)
    places = places / (np.linalg.norm(places, axis=0) + 1e-5)
    affinity = np.maximum(places.T @ places, 0)
    made = start @ affinity.T / (affinity.sum(1) + 1e-5)
    return activations, made.reshape(-1, *grid)


def losses_by_hand(model: Any, images: torch.Tensor, present: torch.Tensor) -> dict[str, float]:
    """Those of the statements in its `train_SEAM.py`, image by image."""
    total = dict.fromkeys(("cls", "er", "ecr", "min_pool"), 0.0)
    for image, labels in zip(images.numpy() / 255, present.numpy(), strict=True):
        size = image.shape[1:]
        small = (32, 48)  # 0.3 would be below 32 px
        all_labels = np.concatenate([[1.0], labels])[:, None, None]
        cams, rcams = [], []
        for view in (image, resized(image, small)):
            activations, refined = refined_by_hand(model, view, labels)
            activations, refined = (resized(maps, view.shape[1:]) for maps in (activations, refined))
            scores = activations.mean((1, 2))
            total["cls"] -= np.mean(
                labels * np.log(1 / (1 + np.exp(-scores))) + (1 - labels) * np.log(1 / (1 + np.exp(scores)))
            )
            smallest = np.sort((refined * all_labels)[1:].max(0).ravel())[: view[0].size // 4]
            total["min_pool"] += smallest.mean()
            cams.append(resized(ranged(activations), small) * labels[:, None, None])
            rcams.append(resized(ranged(refined), small) * all_labels)
        total["er"] += np.abs(cams[0] - cams[1]).mean()
        whole = [np.concatenate([1 - cam.max(0, keepdims=True), cam]) for cam in cams]
        for cam, rcam in ((whole[1], rcams[0]), (whole[0], rcams[1])):
            gaps = np.sort(np.abs(strongest(cam) - rcam).ravel())
            total["ecr"] += gaps[-int(gaps.size * 0.2) :].mean()
        assert size == (64, 96)
    halves = {"cls": 2, "min_pool": 2, "er": 1, "ecr": 1}
    return {name: value / len(images) / halves[name] for name, value in total.items()}


@pytest.fixture
def images() -> torch.Tensor:
    """Patches of random colours, so that affinities differ."""
    colours = torch.randint(0, 256, (2, 3, 4, 6), generator=torch.Generator().manual_seed(3))
    return F.interpolate(colours.float(), (64, 96), mode="nearest").to(torch.uint8)


def seam(backbone: str = "resnet38d_nano", **options: object) -> Any:
    """A network whose activations differ from class to class and place to place."""
    torch.manual_seed(0)
    settings = ModelSettings(method="seam", backbone=backbone, weights="none")
    model: Any = create_model(settings, CLASSES, METHODS.options("seam", options)).eval()
    with torch.no_grad():
        model.head.weight.normal_(generator=torch.Generator().manual_seed(3))
    return model


@pytest.mark.parametrize("backbone", ["resnet38d_nano", "swin_nano"])
def test_losses(backbone: str, images: torch.Tensor, present: torch.Tensor) -> None:
    model = seam(backbone)
    made = {name: value.item() for name, value in model.losses(Batch(images, present), epoch=0.0).items()}
    assert made == pytest.approx(losses_by_hand(model, images, present), rel=1e-3, abs=1e-5)


def test_padding_does_not_count(images: torch.Tensor, present: torch.Tensor) -> None:
    """Losses of maps in the left half; class scores see all, as everywhere."""
    model = seam()
    valid = torch.ones(2, 1, 64, 96)
    whole = model.losses(Batch(images, present, valid), epoch=0.0)
    torch.testing.assert_close(model.losses(Batch(images, present), epoch=0.0), whole)
    valid[..., 48:] = 0
    half = model.losses(Batch(images, present, valid), epoch=0.0)
    assert half["cls"] == whole["cls"]
    for name in ("er", "ecr", "min_pool"):
        assert (half[name] - whole[name]).abs() > 1e-4


@pytest.mark.parametrize("over", ["all", "present"])
@pytest.mark.parametrize("stages", [(2, 3), (1, 4)])
def test_maps_of_two_views(
    over: str, stages: tuple[int, int], images: torch.Tensor, present: torch.Tensor
) -> None:
    """A stride of 8 is the grid of the refined maps, so nothing is resized afterwards."""
    model = seam(background_over=over, correlated=stages)
    made = model.maps(images, present, settings=VIEWS)
    for index, labels in enumerate(present.numpy()):
        image = images[index].numpy() / 255
        places = (stages[0] - 1, stages[1] - 1)
        views = [
            refined_by_hand(model, view, labels, over=over, stages=places)[1]
            for view in (image, image[..., ::-1].copy())
        ]
        total = views[0] + views[1][..., ::-1]
        expected = ranged(total) * np.concatenate([[1.0], labels])[:, None, None]
        np.testing.assert_allclose(made.rcam[index], expected, atol=2e-4)
    other = seam(background_over="present" if over == "all" else "all", correlated=stages)
    assert (other.maps(images, present, settings=VIEWS).rcam - made.rcam).abs().max() > 0.01


def test_corners_are_on_corners_or_cells_on_cells(images: torch.Tensor, present: torch.Tensor) -> None:
    """A finer output than the maps' grid: the outermost values lie at the corners themselves, or inside."""
    settings = VIEWS.model_copy(update={"stride": 2, "flip": False})
    coarse = {}
    for aligned in ("corners", "cells"):
        model = seam(aligned=aligned)
        similarities = torch.arange(12.0).view(1, 1, 3, 4)
        coarse[aligned] = model._resized(similarities, (5, 7))
        made = model.maps(images, present, settings=settings)
        assert made.rcam.shape == (2, 4, 32, 48)
    assert coarse["corners"][0, 0, :, ::2].tolist() == [
        [0, 1, 2, 3], [2, 3, 4, 5], [4, 5, 6, 7], [6, 7, 8, 9], [8, 9, 10, 11]
    ]  # fmt: skip
    assert coarse["cells"][0, 0, 0, 1] == pytest.approx(0.357143)  # 1.5 · 4/7 - 0.5


def test_features_do_not_steer_the_backbone(images: torch.Tensor, present: torch.Tensor) -> None:
    """ECR and min-pooling train what is correlated; ER and classification train the rest."""
    model = seam()
    losses = model.losses(Batch(images, present), epoch=0.0)
    (losses["ecr"] + losses["min_pool"]).backward(retain_graph=True)
    assert model.correlation.mixing.weight.grad.any()
    assert all(projection.weight.grad.any() for projection in model.correlation.projections)
    assert all(parameter.grad is None for parameter in model.backbone.parameters())
    assert model.head.weight.grad is None
    (losses["er"] + losses["cls"]).backward()
    assert model.head.weight.grad.any()


def test_weights_of_the_losses_and_what_they_leave_idle(images: torch.Tensor, present: torch.Tensor) -> None:
    assert tiny("seam").loss_weights(0) == {"cls": 1, "er": 1, "ecr": 1, "min_pool": 1}
    assert tiny("seam", min_pool=0).loss_weights(9)["min_pool"] == 0
    plain = tiny("seam", er=0, ecr=0, min_pool=0)
    assert set(plain.losses(Batch(images, present), epoch=0.0)) == {"cls"}
    assert plain.has_idle_parameters()
    assert not tiny("seam", ecr=0).has_idle_parameters()
    assert not tiny("seam", min_pool=0).has_idle_parameters()


def test_channels_are_dropped_before_the_head(images: torch.Tensor) -> None:
    model = seam().train()
    model.backbone.eval()
    with torch.no_grad():
        assert not torch.equal(model.logits(images), model.logits(images))
    assert model.dropout.p == 0.5
    assert model.head.bias is None
