"""What PSA and IRN learn affinities from: random crops with the labels that the run's maps are sure of."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from swtformer.functional.affinity import surest_labels
from swtformer.functional.dense_crf import label_energies, mean_field
from swtformer.functional.views import resized
from swtformer.label_values import IGNORED
from swtformer.refiners.learned import Example
from swtformer.refiners.walk_settings import WalkSettings


def labels_to_learn(example: Example, settings: WalkSettings) -> Tensor:
    """Labels on the grid of an example's maps; 255 where the maps are unsure or the dense CRF disagrees.

    The CRF runs on the maps' grid, its distances divided by their stride; at stride 4 this is a 16th of the
    work.

    Returns:
        (h, w) uint8.
    """
    labels = surest_labels(example.maps, example.values, part=settings.fit_confident)
    if settings.fit_labels == "maps" or len(example.maps) == 1:
        return labels
    height, width = labels.shape
    stride = max(example.image.shape[1] / height, example.image.shape[2] / width)
    channels = example.maps.argmax(0)
    energies = label_energies(channels, count=len(example.maps), certainty=settings.crf_certainty)
    image = resized(example.image[None], (height, width), antialias=True)[0]
    terms = settings.pairwise_terms(stride=stride)
    marginals = mean_field(energies, image, terms=terms, iterations=settings.crf_iterations)
    return labels.masked_fill(marginals.argmax(0) != channels, IGNORED)


def random_crop(
    image: Tensor,
    labels: Tensor,
    generator: np.random.Generator,
    *,
    crop_px: int,
    scales: tuple[float, float],
) -> tuple[Tensor, Tensor]:
    """Resize, crop and perhaps mirror an image with its labels.

    Args:
        image: (3, H, W) float32.
        labels: (h, w) uint8 on any grid of the image.
        generator: source of the random numbers.
        crop_px: side S of the crop; a smaller image is put at a random place of it.
        scales: range of the random size, drawn uniformly.

    Returns:
        (3, S, S) image, nan outside the picture; (S, S) uint8 labels, 255 outside.
    """
    scale = generator.uniform(*scales)
    height, width = (max(1, round(side * scale)) for side in image.shape[1:])
    image = resized(image[None], (height, width), antialias=True)[0]
    labels = F.interpolate(labels[None, None], (height, width), mode="nearest-exact")[0, 0]
    if generator.random() < 0.5:
        image, labels = image.flip(-1), labels.flip(-1)
    rows, target_rows = _window(height, crop_px, generator)
    columns, target_columns = _window(width, crop_px, generator)
    crop = image.new_full((3, crop_px, crop_px), torch.nan)
    crop[:, target_rows, target_columns] = image[:, rows, columns]
    cropped = labels.new_full((crop_px, crop_px), IGNORED)
    cropped[target_rows, target_columns] = labels[rows, columns]
    return crop, cropped


def _window(size: int, crop: int, generator: np.random.Generator) -> tuple[slice, slice]:
    """What to take of a side, and where to put it."""
    offset = int(generator.integers(abs(size - crop), endpoint=True))
    if size > crop:
        return slice(offset, offset + crop), slice(crop)
    return slice(size), slice(offset, offset + size)
