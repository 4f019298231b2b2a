"""Building methods, and options of CAM heads; the contract of all methods is in test_contract."""

from __future__ import annotations

import pytest
import torch

from support.models import CLASSES, tiny
from swtformer.errors import SettingsError
from swtformer.methods import create_model
from swtformer.settings import ModelSettings


@pytest.mark.parametrize("pooling", ["gap", "gmp", "gwrp"])
@pytest.mark.parametrize("kernel", [1, 3])
def test_head_options(pooling: str, kernel: int, images: torch.Tensor, present: torch.Tensor) -> None:
    model = tiny("swtformer_v1", pooling=pooling, kernel=kernel)
    assert model.head.kernel_size == (kernel, kernel)
    encoding = model.encode(images)
    assert encoding.activations.shape[-2:] == encoding.pyramid[-1].shape[-2:]
    if pooling == "gmp":
        torch.testing.assert_close(encoding.logits, encoding.activations.amax((-2, -1)))


def test_a_model_needs_a_class() -> None:
    with pytest.raises(SettingsError, match="at least one class"):
        create_model(ModelSettings(backbone="swin_nano", weights="none"), ())


def test_one_class_is_enough(images: torch.Tensor) -> None:
    settings = ModelSettings(backbone="swin_nano", weights="none")
    logits, made = create_model(settings, CLASSES[:1]).eval()(images, torch.ones(2, 1))
    assert logits.shape == (2, 1)
    assert made.rcam is not None
    assert made.rcam.shape[1] == 2
