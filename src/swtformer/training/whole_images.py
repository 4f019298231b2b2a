"""The training set as a method sees it between epochs: whole images, without augmentation."""

from __future__ import annotations

from typing import final

import numpy as np
import torch
from torch import Tensor

from swtformer.datasets.records import ImageSet
from swtformer.methods import Batch, TrainingImages
from swtformer.settings import DataSettings
from swtformer.training.augment import Sample
from swtformer.training.labelled_samples import LabelledSamples


@final
class WholeImages(TrainingImages):
    """Images read at each access; one that cannot be read gives way to the next one of the set.

    Args:
        image_set: images with known labels.
        data_settings: how images are read.
    """

    def __init__(self, image_set: ImageSet, data_settings: DataSettings) -> None:
        self._samples = LabelledSamples(image_set, _unchanged, data_settings, seed=0)
        self._present = torch.from_numpy(image_set.labels())

    @property
    def present(self) -> Tensor:
        """(N, C) 0/1 image-level labels of all images."""
        return self._present

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> Batch:
        item = self._samples[0, range(len(self))[index]]
        return Batch(item["image"][None], item["present"][None], index=item["index"][None])


def _unchanged(image: np.ndarray, generator: np.random.Generator) -> Sample:
    pixels = torch.from_numpy(image).permute(2, 0, 1)
    return Sample(pixels, torch.ones(pixels.shape[1:], dtype=torch.bool))
