"""CAMs that are averaged over the places that look alike (`method.pixel_correlation`), against a loop."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from support.models import tiny
from swtformer.errors import SettingsError
from swtformer.methods import METHODS, Batch, PyramidMethod
from swtformer.settings import LocalizeSettings

ONE_VIEW = LocalizeSettings(scales=(1.0,), flip=False, stride=16)
WITH_A_PYRAMID = [name for name in METHODS if issubclass(METHODS[name], PyramidMethod) and name != "seam"]
every_pyramid = pytest.mark.parametrize("name", WITH_A_PYRAMID)


def correlated_by_hand(model: PyramidMethod, images: torch.Tensor, stages: tuple[int, ...]) -> np.ndarray:
    """(B, C, h, w) means of the positive activations, on the grid of stage 3, for stages 3 and 4."""
    with torch.no_grad():
        encoding = model.encode(images)
    grid = encoding.pyramid[2].shape[-2:]
    activations = F.interpolate(encoding.activations.relu(), grid, mode="bilinear")
    features = []
    for stage in stages:
        own = encoding.pyramid[stage - 1]
        own = own - own.mean((2, 3), keepdim=True)
        own = own / own.norm(dim=1, keepdim=True)
        features.append(F.interpolate(own, grid, mode="bilinear") if own.shape[-2:] != grid else own)
    places = torch.cat(features, dim=1).flatten(2).double().numpy()
    values = activations.flatten(2).double().numpy()
    made = np.zeros_like(values)
    for image in range(len(values)):
        for here in range(values.shape[-1]):
            total = weights = 0.0
            for there in range(values.shape[-1]):
                one, other = places[image, :, here], places[image, :, there]
                weight = max(0.0, one @ other / np.linalg.norm(one) / np.linalg.norm(other))
                total = total + weight * values[image, :, there]
                weights += weight
            made[image, :, here] = total / weights
    return made.reshape(activations.shape)


@pytest.mark.parametrize("norm", ["max", "minmax"])
def test_a_cam_is_the_mean_of_what_looks_alike(
    norm: str, images: torch.Tensor, present: torch.Tensor
) -> None:
    model = tiny("swtformer_v1", pixel_correlation=(3, 4), norm=norm)
    plain = tiny("swtformer_v1", norm=norm)
    expected = correlated_by_hand(plain, images, (3, 4))
    if norm == "minmax":
        expected = expected - expected.min((2, 3), keepdims=True)
    expected = expected / (expected.max((2, 3), keepdims=True) + 1e-5)
    expected = expected * present.numpy()[:, :, None, None]
    made = model.maps(images, present, settings=ONE_VIEW)
    np.testing.assert_allclose(made.cam, expected, atol=1e-4)
    with torch.no_grad():
        logits, own = model(images, present)
    np.testing.assert_allclose(own.cam[:, 1:], expected, atol=1e-4)
    torch.testing.assert_close(logits, plain.logits(images))
    before = plain.maps(images, present, settings=ONE_VIEW).cam
    assert np.abs(before.numpy() - expected).max() > 0.1, "these images show the difference"


def test_stages_are_a_set(images: torch.Tensor, present: torch.Tensor) -> None:
    one, other = (tiny("cam", pixel_correlation=stages) for stages in ((3, 4), (4, 3, 4)))
    maps = [model.maps(images, present, settings=ONE_VIEW).cam for model in (one, other)]
    assert torch.equal(*maps)


@pytest.mark.parametrize("seeds", ["view", "pooled"])
@every_pyramid
def test_every_method_with_a_pyramid_takes_it(
    name: str, seeds: str, images: torch.Tensor, present: torch.Tensor
) -> None:
    settings = LocalizeSettings.model_validate({"scales": (0.5, 1.0), "seeds": seeds})
    plain = tiny(name).maps(images, present, settings=settings)
    made = tiny(name, pixel_correlation=(2, 3, 4)).maps(images, present, settings=settings)
    assert (made.cam - plain.cam).abs().max() > 0.05
    assert made.cam.max() <= 1
    assert not made.cam[present == 0].any()
    torch.testing.assert_close(made.probabilities, plain.probabilities)


@pytest.mark.parametrize("stages", [(1,), (3, 4), (4,)])
@every_pyramid
def test_it_is_trained_with(
    name: str, stages: tuple[int, ...], images: torch.Tensor, present: torch.Tensor
) -> None:
    """Also on crops with padded pixels, on whatever grid the CAMs are."""
    valid = torch.ones(2, 1, *images.shape[-2:])
    valid[:, :, :, 48:] = 0
    model = tiny(name, pixel_correlation=stages).train()
    losses = model.losses(Batch(images, present, valid=valid, index=torch.arange(2)), epoch=0.0)
    sum(losses.values()).backward()
    assert all(own.isfinite() for own in losses.values())


def test_maps_have_the_grid_of_the_third_stage(images: torch.Tensor) -> None:
    for stages in ((1, 2), (4,)):
        model = tiny("cam", pixel_correlation=stages)
        assert model.class_maps(model.encode(images)).shape == (2, 3, 4, 6)


def test_seam_refuses_it_as_it_trains_its_own() -> None:
    assert tiny("seam", pixel_correlation=()).options.correlated == (2, 3)
    with pytest.raises(SettingsError, match=r"method\.pixel_correlation: .*SEAM trains its own"):
        tiny("seam", pixel_correlation=(3, 4))


def test_stages_come_from_the_command_line() -> None:
    assert METHODS.options("cam", {"pixel_correlation": "2, 3,4"}).pixel_correlation == (2, 3, 4)
    assert METHODS.options("seam", {"correlated": "3,4"}).correlated == (3, 4)
    with pytest.raises(SettingsError, match=r"pixel_correlation.*5"):
        METHODS.options("cam", {"pixel_correlation": "5"})


def test_an_image_without_anything_to_compare_keeps_its_maps(present: torch.Tensor) -> None:
    """At 32×32 px the last stage is one place, which is its own mean."""
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (2, 3, 32, 32), generator=generator, dtype=torch.uint8)
    plain, model = tiny("cam"), tiny("cam", pixel_correlation=(4,))
    made = [each.maps(image, present, settings=ONE_VIEW).cam for each in (plain, model)]
    assert made[0].any()
    torch.testing.assert_close(*made)


def test_the_features_steer_no_backbone(images: torch.Tensor, present: torch.Tensor) -> None:
    model = tiny("swtformer_v1", pixel_correlation=(4,))
    encoding = model.encode(images)
    leaves = [stage.detach().requires_grad_() for stage in encoding.pyramid]
    encoding = type(encoding)(tuple(leaves), encoding.activations.detach().requires_grad_(), encoding.logits)
    model.cam(encoding, present).sum().backward()
    assert encoding.activations.grad is not None
    assert all(leaf.grad is None for leaf in leaves)
