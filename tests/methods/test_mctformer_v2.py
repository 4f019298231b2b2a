"""MCTformer-V2: class attention and patch CAM."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from support.class_tokens_by_hand import (
    VIEW,
    localized_by_hand,
    minmax,
    model_of,
)
from support.models import tiny


@pytest.mark.parametrize("fusion", ["product", "geometric", "class_attention", "patch_cam"])
def test_readings_of_the_fusion(fusion: str, images: torch.Tensor) -> None:
    model = model_of("mctformer_v2", fusion=fusion, affinity="off", attention_layers=2)
    expected = localized_by_hand(model, images, layers=2, fusion=fusion, affinity=False)
    made = model.maps(images, torch.ones(2, 3), settings=VIEW).cam
    np.testing.assert_allclose(made, minmax(expected), atol=1e-3)


def test_the_head_learns_as_fast_as_the_rest() -> None:
    model = tiny("mctformer_v2")
    assert model.learning_rate_multipliers() == {"head": 1}
    assert {id(item) for item in model.parameter_groups()["head"]} == {
        id(item) for item in model.head.parameters()
    }
    assert tiny("mctformer_v1").parameter_groups()["head"] == []
