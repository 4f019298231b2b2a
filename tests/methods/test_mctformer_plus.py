"""MCTformer+: contrast between class tokens."""

from __future__ import annotations

import pytest
import torch

from support.class_tokens_by_hand import model_of
from swtformer.functional.attention import class_token_contrast
from swtformer.methods import Batch


@pytest.mark.parametrize("name", ["mctformer_v1", "mctformer_v2"])
def test_other_methods_with_class_tokens_take_the_contrast(
    name: str, images: torch.Tensor, present: torch.Tensor
) -> None:
    """Its equation is tested with Plus, in test_class_tokens.py."""
    batch = Batch(images, present)
    plain, model = model_of(name), model_of(name, contrast=0.5, contrast_layers=2)
    losses = model.losses(batch, epoch=0.0)
    tokens = torch.stack([each.classes for each in model.tokens(images)[-2:]])
    torch.testing.assert_close(losses.pop("contrast"), class_token_contrast(tokens, present))
    torch.testing.assert_close(losses, plain.losses(batch, epoch=0.0))
    assert model.loss_names == (*plain.loss_names, "contrast")
    assert model.loss_weights(0)["contrast"] == 0.5
    assert "contrast" not in plain.loss_weights(0)


def test_layers_of_the_contrast(images: torch.Tensor, present: torch.Tensor) -> None:
    batch = Batch(images, present)
    last, every = (model_of("mctformer_plus", contrast_layers=layers) for layers in (1, 4))
    assert last.losses(batch, epoch=0.0)["contrast"] != every.losses(batch, epoch=0.0)["contrast"]
    without = model_of("mctformer_plus", contrast=0)
    assert set(without.losses(batch, epoch=0.0)) == {"cls", "patch_cls"}
    assert without.loss_weights(0) == {"cls": 1, "patch_cls": 1}
