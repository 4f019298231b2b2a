from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
import torchvision
from timm.models.swin_transformer import SwinTransformer
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from swtformer.backbones.swin import ALIASES, SHAPES, Swin, SwinShape, create_swin, known_names, timm_names
from swtformer.backbones.weights import fill
from swtformer.errors import CheckpointError

TINY = "swin_tiny_patch4_window7_224"
SMALL = SwinShape(32, (2, 2, 2, 2), (1, 2, 4, 8))
IMAGES = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))


def filled(tensors: dict[str, Tensor], shape: SwinShape) -> Swin:
    swin = Swin("swin", shape).eval()
    fill(swin, timm_names(tensors, shape.depths), source="reference", network="swin")
    return swin


def small_torchvision() -> torchvision.models.SwinTransformer:
    torch.manual_seed(0)
    model = torchvision.models.SwinTransformer(
        patch_size=[4, 4],
        embed_dim=SMALL.embed_dim,
        depths=list(SMALL.depths),
        num_heads=list(SMALL.heads),
        window_size=[7, 7],
    )
    for name, parameter in model.named_parameters():
        if name.endswith("bias_table"):
            torch.nn.init.normal_(parameter)
    return model.eval()


def torchvision_maps(model: torchvision.models.SwinTransformer, images: Tensor) -> list[Tensor]:
    maps = []
    for index, layer in enumerate(model.features):
        images = layer(images)
        if index % 2:
            maps.append(images)
    maps[3] = model.norm(maps[3])
    return [each.permute(0, 3, 1, 2) for each in maps]


# At these sizes no window and no patch needs padding, so all three must agree; stage 4 shifts at 448 px.
@pytest.mark.parametrize("size", [(224, 224), (448, 224), (224, 448)])
@torch.no_grad()
def test_equals_torchvision_where_windows_fit(size: tuple[int, int]) -> None:
    reference = small_torchvision()
    images = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(0))
    ours = filled(reference.state_dict(), SMALL)(images)
    for ours_at, theirs_at in zip(ours, torchvision_maps(reference, images), strict=True):
        torch.testing.assert_close(ours_at, theirs_at, rtol=0, atol=1e-5)


@torch.no_grad()
def test_equals_timm_at_224() -> None:
    torch.manual_seed(0)
    reference = SwinTransformer(
        embed_dim=SMALL.embed_dim, depths=SMALL.depths, num_heads=SMALL.heads, window_size=7
    ).eval()
    final, theirs = reference.forward_intermediates(IMAGES, indices=4)
    ours = filled(reference.state_dict(), SMALL)(IMAGES)
    for ours_at, theirs_at in zip(ours, [*theirs[:3], final.permute(0, 3, 1, 2)], strict=True):
        torch.testing.assert_close(ours_at, theirs_at, rtol=0, atol=1e-5)


@torch.no_grad()
def test_published_layouts_of_swin_t_give_the_reference_features() -> None:
    by_torchvision = torchvision.models.swin_t().eval()
    ours = filled(by_torchvision.state_dict(), SHAPES[TINY])
    for ours_at, theirs_at in zip(ours(IMAGES), torchvision_maps(by_torchvision, IMAGES), strict=True):
        torch.testing.assert_close(ours_at, theirs_at, rtol=0, atol=1e-5)

    by_timm = timm.create_model(TINY, pretrained=False).eval()
    ours = filled(by_timm.state_dict(), SHAPES[TINY])
    expected = by_timm.forward_features(IMAGES).permute(0, 3, 1, 2)
    torch.testing.assert_close(ours(IMAGES)[3], expected, rtol=0, atol=1e-5)


def test_microsofts_layout_is_understood(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("weights")
    reference = create_swin("swin_nano", weights="none").eval()
    published = {"head.weight": torch.zeros(1000, 256), "head.bias": torch.zeros(1000)}
    for name, tensor in reference.state_dict().items():
        parts = name.split(".")
        if "downsample" in parts:
            parts[1] = str(int(parts[1]) - 1)
        published[".".join(parts)] = tensor
    published["layers.0.blocks.1.attn_mask"] = torch.zeros(64, 49, 49)
    published["layers.0.blocks.0.attn.relative_position_index"] = torch.zeros(49, 49, dtype=torch.long)
    torch.save({"model": published}, folder / "swin.pth")
    ours = create_swin("swin_nano", weights=str(folder / "swin.pth")).eval()
    for name, tensor in reference.state_dict().items():
        assert torch.equal(ours.state_dict()[name], tensor), name


@pytest.mark.parametrize("name", [name for name in SHAPES if name != "swin_nano"])
def test_every_published_size_has_timms_tensors(name: str) -> None:
    with torch.device("meta"):
        theirs = timm.create_model(name, pretrained=False, num_classes=0).state_dict()
        ours = Swin(name, SHAPES[name]).state_dict()
    assert {key: tensor.shape for key, tensor in ours.items()} == {
        key: tensor.shape for key, tensor in theirs.items()
    }


def test_a_file_of_another_size_is_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("weights") / "swin.pth"
    torch.save(Swin("other", SwinShape(16, (2, 2, 4, 2), (1, 2, 4, 8))).state_dict(), path)
    with pytest.raises(CheckpointError, match=r"is \(16, 3, 4, 4\), expected \(32, 3, 4, 4\)"):
        create_swin("swin_nano", weights=str(path))


@pytest.mark.parametrize("size", [(56, 56), (112, 64), (128, 72), (192, 40)])
def test_stage_two_keeps_its_borders_apart(size: tuple[int, int]) -> None:
    # Ten rows of stage 1 hang on row 0; merged they are five, windows of 7 and a shift by 3 make them ten.
    swin = create_swin("swin_nano", weights="none").eval()
    images = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(0))
    changed = images.clone()
    changed[:, :, 0] += 5
    with torch.inference_mode():
        acted = (swin(images)[1] != swin(changed)[1]).any(dim=1)[0].any(dim=1)
    assert acted[0]
    assert acted[: min(10, len(acted))].sum() >= min(7, len(acted))
    assert not acted[10:].any()


def test_drop_path_rises_to_the_given_rate_and_acts_in_training_only() -> None:
    swin = create_swin("swin_nano", weights="none", drop_path=0.5)
    rates = [block.drop_path.p for stage in swin.layers for block in stage.blocks]
    assert rates == pytest.approx([0.5 * index / 9 for index in range(10)])
    images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    assert not torch.equal(swin.train()(images)[3], swin(images)[3])
    assert torch.equal(swin.eval()(images)[3], swin(images)[3])


def test_names_and_aliases_lead_to_sizes() -> None:
    assert set(known_names()) == set(SHAPES) | set(ALIASES)
    assert create_swin("swin_nano", weights="none").name == "swin_nano"
    with torch.device("meta"):
        assert create_swin("swin_tiny", weights="none").channels == (96, 192, 384, 768)


class LargestTensor(TorchDispatchMode):
    """Watches for the largest tensor that is made, in numbers."""

    largest = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for item in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(item, Tensor):
                self.largest = max(self.largest, item.numel())
        return result


@torch.no_grad()
def test_a_large_image_needs_no_tensor_larger_than_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    swin = Swin("swin", SMALL).eval()
    images = torch.randn(1, 3, 410, 620)
    with LargestTensor() as whole:
        expected = swin(images)
    assert whole.largest >= 4 * 32 * 103 * 155  # the hidden layer of an MLP: the watch works
    monkeypatch.setattr("swtformer.backbones.window_attention.TOKENS_AT_ONCE", 2048)
    with LargestTensor() as parts:
        found = swin(images)
    assert parts.largest == 3 * 412 * 620  # padded to patches; stage 1 has 32 * 105 * 161 with padding
    for one, two in zip(expected, found, strict=True):
        torch.testing.assert_close(two, one, rtol=0, atol=1e-5)


def test_parts_and_gradients_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """With gradients nothing is split."""
    torch.manual_seed(0)
    swin = Swin("swin", SMALL).eval()
    images = torch.randn(2, 3, 100, 132)
    monkeypatch.setattr("swtformer.backbones.window_attention.TOKENS_AT_ONCE", 7)
    whole = swin(images)
    assert all(stage.requires_grad for stage in whole)
    with torch.no_grad():
        for one, two in zip(whole, swin(images), strict=True):
            torch.testing.assert_close(two, one, rtol=0, atol=1e-5)
