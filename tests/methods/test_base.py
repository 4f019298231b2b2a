"""The contract that every method keeps; a new method is tested by being in METHODS."""

from __future__ import annotations

import pytest
import torch

from support.models import CLASSES, tiny
from swtformer.errors import SettingsError
from swtformer.methods import METHODS, Batch, create_model
from swtformer.settings import ModelSettings


@pytest.mark.parametrize("method", METHODS)
def test_maps_are_in_range_and_absent_classes_dark(
    method: str, images: torch.Tensor, present: torch.Tensor
) -> None:
    with torch.no_grad():
        logits, made = tiny(method)(images, present)
    assert logits.shape == (2, 3)
    for maps in (made.cam, made.rcam, made.similarities):
        if maps is None:
            continue
        assert maps.shape[:2] == (2, 4)
        assert maps.min() >= 0
        assert maps.max() <= 1
        assert not maps[0, 2].any()
        assert not maps[1, [1, 3]].any()


@pytest.mark.parametrize("method", METHODS)
def test_an_image_does_not_depend_on_its_neighbours(
    method: str, images: torch.Tensor, present: torch.Tensor
) -> None:
    model = tiny(method)
    with torch.no_grad():
        logits, made = model(images, present)
        alone_logits, alone = model(images[1:], present[1:])
    torch.testing.assert_close(logits[1:], alone_logits, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(made.cam[1:], alone.cam, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_bytes_and_fractions_are_the_same_image(
    method: str, images: torch.Tensor, present: torch.Tensor
) -> None:
    model = tiny(method)
    with torch.no_grad():
        from_bytes, _ = model(images, present)
        from_fractions, _ = model(images.float() / 255, present)
    torch.testing.assert_close(from_bytes, from_fractions)


@pytest.mark.parametrize("method", METHODS)
def test_losses_train_every_parameter(method: str, images: torch.Tensor, present: torch.Tensor) -> None:
    model = tiny(method).train()
    losses = model.losses(Batch(images, present), epoch=1.0)
    torch.stack(list(losses.values())).sum().backward()
    dead = [name for name, item in model.named_parameters() if item.grad is None or not item.grad.any()]
    # The rows of a bias table that no pair of tokens of this small grid uses cannot get a gradient, a bias in
    # front of a softmax over keys never does; nothing else may be dead.
    assert [name for name in dead if "relative_position_bias" not in name] == []


@pytest.mark.parametrize("method", METHODS)
def test_pure_background_images_have_finite_losses(method: str, images: torch.Tensor) -> None:
    model = tiny(method).train()
    losses = model.losses(Batch(images, torch.zeros(2, 3)), epoch=1.0)
    torch.stack(list(losses.values())).sum().backward()
    assert all(item.isfinite() for item in losses.values())
    assert all(item.grad.isfinite().all() for item in model.parameters() if item.grad is not None)


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
