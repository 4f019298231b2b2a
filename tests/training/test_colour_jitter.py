"""Colour jitter, with torchvision as oracle."""

import numpy as np
import pytest
from PIL import Image
from torchvision.transforms import functional as torchvision

from swtformer.engine.batches import sample_generator
from swtformer.training.colour_jitter import ColourJitter, shift_hue


def photograph(height: int, width: int) -> np.ndarray:
    """A smooth random picture, like a photograph."""
    coarse = np.random.default_rng(0).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


@pytest.mark.parametrize("turn", [-0.1, -0.03, 0.0, 0.05, 0.1, 0.5])
def test_hue_as_torchvision(turn: float) -> None:
    image = Image.fromarray(photograph(30, 40))
    np.testing.assert_array_equal(
        np.asarray(shift_hue(image, turn)), np.asarray(torchvision.adjust_hue(image, turn))
    )


@pytest.mark.parametrize(
    ("jitter", "adjust"),
    [
        (ColourJitter(0.3, 0, 0, 0), torchvision.adjust_brightness),
        (ColourJitter(0, 0.3, 0, 0), torchvision.adjust_contrast),
        (ColourJitter(0, 0, 0.3, 0), torchvision.adjust_saturation),
    ],
)
def test_jitter_stays_between_torchvisions_extremes_and_nears_both(jitter: ColourJitter, adjust) -> None:
    image = Image.fromarray(photograph(8, 8))
    low, high = (np.asarray(adjust(image, factor)).astype(int) for factor in (0.7, 1.3))
    plain = np.asarray(torchvision.adjust_hue(image, 0)).astype(int)
    farthest = np.abs(low - plain).max(), np.abs(high - plain).max()
    reached = [0, 0]
    for index in range(100):
        drawn = np.asarray(jitter(image, sample_generator(0, 0, index))).astype(int)
        assert (drawn >= np.minimum(low, high) - 6).all()
        assert (drawn <= np.maximum(low, high) + 6).all()
        brighter = int(np.abs(drawn - high).sum() < np.abs(drawn - low).sum())
        reached[brighter] = max(reached[brighter], np.abs(drawn - plain).max())
    assert reached[0] > 0.8 * farthest[0]
    assert reached[1] > 0.8 * farthest[1]
