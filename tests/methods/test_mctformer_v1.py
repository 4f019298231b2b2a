"""MCTformer-V1: class attention alone."""

from __future__ import annotations

import numpy as np
import torch

from support.class_tokens_by_hand import (
    VIEW,
    localized_by_hand,
    model_of,
)


def test_maps_can_be_scaled_by_their_maximum(images: torch.Tensor) -> None:
    model = model_of("mctformer_v1", norm="max")
    expected = localized_by_hand(model, images, layers=3, fusion="class_attention")
    made = model.maps(images, torch.ones(2, 3), settings=VIEW).cam
    np.testing.assert_allclose(made, expected / expected.max((2, 3), keepdims=True), atol=1e-3)
