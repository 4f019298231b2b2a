"""Maps over scales and mirror images against the same sums written out."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from support.models import tiny
from swtformer.functional.seeds import refined_maps
from swtformer.functional.views import on_grid
from swtformer.settings import LocalizeSettings


def _settings(**values: object) -> LocalizeSettings:
    return LocalizeSettings.model_validate({"scales": [1.0], "flip": False, **values})


def test_single_view_is_the_network_s_own_map(images: torch.Tensor, present: torch.Tensor) -> None:
    model = tiny()
    made = model.maps(images, present, settings=_settings(stride=32))
    with torch.no_grad():
        logits, plain = model(images, present)
    torch.testing.assert_close(made.probabilities, logits.sigmoid())
    raw = model.encode(images).activations.relu()
    expected = raw / (raw.amax((-2, -1), keepdim=True) + 1e-5) * present[:, :, None, None]
    torch.testing.assert_close(made.cam, expected.detach(), atol=1e-5, rtol=1e-4)
    assert made.rcam is not None
    assert plain.similarities is not None
    down = F.interpolate(plain.similarities, made.rcam.shape[-2:], mode="bilinear", align_corners=False)
    torch.testing.assert_close(
        made.rcam, down / (down.amax((-2, -1), keepdim=True) + 1e-5), atol=1e-4, rtol=1e-3
    )


def test_sums_over_scales_and_mirrors(images: torch.Tensor, present: torch.Tensor) -> None:
    model = tiny("swtformer_v1")
    made = model.maps(images, present, settings=_settings(scales=[1.0, 1.5], flip=True, stride=4))
    grid = (16, 24)
    total = torch.zeros(2, 3, *grid)
    with torch.no_grad():
        for size in ((64, 96), (96, 144)):
            view = F.interpolate(images.float() / 255, size, mode="bilinear", antialias=True)
            for mirrored in (False, True):
                raw = model.encode(view.flip(-1) if mirrored else view).activations.relu()
                raw = raw.flip(-1) if mirrored else raw
                total += F.interpolate(raw, grid, mode="bilinear", align_corners=False)
    expected = total / (total.amax((-2, -1), keepdim=True) + 1e-5) * present[:, :, None, None]
    torch.testing.assert_close(made.cam, expected, atol=1e-5, rtol=1e-4)
    assert made.rcam is None


@pytest.mark.parametrize("method", ["swtformer_v1", "swtformer_v2"])
def test_a_mirrored_image_gives_mirrored_maps(
    method: str, images: torch.Tensor, present: torch.Tensor
) -> None:
    model = tiny(method)
    options = _settings(flip=True)
    made = model.maps(images, present, settings=options)
    mirrored = model.maps(images.flip(-1), present, settings=options)
    torch.testing.assert_close(mirrored.cam.flip(-1), made.cam, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("seeds", ["view", "pooled", "contrast"])
def test_absent_classes_cost_nothing_and_change_nothing(
    seeds: str, images: torch.Tensor, present: torch.Tensor
) -> None:
    """One image alone (only its classes computed) and beside another give the same maps."""
    model = tiny()
    options = _settings(seeds=seeds, flip=True)
    both = model.maps(images, present, settings=options)
    alone = model.maps(images[1:], present[1:], settings=options)
    assert both.rcam is not None
    assert alone.rcam is not None
    torch.testing.assert_close(both.rcam[1:], alone.rcam, atol=1e-4, rtol=1e-3)
    assert not alone.rcam[0, [1, 3]].any()


def test_seeds_by_contrast(images: torch.Tensor, present: torch.Tensor) -> None:
    """By loops: the CAM times the root of 1 minus the cosine with the image's mean direction."""
    model = tiny("swtformer_v3")
    options = _settings(seeds="contrast", flip=False)
    made = model.maps(images, present, settings=options)
    plain = model.maps(images, present, settings=_settings(flip=False))
    torch.testing.assert_close(made.cam, plain.cam)
    with torch.no_grad():
        encoding = model.encode(images)
        fused = model.fused(encoding.pyramid)
        assert fused is not None
        gaps = torch.zeros(len(images), 1, *fused.shape[-2:])
        for image, features in enumerate(fused):
            units = [token / token.norm() for token in features.flatten(1).T]
            mean = torch.stack(units).mean(0)
            for place, unit in enumerate(units):
                gaps[image].view(-1)[place] = 1 - unit @ mean / mean.norm()
        grid = made.cam.shape[-2:]
        sums = on_grid(gaps, False, (grid[0], grid[1]))
        low, high = sums.amin((2, 3), keepdim=True), sums.amax((2, 3), keepdim=True)
        maps = plain.cam * ((sums - low) / (high - low)).sqrt()
        own = model.localize(encoding, present, maps=maps / maps.amax((2, 3), keepdim=True).clamp(min=1e-5))
    assert made.rcam is not None
    assert own.similarities is not None
    expected = refined_maps(on_grid(own.similarities, False, (grid[0], grid[1])), scaled="together")
    torch.testing.assert_close(made.rcam, expected, atol=1e-3, rtol=1e-3)
    assert plain.rcam is not None
    assert (made.rcam - plain.rcam).abs().max() > 0.01


def test_classes_can_be_predicted(images: torch.Tensor) -> None:
    model = tiny()
    with torch.no_grad():
        model.head.bias.copy_(torch.tensor([5.0, -5.0, -5.0]))
    made = model.maps(images, None, settings=_settings(class_threshold=0.5))
    assert made.present.tolist() == [[1, 0, 0], [1, 0, 0]]
    with torch.no_grad():
        model.head.bias.copy_(torch.tensor([-60.0, -5.0, -60.0]))
    made = model.maps(images, None, settings=_settings(class_threshold=0.5))
    assert made.present.tolist() == [[0, 1, 0], [0, 1, 0]]  # the most probable class in any case
