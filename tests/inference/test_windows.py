from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from swtformer.inference.windows import class_probabilities, patches, spans
from swtformer.settings import PredictSettings


class Pointwise(nn.Module):
    """Logits that depend on the pixel alone, so that every window and mirror image must agree."""

    classes = ("bright",)

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


def test_windows_agree_with_the_whole_image() -> None:
    image = torch.randint(0, 256, (3, 64, 201), dtype=torch.uint8)
    settings = PredictSettings(window_px=64, overlap_px=16)
    together = torch.full((2, 64, 201), torch.nan)
    for columns, probabilities in patches(Pointwise(), image, settings=settings):
        together[:, :, columns] = probabilities
    whole = class_probabilities(Pointwise(), image[None], scales=(1.0,), flip=False)[0]
    torch.testing.assert_close(together, whole)


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
