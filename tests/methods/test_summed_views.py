"""CAMs over scales and mirror images against the same sums written out, for a tiny hand-made network."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from swtformer.methods import summed_cams
from swtformer.settings import LocalizeSettings


def look(view: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Two channels of the image less a half, as a grid of 8×8 px; logits are their maxima."""
    activations = F.avg_pool2d(view[:, :2], 8) - 0.5
    return activations.amax((-2, -1)), activations


@pytest.fixture
def images() -> torch.Tensor:
    """Not symmetric, and dark in the second channel of the second image."""
    images = torch.randint(0, 256, (2, 3, 32, 64), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    images[0, :2, :, :32] //= 4
    images[1, 1] //= 4
    return images


def test_sums_of_positive_activations(images: torch.Tensor) -> None:
    settings = LocalizeSettings(scales=(1.0, 2.0), flip=True, stride=4)
    made = summed_cams(look, images, torch.ones(2, 2), settings=settings)
    total, probabilities = torch.zeros(2, 2, 8, 16), []
    for size in ((32, 64), (64, 128)):
        view = F.interpolate(images.float() / 255, size, mode="bilinear", antialias=True)
        for mirrored in (False, True):
            logits, seen = look(view.flip(-1) if mirrored else view)
            positive = seen.clamp_min(0)
            total += F.interpolate(positive.flip(-1) if mirrored else positive, (8, 16), mode="bilinear")
            probabilities.append(logits.sigmoid())
    expected = total / (total.amax((-2, -1), keepdim=True) + 1e-5)
    torch.testing.assert_close(made.cam, expected)
    torch.testing.assert_close(made.probabilities, sum(probabilities) / 4)
    assert made.rcam is None
    assert made.cam[0].any()
    assert not made.cam[1, 1].any()


def test_given_and_predicted_classes(images: torch.Tensor) -> None:
    settings = LocalizeSettings(scales=(1.0,), flip=False)
    given = torch.tensor([[0.0, 1.0], [1.0, 1.0]])
    made = summed_cams(look, images, given, settings=settings)
    assert not made.cam[0, 0].any()
    assert made.cam[0, 1].any()
    assert made.present is given
    made = summed_cams(look, images, None, settings=settings)
    assert made.present.tolist() == [[1, 1], [1, 0]]


def test_sums_can_be_scaled_by_minimum_and_maximum(images: torch.Tensor) -> None:
    """Of one view on its own grid; what is below 0 counts as 0 in the minimum too."""
    settings = LocalizeSettings(scales=(1.0,), flip=False, stride=8)
    made = summed_cams(
        lambda view: (look(view)[0], look(view)[1] + 1), images, None, settings=settings, norm="minmax"
    )
    seen = look(images.float() / 255)[1] + 1
    lowest, highest = (getattr(seen, name)((-2, -1), keepdim=True) for name in ("amin", "amax"))
    expected = (seen - lowest) / (highest - lowest + 1e-5) * made.present[:, :, None, None]
    torch.testing.assert_close(made.cam, expected)


def test_sums_with_their_signs(images: torch.Tensor) -> None:
    """What is negative in one view weakens the others; then the positive part, from minimum to maximum."""
    settings = LocalizeSettings(scales=(1.0, 2.0), flip=False, stride=8)
    made = summed_cams(look, images, torch.ones(2, 2), settings=settings, summed="signed", norm="minmax")
    total = torch.zeros(2, 2, 4, 8)
    for size in ((32, 64), (64, 128)):
        _, seen = look(F.interpolate(images.float() / 255, size, mode="bilinear", antialias=True))
        total += F.interpolate(seen, (4, 8), mode="bilinear")
    total = total.clamp_min(0)
    least, most = total.amin((-2, -1), keepdim=True), total.amax((-2, -1), keepdim=True)
    torch.testing.assert_close(made.cam, (total - least) / (most - least + 1e-5))
    plain = summed_cams(look, images, torch.ones(2, 2), settings=settings, norm="minmax")
    assert not torch.allclose(made.cam, plain.cam, atol=1e-3)
