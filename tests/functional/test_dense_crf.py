"""Mean field against all pairs of pixels, and against pydensecrf where it is installed."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from swtformer.functional import dense_crf
from swtformer.functional.dense_crf import PairwiseTerms, label_energies, map_energies, mean_field

TERMS = PairwiseTerms(
    gaussian_px=2.3, gaussian_weight=1.5, bilateral_px=5.7, bilateral_rgb=41, bilateral_weight=2
)


def smooth_image(height: int, width: int) -> Tensor:
    """A gradient with a brighter disc, (3, H, W) in [0, 1] on the grid of uint8."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    disc = ((y - height / 2) ** 2 + (x - width / 2) ** 2 < (min(height, width) / 3) ** 2).float()
    image = torch.stack([0.2 + 0.5 * disc, x / (2 * width) + 0.3 * disc, y / (2 * height)])
    return (image * 255).round() / 255


def all_pairs(energies: np.ndarray, image: np.ndarray, terms: PairwiseTerms, iterations: int) -> np.ndarray:
    """Mean field with exact Gaussians, O(N²)."""
    labels, height, width = energies.shape
    y, x = np.mgrid[:height, :width]
    places = np.stack([x.ravel(), y.ravel()], 1)
    colours = image.reshape(3, -1).T * 255

    def kernel(features: np.ndarray) -> Any:
        values = np.exp(-((features[:, None] - features) ** 2).sum(-1) / 2)
        roots = 1 / np.sqrt(values.sum(1))
        return values * roots[:, None] * roots

    near = kernel(places / terms.gaussian_px)
    appearance = kernel(np.concatenate([places / terms.bilateral_px, colours / terms.bilateral_rgb], 1))
    unary = -energies.reshape(labels, -1).T
    logits = unary
    for step in range(iterations + 1):
        exponentials = np.exp(logits - logits.max(1, keepdims=True))
        marginals = exponentials / exponentials.sum(1, keepdims=True)
        if step < iterations:
            logits = (
                unary
                + terms.gaussian_weight * near @ marginals
                + terms.bilateral_weight * appearance @ marginals
            )
    return marginals.T.reshape(labels, height, width)


@pytest.mark.parametrize("size", [(12, 17), (1, 1), (1, 9)])
def test_is_near_the_exact_mean_field(size: tuple[int, int]) -> None:
    image = smooth_image(*size)
    energies = torch.from_numpy(np.random.default_rng(0).random((3, *size)).astype(np.float32) * 2)
    expected = all_pairs(energies.numpy(), image.numpy(), TERMS, iterations=4)
    found = mean_field(energies, image, terms=TERMS, iterations=4).numpy()
    assert np.abs(found - expected).mean() < 0.02
    assert (found.argmax(0) == expected.argmax(0)).mean() > 0.97
    np.testing.assert_allclose(found.sum(0), 1, rtol=1e-5)


@pytest.mark.parametrize("size", [(37, 50), (1, 1), (3, 5)])
@pytest.mark.parametrize("terms", [TERMS, PairwiseTerms(3, 3, 50, 5, 10)])
def test_equals_pydensecrf(size: tuple[int, int], terms: PairwiseTerms) -> None:
    densecrf = pytest.importorskip("pydensecrf.densecrf")
    height, width = size
    image = smooth_image(*size)
    energies = torch.from_numpy(np.random.default_rng(1).random((4, *size)).astype(np.float32) * 2)
    crf = densecrf.DenseCRF2D(width, height, 4)
    crf.setUnaryEnergy(energies.reshape(4, -1).numpy())
    crf.addPairwiseGaussian(sxy=terms.gaussian_px, compat=terms.gaussian_weight)
    crf.addPairwiseBilateral(
        sxy=terms.bilateral_px,
        srgb=terms.bilateral_rgb,
        rgbim=(image.permute(1, 2, 0) * 255).round().byte().contiguous().numpy(),
        compat=terms.bilateral_weight,
    )
    expected = np.array(crf.inference(10)).reshape(4, height, width)
    found = mean_field(energies, image, terms=terms, iterations=10)
    # Where a point lies on the border of two simplices, rounding decides which corner of weight 0 the blur
    # can pass through: features shifted by 1e-6 move a result on 3×5 pixels by 0.003.
    np.testing.assert_allclose(found.numpy(), expected, atol=5e-3)


def test_without_pairwise_terms_the_unary_decides() -> None:
    energies = torch.rand(2, 4, 5)
    found = mean_field(energies, torch.rand(3, 4, 5), terms=PairwiseTerms(3, 0, 50, 5, 0), iterations=10)
    torch.testing.assert_close(found, (-energies).softmax(0))


def test_a_permutation_of_the_labels_permutes_the_result() -> None:
    torch.manual_seed(0)
    energies, image = torch.rand(3, 10, 8), smooth_image(10, 8)
    order = torch.tensor([2, 0, 1])
    permuted = mean_field(energies[order], image, terms=TERMS, iterations=10)
    torch.testing.assert_close(permuted, mean_field(energies, image, terms=TERMS, iterations=10)[order])


def test_energies_by_hand() -> None:
    energies = label_energies(torch.tensor([[0, 2]]), count=3, certainty=0.7)
    torch.testing.assert_close(
        (-energies).exp(), torch.tensor([[[0.7, 0.15]], [[0.15, 0.15]], [[0.15, 0.7]]])
    )
    shares = (-map_energies(torch.tensor([[[0.3, 0.0, 0.0]], [[0.1, 0.5, 0.0]]]))).exp()
    torch.testing.assert_close(shares, torch.tensor([[[0.75, 1e-5, 1e-5]], [[0.25, 1.0, 1e-5]]]))


def test_a_batch_equals_its_images_and_absent_labels_stay_at_0() -> None:
    torch.manual_seed(0)
    images = torch.stack([smooth_image(14, 11), smooth_image(14, 11).flip(-1) / 2])
    energies = torch.rand(2, 3, 14, 11)
    energies[1, 2] = torch.inf
    together = mean_field(energies, images, terms=TERMS, iterations=5)
    torch.testing.assert_close(together[0], mean_field(energies[0], images[0], terms=TERMS, iterations=5))
    fewer = mean_field(energies[1, :2], images[1], terms=TERMS, iterations=5)
    torch.testing.assert_close(together[1, :2], fewer)
    assert not together[1, 2].any()


def test_other_sizes_are_refused() -> None:
    for size in ((1, 3, 4, 5), (3, 5, 4)):
        with pytest.raises(ValueError, match="energies and image of one size"):
            mean_field(torch.rand(2, 4, 5), torch.rand(*size), terms=TERMS, iterations=1)


def test_a_kept_smoothness_kernel_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    sizes = [(14, 11), (11, 14), (14, 11)]
    energies = [torch.rand(3, *size) for size in sizes]

    def marginals() -> list[Tensor]:
        pairs = zip(energies, sizes, strict=True)
        return [mean_field(own, smooth_image(*size), terms=TERMS, iterations=2) for own, size in pairs]

    kept = [*marginals(), *marginals()]
    monkeypatch.setattr(dense_crf, "KEPT_PX", 0)
    for found, expected in zip(kept, [*marginals()] * 2, strict=True):
        torch.testing.assert_close(found, expected, atol=0, rtol=0)
