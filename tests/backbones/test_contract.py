"""What every backbone must satisfy. A new family is one row in FAMILIES."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain

import pytest
import torch
from torch import Tensor

from swtformer.backbones import create_backbone
from swtformer.backbones.base import Backbone, Pyramid


@dataclass(frozen=True)
class Family:
    """Facts about a family.

    Attributes:
        channels: of its maps.
        reach_px: distance over which a pixel can influence the map of stage 1, from the sizes of the layers;
            None if a layer of stage 1 is global, so that opposite borders influence each other by design.
        global_layer: that layer.
        output_stride: that it is built for; the name has it behind an @.
        last_learns: whether stage 4 has weights.
    """

    channels: tuple[int, int, int, int]
    reach_px: int | None
    global_layer: str = ""
    output_stride: int = 32
    last_learns: bool = True


FAMILIES = {
    # Two blocks of windows of 7 tokens, the second shifted by 3: ten rows of 4 px.
    "swin_nano": Family((32, 64, 128, 256), 40),
    # A 4×4 stem and two 7×7 convolutions on its grid.
    "convnext_atto": Family((40, 80, 160, 320), 32),
    "mobilenetv2_100": Family((24, 32, 96, 1280), 32),
    "resnet18": Family((64, 128, 256, 512), 32),
    "resnet18@16": Family((64, 128, 256, 512), 32, output_stride=16),
    "convnext_atto@8": Family((40, 80, 160, 320), 32, output_stride=8),
    "vgg11_bn": Family((256, 512, 512, 512), 32, last_learns=False),
    "fastvit_t8": Family((48, 96, 192, 768), 52),
    "tiny_vit_5m_224": Family((64, 128, 160, 320), 32),
    "dla34": Family((64, 128, 256, 512), 36),
    "pvt_v2_b0": Family((32, 64, 160, 256), None, "attention to a reduced copy of the whole map"),
    "twins_svt_small": Family((64, 128, 256, 512), None, "attention to sub-samples of the whole map"),
    "davit_tiny": Family((96, 192, 384, 768), None, "attention between channels, over all pixels"),
    "focalnet_tiny_srf": Family((96, 192, 384, 768), None, "focal modulation adds the mean of the map"),
    "conformer_nano": Family((32, 64, 128, 128), None, "attention between all places"),
    "conformer_nano@16": Family((32, 64, 128, 128), None, "attention between all places", output_stride=16),
    "poolformer_s12": Family((64, 128, 320, 512), None, "group norm over the whole map"),
    "vit_nano": Family((32,) * 4, None, "attention between all patches"),
    # Convolutions at strides 1, 2 and 4: 1 + (1 + 2) + (2 + 4) px.
    "resnet38d_nano": Family((32, 64, 96, 256), 12, output_stride=8),
    "vit_tiny_patch16_224": Family((192,) * 4, None, "attention between all patches"),
    "deit_tiny_distilled_patch16_224": Family((192,) * 4, None, "attention between all patches"),
    "vit_small_patch14_reg4_dinov2": Family((384,) * 4, None, "attention between all patches"),
    "eva02_tiny_patch14_224": Family((192,) * 4, None, "attention between all patches"),
    "efficientnet_b0": Family((24, 40, 112, 1280), None, "squeeze-and-excitation averages the map"),
}
SIZES = [(64, 96), (47, 33), (32, 160), (94, 125)]


@pytest.fixture(scope="module", params=list(FAMILIES))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def backbone(name: str) -> Backbone:
    return built(name, seed=0)


def built(name: str, *, seed: int) -> Backbone:
    """The family's backbone in evaluation mode, with drawn weights."""
    torch.manual_seed(seed)
    plain = name.partition("@")[0]
    return create_backbone(plain, weights="none", output_stride=FAMILIES[name].output_stride).eval()


def draw(*size: int, seed: int = 1) -> Tensor:
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed))


def look(backbone: Backbone, images: Tensor) -> Pyramid:
    with torch.inference_mode():
        return backbone(images)


def test_channels_and_strides_are_as_declared(name: str, backbone: Backbone) -> None:
    assert backbone.name == name.partition("@")[0]
    assert backbone.strides == tuple(min(each, FAMILIES[name].output_stride) for each in (4, 8, 16, 32))
    assert backbone.channels == FAMILIES[name].channels
    for height, width in SIZES:
        maps = look(backbone, draw(2, 3, height, width))
        assert [each.shape[:2] for each in maps] == [(2, channels) for channels in backbone.channels]
        for each, stride in zip(maps, backbone.strides, strict=True):
            assert each.isfinite().all()
            resized = (getattr(backbone, "multiple_px", 1) // 2) / stride
            assert abs(each.shape[2] - height / stride) <= 1 + resized
            assert abs(each.shape[3] - width / stride) <= 1 + resized


def test_maps_at_224_have_the_published_sizes(backbone: Backbone) -> None:
    sizes = [tuple(each.shape[2:]) for each in look(backbone, draw(1, 3, 224, 224))]
    assert sizes == [(224 // stride, 224 // stride) for stride in backbone.strides]


@pytest.mark.parametrize("grid", [(14, 14), (16, 16), (24, 24), (24, 10), (17, 24)])
def test_opposite_borders_do_not_mix(name: str, backbone: Backbone, grid: tuple[int, int]) -> None:
    reach = FAMILIES[name].reach_px
    if reach is None:
        assert FAMILIES[name].global_layer
        return
    for axis in (2, 3):
        images = draw(1, 3, 4 * grid[0], 4 * grid[1])
        changed = images.clone()
        changed.narrow(axis, 0, 1).add_(5)
        before, after = look(backbone, images)[0], look(backbone, changed)[0]
        far = -(-reach // 4)
        acted = (before != after).any(dim=1)[0].any(dim=1 - (axis - 2))
        assert acted[0]
        assert not acted[far:].any()


def test_an_image_of_another_size_changes_nothing(backbone: Backbone) -> None:
    images = draw(1, 3, 64, 96)
    before = look(backbone, images)
    look(backbone, draw(1, 3, 128, 40))
    for first, second in zip(before, look(backbone, images), strict=True):
        torch.testing.assert_close(second, first, rtol=0, atol=0)


def test_images_of_a_batch_are_independent(backbone: Backbone) -> None:
    images = draw(2, 3, 72, 64)
    for both, alone in zip(look(backbone, images), look(backbone, images[1:]), strict=True):
        torch.testing.assert_close(both[1:], alone, rtol=1e-3, atol=1e-4)


def test_gradients_reach_every_trained_parameter_and_it_belongs_to_one_stage(
    name: str, backbone: Backbone
) -> None:
    backbone.train()
    backbone.zero_grad()
    torch.autograd.backward([each.square().mean() for each in backbone(draw(2, 3, 64, 64))])
    trained = {key for key, parameter in backbone.named_parameters() if parameter.requires_grad}
    reached = {key for key, parameter in backbone.named_parameters() if parameter.grad is not None}
    backbone.eval()
    assert trained == reached

    keys = {parameter: key for key, parameter in backbone.named_parameters()}
    owned = [
        [keys[parameter] for module in modules for parameter in module.parameters()]
        for modules in backbone.stage_modules()
    ]
    assert len(owned) == 4
    assert [bool(names) for names in owned] == [True, True, True, FAMILIES[name].last_learns]
    together = list(chain.from_iterable(owned))
    assert len(together) == len(set(together))
    assert trained <= set(together)


def test_a_frozen_stage_keeps_its_map_and_gets_no_gradient(backbone: Backbone) -> None:
    first, *_ = backbone.stage_modules()
    trained = [parameter for parameter in backbone.parameters() if parameter.requires_grad]
    for module in first:
        module.requires_grad_(False)
    maps = backbone(draw(1, 3, 64, 64))
    assert not maps[0].requires_grad
    assert all(each.requires_grad for each in maps[1:])
    for parameter in trained:
        parameter.requires_grad_(True)


def test_a_saved_state_gives_the_same_maps(name: str, backbone: Backbone) -> None:
    other = built(name, seed=1)
    images = draw(1, 3, 64, 64)
    assert not torch.equal(look(other, images)[3], look(backbone, images)[3])
    other.load_state_dict(backbone.state_dict())
    for first, second in zip(look(backbone, images), look(other, images), strict=True):
        torch.testing.assert_close(second, first, rtol=0, atol=0)


@pytest.mark.parametrize("shape", [(1, 3, 31, 64), (1, 1, 64, 64), (3, 64, 64)])
def test_unfit_images_are_refused(backbone: Backbone, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="at least 32×32 px, got"):
        backbone(torch.zeros(shape))
