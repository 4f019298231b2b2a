"""Conformer against its formulas, written with the published tensor names and nothing of the package's."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from swtformer.backbones import create_backbone
from swtformer.backbones.conformer import ALIASES, SHAPES, Conformer, known_names
from swtformer.errors import CheckpointError, SwtformerError

DEPTH, HEADS = 6, 3
"""Of `conformer_nano`."""
Tensors = dict[str, Tensor]


def drawn(output_stride: int = 32) -> Conformer:
    """A small Conformer whose norms are not neutral and whose attention is not uniform."""
    torch.manual_seed(0)
    conformer = create_backbone("conformer_nano", weights="none", output_stride=output_stride).eval()
    assert isinstance(conformer, Conformer)
    with torch.no_grad():
        for name, value in conformer.state_dict().items():
            if value.ndim == 1 and value.is_floating_point():
                positive = "weight" in name or "var" in name
                value.copy_(0.5 + torch.rand_like(value) if positive else torch.rand_like(value) - 0.5)
            elif "qkv" in name:
                value.mul_(8)
    return conformer


@pytest.fixture(scope="module")
def conformer() -> Conformer:
    return drawn()


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))


def bn(w: Tensors, name: str, maps: Tensor, eps: float = 1e-6) -> Tensor:
    mean, var = w[f"{name}.running_mean"], w[f"{name}.running_var"]
    return F.batch_norm(maps, mean, var, w[f"{name}.weight"], w[f"{name}.bias"], eps=eps)


def ln(w: Tensors, name: str, tokens: Tensor, eps: float = 1e-6) -> Tensor:
    return F.layer_norm(tokens, tokens.shape[-1:], w[f"{name}.weight"], w[f"{name}.bias"], eps)


def linear(w: Tensors, name: str, tokens: Tensor) -> Tensor:
    return tokens @ w[f"{name}.weight"].T + w[f"{name}.bias"]


def bottleneck(
    w: Tensors, name: str, maps: Tensor, *, added: Tensor | float = 0.0, stride: int = 1
) -> tuple[Tensor, Tensor]:
    inner = bn(w, f"{name}.bn1", F.conv2d(maps, w[f"{name}.conv1.weight"])).relu()
    inner = F.conv2d(inner + added, w[f"{name}.conv2.weight"], stride=stride, padding=1)
    inner = bn(w, f"{name}.bn2", inner).relu()
    outer = bn(w, f"{name}.bn3", F.conv2d(inner, w[f"{name}.conv3.weight"]))
    if f"{name}.residual_conv.weight" in w:
        maps = F.conv2d(maps, w[f"{name}.residual_conv.weight"], stride=stride)
        maps = bn(w, f"{name}.residual_bn", maps)
    return (outer + maps).relu(), inner


def transformer(w: Tensors, name: str, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Tokens, and the mean attention over the heads, head by head."""
    width = tokens.shape[-1]
    size = width // HEADS
    projected = linear(w, f"{name}.attn.qkv", ln(w, f"{name}.norm1", tokens))
    mixed, matrices = [], []
    for head in range(HEADS):
        query, key, value = (
            projected[..., part * width + head * size : part * width + (head + 1) * size] for part in range(3)
        )
        matrix = (query @ key.mT / size**0.5).softmax(-1)
        mixed.append(matrix @ value)
        matrices.append(matrix)
    tokens = tokens + linear(w, f"{name}.attn.proj", torch.cat(mixed, dim=-1))
    hidden = F.gelu(linear(w, f"{name}.mlp.fc1", ln(w, f"{name}.norm2", tokens)))
    return tokens + linear(w, f"{name}.mlp.fc2", hidden), sum(matrices) / HEADS


def by_hand(w: Tensors, images: Tensor, *, last_stride: int) -> tuple[list[Tensor], Tensor, list[Tensor]]:
    """Maps of every block, tokens after the last norm, and attention of every block."""
    grid = [side // 16 for side in images.shape[-2:]]
    stem = bn(w, "bn1", F.conv2d(images, w["conv1.weight"], stride=2, padding=3), eps=1e-5).relu()
    stem = F.max_pool2d(stem, 3, stride=2, padding=1)
    maps, _ = bottleneck(w, "conv_1", stem)
    patches = F.conv2d(stem, w["trans_patch_conv.weight"], w["trans_patch_conv.bias"], stride=4)
    tokens = torch.cat([w["cls_token"].expand(len(images), 1, -1), patches.flatten(2).mT], dim=1)
    tokens, attention = transformer(w, "trans_1", tokens)
    all_maps, matrices = [maps], [attention]
    for block in range(2, DEPTH + 1):
        name, third = f"conv_trans_{block}", (block - 1) // (DEPTH // 3)
        halves = block == third * (DEPTH // 3) + 1
        maps, inner = bottleneck(w, f"{name}.cnn_block", maps, stride=2 if halves else 1)
        side = 4 // 2**third
        squeeze = f"{name}.squeeze_block"
        told = F.conv2d(inner, w[f"{squeeze}.conv_project.weight"], w[f"{squeeze}.conv_project.bias"])
        told = told.unflatten(3, (grid[1], side)).unflatten(2, (grid[0], side)).mean((3, 5))
        told = F.gelu(ln(w, f"{squeeze}.ln", told.flatten(2).mT))
        tokens = tokens + torch.cat([tokens[:, :1], told], dim=1)
        tokens, attention = transformer(w, f"{name}.trans_block", tokens)
        expand = f"{name}.expand_block"
        back = tokens[:, 1:].mT.unflatten(2, grid)
        back = F.conv2d(back, w[f"{expand}.conv_project.weight"], w[f"{expand}.conv_project.bias"])
        back = bn(w, f"{expand}.bn", back).relu()
        back = back.repeat_interleave(side, dim=2).repeat_interleave(side, dim=3)
        stride = last_stride if block == DEPTH else 1
        maps, _ = bottleneck(w, f"{name}.fusion_block", maps, added=back, stride=stride)
        all_maps.append(maps)
        matrices.append(attention)
    return all_maps, ln(w, "trans_norm", tokens, eps=1e-5), matrices


@pytest.mark.parametrize("output_stride", [32, 16])
@torch.no_grad()
def test_both_branches_follow_the_formulas(images: Tensor, output_stride: int) -> None:
    conformer = drawn(output_stride)
    made = conformer.branches(images, attended=range(1, DEPTH + 1))
    maps, tokens, attention = by_hand(
        dict(conformer.state_dict()), images, last_stride=2 if output_stride == 32 else 1
    )
    assert made.grid == (4, 6)
    for stage, block in zip(made.pyramid, (2, 4, 5, 6), strict=True):
        torch.testing.assert_close(stage, maps[block - 1], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(made.tokens, tokens, rtol=1e-4, atol=1e-4)
    for own, other in zip(made.attention, attention, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_attention_is_kept_for_the_blocks_that_are_named(conformer: Conformer, images: Tensor) -> None:
    everything = conformer.branches(images, attended=range(1, DEPTH + 1))
    some = conformer.branches(images, attended=(2, 5))
    assert len(everything.attention) == DEPTH
    for own, block in zip(some.attention, (2, 5), strict=True):
        torch.testing.assert_close(own, everything.attention[block - 1])
    torch.testing.assert_close(some.attention[0].sum(-1), torch.ones(2, 25))
    assert some.attention[0].max() > 3 / 25, "this attention is not uniform"
    none = conformer.branches(images)
    assert none.attention == ()
    torch.testing.assert_close(none.tokens, everything.tokens, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_images_are_resized_to_multiples_of_16(conformer: Conformer) -> None:
    images = torch.randn(1, 3, 71, 33, generator=torch.Generator().manual_seed(2))
    resized = F.interpolate(images, (64, 32), mode="bilinear")
    for own, other in zip(conformer(images), conformer(resized), strict=True):
        torch.testing.assert_close(own, other)


@pytest.mark.parametrize(
    ("name", "published"), [("tiny", 23_524_704), ("small", 37_673_424), ("base", 83_289_136)]
)
def test_sizes_are_those_that_mmpretrain_lists(name: str, published: int) -> None:
    """Its numbers of parameters have both classifiers of 1,000 classes."""
    shape = SHAPES[f"conformer_{name}_patch16"]
    with torch.device("meta"):
        conformer = Conformer(name, shape)
    heads = sum(1000 * (width + 1) for width in (conformer.channels[3], shape.width))
    assert sum(parameter.numel() for parameter in conformer.parameters()) + heads == published


def mmpretrain_name(name: str) -> str:
    for own, theirs in (
        ("norm1", "ln1"),
        ("norm2", "ln2"),
        ("mlp.fc1", "ffn.layers.0.0"),
        ("mlp.fc2", "ffn.layers.1"),
    ):
        name = name.replace(own, theirs)
    return f"backbone.{name}"


@pytest.mark.parametrize("naming", ["authors", "mmpretrain"])
@torch.no_grad()
def test_published_files_are_loaded(
    conformer: Conformer, images: Tensor, naming: str, tmp_path: Path
) -> None:
    """Both have the classifiers of both branches, which are left out."""
    heads = {"conv_cls_head.weight": torch.zeros(5, 128), "trans_cls_head.bias": torch.zeros(5)}
    tensors = {**conformer.state_dict(), **heads}
    if naming == "mmpretrain":
        tensors = {
            f"head.{name}" if name in heads else mmpretrain_name(name): value
            for name, value in tensors.items()
        }
    file = tmp_path / "published.pth"
    torch.save({"state_dict" if naming == "mmpretrain" else "model": tensors}, file)
    loaded = create_backbone("conformer_nano", weights=file)
    assert loaded.keeps_batch_statistics
    assert not loaded.train().conv_1.bn1.training
    for own, other in zip(loaded.eval()(images), conformer(images), strict=True):
        assert torch.equal(own, other)


def test_a_file_of_another_size_is_refused(conformer: Conformer, tmp_path: Path) -> None:
    torch.save(dict(conformer.state_dict()), tmp_path / "nano.pth")
    with pytest.raises(CheckpointError, match=r"nano\.pth does not fit conformer_tiny"):
        create_backbone("conformer_tiny", weights=tmp_path / "nano.pth")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("conformer_small", r"small-p16_.*3065dcf5\.pth, or the authors' file .* model\.weights FILE"),
        ("conformer_nano", "No pretrained weights of backbone 'conformer_nano'.* model.weights none"),
    ],
)
def test_weights_that_are_not_on_the_hub_are_asked_for(name: str, message: str) -> None:
    with pytest.raises(SwtformerError, match=message):
        create_backbone(name)


def test_an_output_stride_of_8_is_refused() -> None:
    with pytest.raises(SwtformerError, match="'conformer_nano' has its last stage at stride 32 or 16, not 8"):
        create_backbone("conformer_nano", weights="none", output_stride=8)


def test_misspelt_names_find_the_family() -> None:
    assert set(known_names()) == set(SHAPES) | set(ALIASES)
    with pytest.raises(SwtformerError, match="Did you mean 'conformer_small'"):
        create_backbone("conformr_small", weights="none")


def test_stochastic_depth_rises_from_the_first_block() -> None:
    conformer = create_backbone("conformer_nano", weights="none", drop_path=0.5)
    rates = [module.p for module in conformer.modules() if type(module).__name__ == "StochasticDepth"]
    assert rates == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4, 0.5])


def test_the_norm_of_the_tokens_is_not_trained_by_the_pyramid() -> None:
    conformer = create_backbone("conformer_nano", weights="none")
    idle = [name for name, parameter in conformer.named_parameters() if not parameter.requires_grad]
    assert idle == ["trans_norm.weight", "trans_norm.bias"]
