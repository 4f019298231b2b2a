"""MCTformer+: contrast between class tokens."""

from __future__ import annotations

import torch

from support.class_tokens_by_hand import (
    model_of,
)
from swtformer.methods import Batch


def test_layers_of_the_contrast(images: torch.Tensor, present: torch.Tensor) -> None:
    batch = Batch(images, present)
    last, every = (model_of("mctformer_plus", contrast_layers=layers) for layers in (1, 4))
    assert last.losses(batch, epoch=0.0)["contrast"] != every.losses(batch, epoch=0.0)["contrast"]
    without = model_of("mctformer_plus", contrast=0)
    assert set(without.losses(batch, epoch=0.0)) == {"cls", "patch_cls"}
    assert without.loss_weights(0) == {"cls": 1, "patch_cls": 1, "contrast": 0}
