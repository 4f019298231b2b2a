from __future__ import annotations

from pathlib import Path

import pytest
import segmentation_models_pytorch as smp
import torch
from safetensors.torch import save_file

from swtformer.errors import CheckpointError, SettingsError, SwtformerError
from swtformer.segmentation.encoders import create_encoder, family_of


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("mit_b0", "smp"),
        ("resnet50", "smp"),
        ("tu-convnext_tiny", "smp"),
        ("timm-efficientnet-b0", "smp"),
        ("swin_tiny", "backbone"),
    ],
)
def test_family(name: str, family: str) -> None:
    assert family_of(name) == family


EVERY_FAMILY = [
    "resnet18",
    "dpn68",
    "vgg11",
    "se_resnet50",
    "densenet121",
    "inceptionv4",
    "efficientnet-b0",
    "mobilenet_v2",
    "xception",
    "timm-efficientnet-b0",
    "timm-skresnet18",
    "mit_b0",
    "mobileone_s0",
    "tu-mobilenetv3_small_050",
    "tu-convnext_atto",
]
"""The cheapest encoder of every module of segmentation-models-pytorch (all of inceptionresnetv2 are large),
and timm's with and without a map at stride 2."""


@torch.no_grad()
@pytest.mark.parametrize("name", EVERY_FAMILY)
def test_maps_have_the_declared_channels(name: str) -> None:
    encoder = create_encoder(name, family="smp", weights="none").eval()
    maps = encoder(torch.rand(1, 3, 64, 96))
    assert [each.shape[1] for each in maps] == list(encoder.channels)
    assert [tuple(each.shape[2:]) for each in maps[2:]] == [(16, 24), (8, 12), (4, 6), (2, 3)]


@torch.no_grad()
def test_dilation_where_the_encoder_can() -> None:
    images = torch.rand(1, 3, 64, 64)
    dilated = create_encoder("mobilenet_v2", family="smp", weights="none", dilated=True).eval()
    assert dilated(images)[-1].shape[2:] == (4, 4)
    other = create_encoder("tu-pvt_v2_b0", family="smp", weights="none", dilated=True).eval()
    assert other(images)[-1].shape[2:] == (2, 2)


@pytest.mark.parametrize("name", ["mobilenet_v2", "tu-mobilenetv3_small_050"])
def test_weights_from_a_file(name: str, tmp_path: Path) -> None:
    """A published file has a classifier too; all other tensors must be used."""
    if name.startswith("tu-"):
        import timm

        tensors = timm.create_model(name.removeprefix("tu-"), num_classes=10).state_dict()
    else:
        source = create_encoder(name, family="smp", weights="none").model
        tensors = {**source.state_dict(), "classifier.1.weight": torch.zeros(10, 4)}
    marked = {key: value.clone().contiguous() for key, value in tensors.items()}
    save_file(marked, tmp_path / "weights.safetensors")
    encoder = create_encoder(name, family="smp", weights=str(tmp_path / "weights.safetensors"))
    sums = {round(float(value.double().sum()), 6) for value in marked.values()}
    assert all(round(float(value.double().sum()), 6) in sums for value in encoder.model.state_dict().values())
    assert encoder.keeps_batch_statistics
    del marked[next(iter(marked))]
    save_file(marked, tmp_path / "short.safetensors")
    with pytest.raises(CheckpointError, match="are missing"):
        create_encoder(name, family="smp", weights=str(tmp_path / "short.safetensors"))


@pytest.mark.parametrize(
    ("name", "family", "message"),
    [
        ("tu-convnext_tny", "smp", "'tu-convnext_tny'. Did you mean 'tu-convnext_tiny'"),
        ("tu-vit_tiny_patch16_224", "smp", "cannot be used"),
        ("swin_tny", "backbone", "'swin_tny'. Did you mean 'swin_tiny'"),
        ("resnt18", "backbone", "'resnt18'. Did you mean 'resnet18'"),
        ("timm-regnetx_002", "smp", "'timm-regnetx_002'. Did you mean 'tu-regnetx_002'"),
        ("timm-skresnt18", "smp", "'timm-skresnt18'. Did you mean 'timm-skresnet18'"),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(name: str, family, message: str) -> None:
    with pytest.raises(SwtformerError, match=message):
        create_encoder(name, family=family, weights="none")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "tu-swin_tiny_patch4_window7_224",
            "one image size.*Use 'swin_tiny_patch4_window7_224'",
        ),
        ("tu-swinv2_cr_tiny_ns_224", "mix opposite borders"),
        (
            "tu-coatnet_pico_rw_224",
            r"only some image sizes, and not 64×64 \(.+\)\. Choose",
        ),
    ],
)
def test_encoders_of_one_size_are_refused(name: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        create_encoder(name, family="smp", weights="none")


def test_trying_an_encoder_has_no_side_effect() -> None:
    torch.manual_seed(0)
    encoder = create_encoder("mobilenet_v2", family="smp", weights="none")
    after = torch.rand(())
    torch.manual_seed(0)
    plain = smp.encoders.get_encoder("mobilenet_v2")
    assert after == torch.rand(())
    assert all(module.training for module in encoder.modules())
    for ours, theirs in zip(encoder.model.state_dict().values(), plain.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs)


def test_a_missing_file_names_the_flag_of_this_stage(tmp_path: Path) -> None:
    with pytest.raises(SwtformerError, match=r"segment\.weights"):
        create_encoder("mit_b0", family="smp", weights=str(tmp_path / "none.safetensors"))


@pytest.mark.parametrize("name", ["mit_b0", "tu-mobilenetv3_small_050"])
def test_no_network_names_the_file_and_the_flag(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(SwtformerError, match=r"cannot be reached.*segment\.weights"):
        create_encoder(name, family="smp", weights="pretrained")
