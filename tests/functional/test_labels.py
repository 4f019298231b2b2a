import numpy as np
import pytest
import torch

from swtformer.functional.labels import best_foreground, labels_against, labels_at, upsample


def bilinear(channel: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Half-pixel centres, edge values kept outside: a loop over the pixels."""
    h, w = channel.shape
    result = np.zeros(size)
    for y in range(size[0]):
        for x in range(size[1]):
            v = min(max((y + 0.5) * h / size[0] - 0.5, 0), h - 1)
            u = min(max((x + 0.5) * w / size[1] - 0.5, 0), w - 1)
            top, left = int(v), int(u)
            below, right = min(top + 1, h - 1), min(left + 1, w - 1)
            a, b = v - top, u - left
            result[y, x] = (1 - a) * ((1 - b) * channel[top, left] + b * channel[top, right]) + a * (
                (1 - b) * channel[below, left] + b * channel[below, right]
            )
    return result


def test_upsample_equals_a_loop() -> None:
    maps = torch.rand(2, 3, 4, generator=torch.Generator().manual_seed(0)).half()
    expected = np.stack([bilinear(channel.astype(np.float64), (11, 14)) for channel in maps.numpy()])
    result = upsample(maps, (11, 14))
    assert result.dtype == torch.float32
    np.testing.assert_allclose(result, expected, atol=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (1, 160), (3, 5)])
def test_tiny_images(size: tuple[int, int]) -> None:
    best = best_foreground(torch.ones(2, 1, 1).half(), torch.tensor([3, 9]), size)
    assert best.scores.shape == best.values.shape == size
    assert (best.values == 3).all()


def test_best_foreground_picks_the_class_of_the_highest_map() -> None:
    maps = torch.tensor([[[0.2, 0.9]], [[0.6, 0.1]]])
    best = best_foreground(maps, torch.tensor([7, 20]), (1, 2))
    assert best.values.tolist() == [[20, 7]]
    torch.testing.assert_close(best.scores, torch.tensor([[0.6, 0.9]]))


def test_images_without_a_class_are_background_everywhere() -> None:
    best = best_foreground(torch.zeros(0, 4, 5), torch.zeros(0, dtype=torch.int16), (16, 20))
    assert not labels_at(best, 0.0).any()
    assert not labels_against(best, torch.zeros(4, 5)).any()


@pytest.mark.parametrize("threshold", [0.0, 0.15, 0.29, 0.5, 1.0])
def test_threshold_equals_argmax_with_a_constant_background(threshold: float) -> None:
    """Ties included: the maps hold the thresholds themselves."""
    steps = torch.randint(0, 101, (3, 20, 30), generator=torch.Generator().manual_seed(1))
    maps = (steps.double() / 100).float()
    maps[:, 0] = threshold
    background = torch.full((1, 20, 30), threshold)
    naive = np.argmax(np.concatenate([background, maps]), axis=0)
    values = np.array([0, 4, 5, 17])
    labels = labels_at(best_foreground(maps, torch.tensor(values[1:]), (20, 30)), threshold)
    assert labels.dtype == torch.uint8
    np.testing.assert_array_equal(labels, values[naive])


def test_competing_background_equals_argmax() -> None:
    maps = torch.rand(4, 6, 7, generator=torch.Generator().manual_seed(2)).half()
    maps[0, 0] = maps[1:, 0].amax(0)  # ties go to the background
    full = np.argmax(upsample(maps, (24, 28)).numpy(), axis=0)
    best = best_foreground(maps[1:], torch.tensor([2, 3, 8]), (24, 28))
    np.testing.assert_array_equal(labels_against(best, maps[0]), np.array([0, 2, 3, 8])[full])
