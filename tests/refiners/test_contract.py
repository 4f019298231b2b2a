"""What holds for every refiner, learned ones with untrained weights."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch import Tensor

from swtformer.backbones import create_backbone
from swtformer.refiners import REFINERS, LearnedRefiner, Refiner, create_refiner
from swtformer.settings import RefineSettings

SIZES = [(1, 1), (1, 37), (5, 3), (33, 47), (64, 40)]
pytestmark = pytest.mark.parametrize("name", sorted(REFINERS))


def build(name: str) -> Refiner:
    torch.manual_seed(0)
    refiner = create_refiner(RefineSettings.model_validate({"method": name}))
    if isinstance(refiner, LearnedRefiner):
        refiner.build(create_backbone("swin_nano", weights="none"))
    return refiner


def draw(size: tuple[int, int], channels: int, grid: tuple[int, int] | None = None) -> tuple[Tensor, Tensor]:
    """A noisy image in two colours, and maps on a coarser grid."""
    torch.manual_seed(1)
    image = 0.2 * torch.rand(3, *size)
    image[:, :, size[1] // 2 :] += 0.6
    height, width = grid or tuple(-(-side // 4) for side in size)
    return image, torch.rand(channels, height, width)


def test_is_in_the_settings(name: str) -> None:
    assert name in get_args(RefineSettings.model_fields["method"].annotation)
    assert build(name).name == name


@pytest.mark.parametrize("size", SIZES)
def test_any_size(name: str, size: tuple[int, int]) -> None:
    image, maps = draw(size, 3)
    refined = build(name).refine(image, maps)
    assert refined.shape[0] == 3
    assert refined.dtype == torch.float32
    assert refined.device.type == "cpu"
    assert torch.isfinite(refined).all()
    assert refined.min() >= 0
    assert refined.max() <= 1


@pytest.mark.parametrize("grid", [(1, 1), (33, 47), (7, 50)])
def test_maps_of_any_grid(name: str, grid: tuple[int, int]) -> None:
    image, maps = draw((33, 47), 2, grid)
    assert build(name).refine(image, maps).shape[0] == 2


def test_background_alone(name: str) -> None:
    image, maps = draw((20, 30), 1)
    refined = build(name).refine(image, torch.ones_like(maps))
    torch.testing.assert_close(refined, torch.ones_like(refined))
    assert refined.shape[0] == 1


def test_is_as_sure_as_it_says(name: str) -> None:
    """One label is ahead by 0.2 everywhere; only a refiner that tells how sure it is leaves it so."""
    image = 0.5 + 0.01 * draw((48, 64), 1)[0]
    refiner = build(name)
    refined = refiner.refine(image, torch.tensor([0.4, 0.6])[:, None, None].expand(2, 12, 16).contiguous())
    shares = refined / refined.sum(0)
    margin = float((shares[1] - shares[0]).mean())
    assert margin == pytest.approx(0.2 if refiner.tells_how_sure else 1, abs=0.02)


def test_absent_classes_stay_absent_and_change_nothing(name: str) -> None:
    image, maps = draw((33, 47), 4)
    maps[2] = 0
    refiner = build(name)
    refined = refiner.refine(image, maps)
    assert not refined[2].any()
    torch.testing.assert_close(refined[[0, 1, 3]], refiner.refine(image, maps[[0, 1, 3]]))


def test_is_deterministic_and_leaves_its_input_alone(name: str) -> None:
    image, maps = draw((33, 47), 3)
    before = image.clone(), maps.clone()
    refiner = build(name)
    first = refiner.refine(image, maps)
    refiner.refine(*draw((20, 64), 2))
    torch.testing.assert_close(refiner.refine(image, maps), first, atol=0, rtol=0)
    torch.testing.assert_close((image, maps), before, atol=0, rtol=0)


def test_a_permutation_of_the_classes_permutes_the_result(name: str) -> None:
    image, maps = draw((24, 36), 4)
    order = torch.tensor([0, 3, 1, 2])
    refiner = build(name)
    torch.testing.assert_close(
        refiner.refine(image, maps[order]), refiner.refine(image, maps)[order], atol=1e-4, rtol=1e-3
    )


@pytest.mark.parametrize("size", [(1, 1), (33, 47)])
def test_a_batch_is_its_images(name: str, size: tuple[int, int]) -> None:
    """With other numbers of classes, absent ones, other grids, and no class at all."""
    images = [draw(size, 1)[0] * (1 - 0.2 * i) for i in range(4)]
    maps = [draw(size, channels)[1] for channels in (3, 2, 4, 1)]
    maps[1] = torch.rand(2, 5, 6)
    maps[2][1] = 0
    refiner = build(name)
    together = refiner.refine_batch(images, maps)
    assert [len(refined) for refined in together] == [3, 2, 4, 1]
    for image, own, refined in zip(images, maps, together, strict=True):
        torch.testing.assert_close(refined, refiner.refine(image, own), atol=1e-5, rtol=1e-4)


def test_a_batch_has_one_size_and_maps_for_each(name: str) -> None:
    first, second = draw((20, 30), 2), draw((30, 20), 2)
    refiner = build(name)
    with pytest.raises(ValueError, match=r"images of one size, got \[\(3, 20, 30\), \(3, 30, 20\)\]"):
        refiner.refine_batch([first[0], second[0]], [first[1], second[1]])
    with pytest.raises(ValueError, match="got 2 images, 1 maps"):
        refiner.refine_batch([first[0], first[0]], [first[1]])
    with pytest.raises(ValueError, match="got 0 images, 0 maps"):
        refiner.refine_batch([], [])


@pytest.mark.parametrize(
    ("image", "maps", "message"),
    [
        (torch.rand(1, 8, 8), torch.rand(2, 2, 2), r"Expected a \(3, H, W\) float32 image"),
        (torch.rand(3, 8, 8).double(), torch.rand(2, 2, 2), r"Expected a \(3, H, W\) float32 image"),
        (torch.rand(3, 0, 8), torch.rand(2, 2, 2), r"Expected a \(3, H, W\) float32 image"),
        (torch.rand(3, 8, 8), torch.rand(2, 2), r"Expected \(K\+1, h, w\) float32 maps"),
        (torch.rand(3, 8, 8), torch.rand(0, 2, 2), r"Expected \(K\+1, h, w\) float32 maps"),
        (torch.rand(3, 8, 8), torch.rand(2, 2, 2).half(), r"Expected \(K\+1, h, w\) float32 maps"),
    ],
)
def test_wrong_tensors_are_refused(name: str, image: Tensor, maps: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(name).refine(image, maps)
