"""PAR against a loop over pixels, and invariants of each round."""

import numpy as np
import pytest
import torch

from swtformer.functional.pixel_adaptive import pixel_adaptive_refinement, pixel_affinities

DILATIONS = (1, 3)
PUBLISHED = {"iterations": 10, "dilations": (1, 2, 4, 8, 12, 24)}


def loop(image: np.ndarray, maps: np.ndarray, iterations: int, w1: float, w2: float) -> np.ndarray:
    """The published code's formula, pixel by pixel, with its weights divided by 1 + w2."""
    _, height, width = image.shape
    steps = [
        (dy * d, dx * d)
        for d in DILATIONS
        for dy, dx in [(-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)]
    ]
    distances = np.array([np.hypot(*step) for step in steps])
    positions = np.exp(-((distances / (distances.std(ddof=1) * w1)) ** 2))
    for _ in range(iterations):
        refined = np.zeros_like(maps)
        for y in range(height):
            for x in range(width):
                places = [
                    (min(max(y + dy, 0), height - 1), min(max(x + dx, 0), width - 1)) for dy, dx in steps
                ]
                colours = np.stack([image[:, i, j] for i, j in places])
                gaps = (colours - image[:, y, x]) / (w1 * (colours.std(0, ddof=1) + 1e-8))
                similarity = np.exp(-(gaps**2).mean(1))
                weights = similarity / similarity.sum() + w2 * positions / positions.sum()
                weights /= 1 + w2
                refined[:, y, x] = sum(w * maps[:, i, j] for w, (i, j) in zip(weights, places, strict=True))
        maps = refined
    return maps


def test_equals_the_loop() -> None:
    rng = np.random.default_rng(0)
    image, maps = rng.random((3, 6, 9)), rng.random((2, 6, 9))
    refined = pixel_adaptive_refinement(
        torch.from_numpy(image)[None],
        torch.from_numpy(maps)[None],
        iterations=2,
        dilations=DILATIONS,
    )
    np.testing.assert_allclose(refined[0].numpy(), loop(image, maps, 2, 0.3, 0.01), rtol=1e-9)


@pytest.mark.parametrize("size", [(1, 1), (2, 5), (23, 40)])
def test_weights_are_a_mean_and_constants_stay(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    images = torch.rand(2, 3, *size)
    affinities = pixel_affinities(images, dilations=(1, 2, 24))
    assert affinities.shape == (2, 24, *size)
    assert (affinities >= 0).all()
    torch.testing.assert_close(affinities.sum(1), torch.ones(2, *size))
    constant = torch.full((2, 1, *size), 0.3)
    torch.testing.assert_close(pixel_adaptive_refinement(images, constant, **PUBLISHED), constant)


def test_range_and_sum_over_channels_are_kept() -> None:
    torch.manual_seed(0)
    maps = torch.rand(1, 4, 15, 11).softmax(1)
    refined = pixel_adaptive_refinement(torch.rand(1, 3, 15, 11), maps, **PUBLISHED)
    torch.testing.assert_close(refined.sum(1), torch.ones(1, 15, 11))
    assert refined.min() >= maps.min()
    assert refined.max() <= maps.max()


def test_a_constant_image_keeps_mass_away_from_the_border() -> None:
    maps = torch.zeros(1, 1, 41, 41, dtype=torch.float64)
    maps[0, 0, 20, 20] = 1
    image = torch.full((1, 3, 41, 41), 0.5, dtype=torch.float64)
    refined = pixel_adaptive_refinement(image, maps, iterations=3, dilations=(1, 4))
    assert float(refined.sum()) == pytest.approx(1, abs=1e-12)
    torch.testing.assert_close(refined, refined.flip(2).transpose(2, 3))


def test_a_map_stops_at_an_edge_of_the_image() -> None:
    image = torch.zeros(1, 3, 24, 24)
    image[..., 12:] = 1
    maps = torch.zeros(1, 1, 24, 24)
    maps[..., 8:] = 1  # reaches over the edge, which lies at 12
    refined = pixel_adaptive_refinement(image, maps, iterations=10, dilations=(1, 2, 4, 8))[0, 0]
    assert refined[:, 13:].min() > 0.9
    assert refined[:, 11].max() < 0.6


def test_a_batch_equals_its_images_and_other_scales_of_colour_change_nothing() -> None:
    torch.manual_seed(0)
    images, maps = torch.rand(2, 3, 12, 10), torch.rand(2, 3, 12, 10)
    together = pixel_adaptive_refinement(images, maps, **PUBLISHED)
    alone = pixel_adaptive_refinement(images[1:], maps[1:], **PUBLISHED)
    torch.testing.assert_close(together[1:], alone)
    brighter = pixel_adaptive_refinement(images * 255, maps, **PUBLISHED)
    torch.testing.assert_close(together, brighter, atol=1e-5, rtol=1e-4)


def test_other_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="images and maps of one size"):
        pixel_adaptive_refinement(torch.rand(1, 3, 4, 4), torch.rand(1, 1, 4, 5), **PUBLISHED)
