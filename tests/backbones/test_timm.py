from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from swtformer.backbones import create_backbone
from swtformer.backbones.timm import TimmBackbone
from swtformer.errors import CheckpointError, SwtformerError

IMAGES = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def saved(name: str, path: Path, **options: int) -> nn.Module:
    """A timm network in evaluation mode, its tensors saved at `path`."""
    torch.manual_seed(0)
    model = timm.create_model(name, pretrained=False, **options).eval()
    save_file(model.state_dict(), path)
    return model


@pytest.mark.parametrize("classes", [0, 5])
@torch.no_grad()
def test_stage_four_of_mobilenet_is_what_its_classifier_pools(tmp_path: Path, classes: int) -> None:
    path = tmp_path / "mobilenet.safetensors"
    model = saved("mobilenetv2_100", path, num_classes=classes)
    backbone = create_backbone("mobilenetv2_100", weights=path).eval()
    assert backbone.channels == (24, 32, 96, 1280)
    maps = backbone(IMAGES)
    torch.testing.assert_close(maps[3], model.forward_features(IMAGES))
    _, theirs = model.forward_intermediates(IMAGES, indices=4)
    torch.testing.assert_close(maps[:3], tuple(theirs[:3]))
    loaded = {name.removeprefix("model."): tensor for name, tensor in backbone.state_dict().items()}
    expected = {name: t for name, t in model.state_dict().items() if not name.startswith("classifier.")}
    assert loaded.keys() == expected.keys()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in expected.items())


@torch.no_grad()
def test_a_norm_behind_the_pooling_is_applied_per_token(tmp_path: Path) -> None:
    path = tmp_path / "convnext.safetensors"
    model = timm.create_model("convnext_atto", pretrained=False).eval()
    nn.init.normal_(model.head.norm.weight)
    nn.init.normal_(model.head.norm.bias)
    save_file(model.state_dict(), path)
    backbone = create_backbone("convnext_atto", weights=path).eval()
    torch.testing.assert_close(backbone(IMAGES)[3], model.head.norm(model.forward_features(IMAGES)))
    assert not any("head" in name for name in backbone.state_dict())


@torch.no_grad()
def test_names_of_the_authors_are_understood(tmp_path: Path) -> None:
    path = tmp_path / "pvt.pth"
    model = timm.create_model("pvt_v2_b0", pretrained=False, num_classes=0).eval()
    published = {}
    for name, tensor in model.state_dict().items():
        for stage in range(4):
            name = name.replace(f"stages.{stage}.blocks.", f"block{stage + 1}.")
            name = name.replace(f"stages.{stage}.norm.", f"norm{stage + 1}.")
            name = name.replace(f"stages.{stage}.downsample.", f"patch_embed{stage + 1}.")
        published[name.replace("patch_embed.", "patch_embed1.")] = tensor
    torch.save(published, path)
    backbone = create_backbone("pvt_v2_b0", weights=path).eval()
    torch.testing.assert_close(backbone(IMAGES)[3], model.forward_features(IMAGES))


def test_a_file_of_another_network_is_refused_with_counts(tmp_path: Path) -> None:
    path = tmp_path / "resnet.safetensors"
    saved("resnet18", path)
    with pytest.raises(CheckpointError, match=r"mobilenetv2_050: 5 of its \d+ tensors are known"):
        create_backbone("mobilenetv2_050", weights=path)
    with pytest.raises(CheckpointError, match=r"not fit pvt_v2_b0: .*missing"):
        create_backbone("pvt_v2_b0", weights=path)


def test_a_file_of_another_width_is_refused_with_both_shapes(tmp_path: Path) -> None:
    path = tmp_path / "wide.safetensors"
    saved("mobilenetv2_100", path)
    with pytest.raises(CheckpointError, match=r"256 of 312 .*bn1.bias is \(32,\), expected \(16,\)"):
        create_backbone("mobilenetv2_050", weights=path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("swin_tny", "Did you mean 'swin_tiny'?"),
        ("convnxt_tiny", "Unknown backbone 'convnxt_tiny'. Did you mean 'convnext_tiny'?"),
        ("resnet18.a1_in2k", "Did you mean 'resnet18.a1_in1k'?"),
        ("vit_tiny_patch16_224.augreg_in1k", r"Unknown weights tag .*augreg_in21k"),
        ("beit_base_patch16_224", "images of one size only .*such as 'deit_small_patch16_224'"),
        ("swinv2_tiny_window8_256", "arbitrary size .*Choose another, such as 'swin_tiny'"),
    ],
)
def test_unknown_and_unfit_names_are_refused(name: str, message: str) -> None:
    with pytest.raises(SwtformerError, match=message) as refusal:
        create_backbone(name, weights="none")
    assert refusal.value.exit_code == 2


def test_images_are_resized_only_where_the_family_needs_it() -> None:
    free = create_backbone("mobilenetv2_050", weights="none")
    bound = create_backbone("dla34", weights="none").eval()
    assert isinstance(free, TimmBackbone)
    assert isinstance(bound, TimmBackbone)
    assert (free.multiple_px, bound.multiple_px) == (1, 32)
    images = torch.randn(1, 3, 94, 110, generator=torch.Generator().manual_seed(0))
    resized = nn.functional.interpolate(images, size=(96, 96), mode="bilinear")
    with torch.no_grad():
        torch.testing.assert_close(bound(images), bound(resized))


def test_stochastic_depth_reaches_the_families_that_have_it() -> None:
    with_depth = create_backbone("convnext_atto", weights="none", drop_path=0.3)
    rates = [m.drop_prob for m in with_depth.modules() if type(m).__name__ == "DropPath"]
    assert max(rates) == pytest.approx(0.3)
    assert create_backbone("mobilevit_xxs", weights="none", drop_path=0.3).channels[3] == 320


def test_normalisation_is_the_one_the_weights_were_trained_with() -> None:
    assert create_backbone("mobilenetv2_050", weights="none").mean == (0.485, 0.456, 0.406)
    assert create_backbone("mobilevit_xxs", weights="none").mean == (0.0, 0.0, 0.0)


def test_building_leaves_the_random_state_to_the_initialisation() -> None:
    torch.manual_seed(0)
    timm.create_model("mobilenetv2_050", num_classes=0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    create_backbone("mobilenetv2_050", weights="none")
    assert torch.equal(torch.rand(1), expected)


def draw_norms(model: nn.Module) -> nn.Module:
    """The model with scales of batch norm that differ; the last one of a block would be 0."""
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.copy_(0.5 + torch.rand(module.weight.shape, generator=generator))
    return model


@pytest.mark.parametrize(("output_stride", "grids"), [(16, (16, 8, 4, 4)), (8, (16, 8, 8, 8))])
@torch.no_grad()
def test_a_dilated_network_is_timms(output_stride: int, grids: tuple[int, ...], tmp_path: Path) -> None:
    """The weights of the network that is not dilated fit."""
    path = tmp_path / "resnet.safetensors"
    save_file(draw_norms(timm.create_model("resnet18")).state_dict(), path)
    backbone = create_backbone("resnet18", weights=path, output_stride=output_stride).eval()
    model = timm.create_model("resnet18", num_classes=0, output_stride=output_stride)
    model.load_state_dict({name.removeprefix("model."): t for name, t in backbone.state_dict().items()})
    maps = backbone(IMAGES)
    assert tuple(each.shape[-1] for each in maps) == grids
    torch.testing.assert_close(maps[3], model.eval().forward_features(IMAGES))


@torch.no_grad()
def test_without_dilation_only_the_stride_is_taken_away() -> None:
    """As in IRN's and SIPE's ResNet-50, whose strides are 2, 2, 2 and 1."""
    torch.manual_seed(0)
    whole = draw_norms(create_backbone("resnet18", weights="none")).eval()
    plain, dilated = (
        create_backbone("resnet18", weights="none", output_stride=16, dilated=dilated).eval()
        for dilated in (False, True)
    )
    for backbone in (plain, dilated):
        backbone.load_state_dict(whole.state_dict())
    for name, module in whole.model.layer4.named_modules():
        if isinstance(module, nn.Conv2d):
            own = plain.model.layer4.get_submodule(name)
            assert (own.kernel_size, own.padding, own.dilation) == (
                module.kernel_size,
                module.padding,
                (1, 1),
            )
            module.stride = (1, 1)
    expected = whole(IMAGES)
    torch.testing.assert_close(plain(IMAGES), expected)
    assert not torch.allclose(dilated(IMAGES)[3], expected[3], rtol=0.1)


@torch.no_grad()
def test_padding_that_depends_on_the_image_stays_so() -> None:
    """TensorFlow's networks pad in their forward pass."""
    plain = create_backbone("tf_efficientnet_lite0", weights="none", output_stride=16, dilated=False).eval()
    assert plain(IMAGES)[3].shape[-1] == 4


@pytest.mark.parametrize(
    "name",
    ["pvt_v2_b0", "vgg11", "mobilenetv3_small_050", "swin_nano", "swin_tiny", "deit_tiny_patch16_224"],
)
def test_families_that_cannot_be_dilated_are_refused(name: str) -> None:
    message = f"{name!r} has its last stage at stride 32, .*to a stride of 16. .*'resnet50'.*output_stride 32"
    with pytest.raises(SwtformerError, match=message):
        create_backbone(name, weights="none", output_stride=16)


def test_other_errors_of_timm_are_raised_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str, **options: object) -> nn.Module:
        raise ValueError("no such luck")

    monkeypatch.setattr(timm, "create_model", refuse)
    with pytest.raises(ValueError, match="no such luck"):
        create_backbone("resnet18", weights="none")


@torch.no_grad()
def test_vgg_loses_its_fully_connected_layers(tmp_path: Path) -> None:
    path = tmp_path / "vgg.safetensors"
    model = saved("vgg11", path)
    backbone = create_backbone("vgg11", weights=path).eval()
    assert backbone.channels == (256, 512, 512, 512)
    torch.testing.assert_close(backbone(IMAGES)[3], model.forward_features(IMAGES))
    assert sum(parameter.numel() for parameter in backbone.parameters()) < 10_000_000
