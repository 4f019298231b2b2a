"""Plain CAM: what it has beside V1's contract."""

from __future__ import annotations

import numpy as np
import torch

from support.models import tiny
from swtformer.settings import LocalizeSettings


def test_the_head_has_no_bias() -> None:
    assert tiny("cam").head.bias is None
    assert tiny("cam", bias=True).head.bias is not None
    assert tiny("cam").reusable_head().convolution.bias is None


def test_channels_are_dropped_before_the_head_in_training_alone(images: torch.Tensor) -> None:
    model = tiny("cam", dropout=0.5).train()
    with torch.no_grad():
        first, second = model.encode(images), model.encode(images)
        assert torch.equal(first.pyramid[-1], second.pyramid[-1])
        assert not torch.equal(first.logits, second.logits)
        model.eval()
        torch.testing.assert_close(model.logits(images), tiny("cam").logits(images))


def test_pooling_before_the_head_gives_the_same_logits(images: torch.Tensor) -> None:
    """A logit is a weighted sum of the pooled features, as in the paper; the map is that of each place."""
    model = tiny("cam")
    with torch.no_grad():
        encoding = model.encode(images)
    weights = model.head.weight.detach().numpy()[:, :, 0, 0]
    last = encoding.pyramid[-1].numpy()
    np.testing.assert_allclose(encoding.logits, last.mean((2, 3)) @ weights.T, atol=1e-6)
    maps = np.zeros(encoding.activations.shape)
    for row in range(last.shape[2]):
        for column in range(last.shape[3]):
            maps[:, :, row, column] = last[:, :, row, column] @ weights.T
    np.testing.assert_allclose(encoding.activations, maps, atol=1e-6)


def test_maps_are_those_of_v1_with_a_bias_of_0(images: torch.Tensor, present: torch.Tensor) -> None:
    model, other = tiny("cam"), tiny("swtformer_v1")
    other.load_state_dict(model.state_dict() | {"head.bias": torch.zeros(3)})
    settings = LocalizeSettings(scales=(0.5, 1.0))
    made, expected = (item.maps(images, present, settings=settings).cam for item in (model, other))
    torch.testing.assert_close(made, expected)
