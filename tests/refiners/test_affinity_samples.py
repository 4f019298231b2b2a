"""What PSA and IRN learn from: crops of images, and labels that the dense CRF may reject."""

from __future__ import annotations

import numpy as np
import torch

from swtformer.functional.affinity import IGNORED
from swtformer.refiners import Example
from swtformer.refiners.affinity_samples import labels_to_learn, random_crop
from swtformer.refiners.walk_settings import WalkSettings


def test_crops_show_image_and_labels_of_one_place() -> None:
    height, width = 40, 56
    values = torch.arange(height * width).view(1, height, width) / (height * width)
    labels = (values[0] * 250).round().to(torch.uint8)
    for seed in range(8):
        generator = np.random.default_rng(seed)
        image, cropped = random_crop(
            values.expand(3, -1, -1), labels, generator, crop_px=48, scales=(1.0, 1.0)
        )
        inside = ~image[0].isnan()
        assert image.shape == (3, 48, 48)
        assert inside.sum() == height * 48
        assert torch.equal(cropped == IGNORED, ~inside)
        torch.testing.assert_close((image[0][inside] * 250).round().to(torch.uint8), cropped[inside])


def test_crops_of_any_size_and_scale() -> None:
    for size in ((1, 1), (1, 300), (70, 33)):
        image, labels = random_crop(
            torch.rand(3, *size),
            torch.zeros(1, 1, dtype=torch.uint8),
            np.random.default_rng(0),
            crop_px=32,
            scales=(0.5, 1.5),
        )
        assert (image.shape, labels.shape) == ((3, 32, 32), (32, 32))
        assert (labels == 0).any()


def test_the_dense_crf_rejects_labels_that_the_colours_contradict() -> None:
    # The maps stop at column 10 of 20, the colour at column 8.
    image = torch.full((3, 80, 80), 0.1)
    image[:, :, :32] = 0.9
    cam = torch.full((1, 20, 20), 0.05)
    cam[:, :, :10] = 0.95
    example = Example(image, torch.cat([1 - cam, cam]), torch.tensor([4]))
    plain = labels_to_learn(example, WalkSettings(fit_labels="maps"))
    assert plain.tolist() == [[4] * 10 + [0] * 10] * 20
    confirmed = labels_to_learn(example, WalkSettings(fit_labels="dense_crf"))
    assert (confirmed[:, :8] == 4).all()
    assert (confirmed[:, 9] == IGNORED).all()  # column 8 shows a bit of both colours
    assert (confirmed[:, 10:] == 0).all()
