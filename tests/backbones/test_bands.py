"""Backbones of other bands than red, green and blue, with pretrained weights that are adapted."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from swtformer.backbones import create_backbone

FIRST = {
    "swin_nano": "patch_embed.proj",
    "mobilenetv2_100": "model.conv_stem",
    "convnext_atto": "model.stem.0",
}


@pytest.mark.parametrize("bands", [2, 5])
@pytest.mark.parametrize("name", FIRST)
def test_pretrained_weights_are_repeated_and_scaled(tmp_path, name, bands):
    torch.manual_seed(0)
    colours = create_backbone(name, weights="none").eval()
    tensors = {key.removeprefix("model."): value.contiguous() for key, value in colours.state_dict().items()}
    save_file(tensors, tmp_path / "rgb.safetensors")
    adapted = create_backbone(name, weights=tmp_path / "rgb.safetensors", bands=bands).eval()
    before = colours.get_submodule(FIRST[name]).weight
    after = adapted.get_submodule(FIRST[name]).weight
    expected = torch.stack([before[:, band % 3] for band in range(bands)], dim=1) * 3 / bands
    torch.testing.assert_close(after, expected)
    assert len(adapted.mean) == len(adapted.std) == bands
    assert adapted.mean[bands - 1] == colours.mean[(bands - 1) % 3]
    maps = adapted(torch.rand(1, bands, 64, 96))
    assert [each.shape[1] for each in maps] == list(colours.channels)
    with pytest.raises(ValueError, match=rf"\(B, {bands}, H, W\)"):
        adapted(torch.rand(1, 3, 64, 96))


def test_weights_of_the_same_bands_stay_as_they_are(tmp_path):
    five = create_backbone("swin_nano", weights="none", bands=5)
    save_file(five.state_dict(), tmp_path / "five.safetensors")
    again = create_backbone("swin_nano", weights=tmp_path / "five.safetensors", bands=5)
    torch.testing.assert_close(again.patch_embed.proj.weight, five.patch_embed.proj.weight)
