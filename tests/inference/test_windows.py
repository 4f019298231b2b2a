from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from swtformer.inference.windows import class_probabilities, decided, seen_size, spans
from swtformer.segmentation import NetworkSettings


def about(*, long_side_px: int | None, largest_side_px: int | None) -> NetworkSettings:
    return NetworkSettings(
        decoder="segformer",
        encoder="swin_nano",
        family="backbone",
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        long_side_px=long_side_px,
        largest_side_px=largest_side_px,
    )


class Pointwise(nn.Module):
    """Logits that depend on the pixel alone, so that every window and mirror image must agree."""

    classes = ("bright",)
    settings: NetworkSettings

    def forward(self, images: Tensor, presence: float = 1.0) -> Tensor:
        bright = images.mean(1, keepdim=True)
        return torch.cat([1 - bright, 3 * bright], dim=1)


@pytest.mark.parametrize("overlap", [8, 20, 28])
@pytest.mark.parametrize("length", [1, 63, 64, 65, 66, 100, 127, 128, 129, 190, 1000])
def test_spans_cover_a_side_once(length: int, overlap: int) -> None:
    made = spans(length, window=64, overlap=overlap)
    covered = np.zeros(length, int)
    for seen, kept in made:
        assert 0 <= seen.start <= kept.start < kept.stop <= seen.stop <= length
        assert seen.stop - seen.start == min(length, 64)
        assert kept.start % 4 == 0
        covered[kept] += 1
    assert (covered == 1).all()
    for (left, left_kept), (right, right_kept) in pairwise(made):
        assert left.stop - right.start >= overlap
        assert min(left.stop - left_kept.stop, right_kept.start - right.start) >= overlap // 2 - 4


def test_labels_of_a_part_are_those_of_the_enlarged_probabilities() -> None:
    torch.manual_seed(0)
    probabilities = torch.rand(4, 6, 9).softmax(0)
    rows, columns = slice(3, 20), slice(8, 31)
    labels, cells = decided(probabilities, (24, 36), (rows, columns), cells=True)
    enlarged = F.interpolate(probabilities[None], (24, 36), mode="bilinear", align_corners=False)[0]
    part = enlarged[:, rows, columns]
    assert labels.equal(part.argmax(0).to(torch.uint8))
    expected = F.avg_pool2d(part, 4, ceil_mode=True, count_include_pad=False)
    assert cells is not None
    torch.testing.assert_close(cells, expected)
    alone, nothing = decided(probabilities, (24, 36), (rows, columns), cells=False)
    assert nothing is None
    assert alone.equal(labels)


def test_the_size_that_a_network_sees() -> None:
    network = Pointwise()
    network.settings = about(long_side_px=500, largest_side_px=4000)
    assert seen_size(network, (3000, 4000)) == (376, 500)
    assert seen_size(network, (100, 60)) == (500, 300)
    assert seen_size(network, (8000, 1600)) == (500, 100)
    assert network.settings.scale_of(8000) == 500 / 8000
    assert network.settings.scale_of(8000, is_scene=True) == 500 / 4000
    assert network.settings.scale_of(2000, is_scene=True) == 500 / 2000
    network.settings = about(long_side_px=None, largest_side_px=None)
    assert seen_size(network, (31, 50)) == (31, 50)


def test_views_are_averaged_at_the_images_size() -> None:
    torch.manual_seed(0)
    image = torch.randint(0, 256, (1, 3, 40, 60), dtype=torch.uint8)
    made = class_probabilities(Pointwise(), image, scales=(0.5, 1.0), flip=True)
    assert made.shape == (1, 2, 40, 60)
    torch.testing.assert_close(made.sum(1), torch.ones(1, 40, 60))
    half = class_probabilities(Pointwise(), image, scales=(0.5,), flip=False)
    full = class_probabilities(Pointwise(), image, scales=(1.0,), flip=False)
    torch.testing.assert_close(made, (half + full) / 2, atol=1e-4, rtol=1e-4)


class LeftBiased(nn.Module):
    """Says class 1 for the left half of whatever it sees."""

    classes = ("left",)

    def forward(self, images: Tensor, presence: float = 1.0) -> Tensor:
        logits = torch.zeros(len(images), 2, *images.shape[2:])
        logits[:, 1, :, : images.shape[-1] // 2] = 5.0
        return logits


def test_mirrored_views_are_turned_back() -> None:
    image = torch.zeros(1, 3, 32, 64, dtype=torch.uint8)
    made = class_probabilities(LeftBiased(), image, scales=(1.0,), flip=True)
    torch.testing.assert_close(made, made.flip(-1))
