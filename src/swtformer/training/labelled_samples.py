"""Training samples of images with image-level labels."""

from __future__ import annotations

from typing import final

import numpy as np
import torch
from torch import Tensor

from swtformer.datasets.images import read_image
from swtformer.datasets.records import ImageSet
from swtformer.engine.batches import Samples
from swtformer.errors import DataError
from swtformer.settings import DataSettings
from swtformer.training.augment import Augmentation


@final
class LabelledSamples(Samples[np.ndarray]):
    """Samples of an image set with known labels.

    A sample holds image (3, S, S) uint8 RGB, not normalised; valid (S, S) bool, False on padding; present
    (C,) float32, 0 or 1; index () int64, the position of the image in the set.

    Args:
        image_set: readable images with known labels.
        augmentation: turns photographs into samples.
        data_settings: how images are read.
        seed: of all samples and of their order.

    Raises:
        DataError: there are no images, or some have no known labels.
    """

    def __init__(
        self, image_set: ImageSet, augmentation: Augmentation, data_settings: DataSettings, *, seed: int
    ) -> None:
        if not image_set.records:
            raise DataError(f"{image_set.name} has no images. Check its list and the split.")
        unlabelled = [record.id for record in image_set.records if record.present is None]
        if unlabelled:
            raise DataError(
                f"{image_set.name}: {len(unlabelled)} of {len(image_set)} images have no known labels, "
                f"{unlabelled[0]!r} first. Label them (an empty label means background) or leave them out."
            )
        super().__init__(
            len(image_set),
            seed=seed,
            none_left=f"{image_set.name}: none of its {len(image_set)} images can be read any more.",
        )
        self._paths = [record.image for record in image_set.records]
        self._present = torch.from_numpy(image_set.labels())
        self._augmentation = augmentation
        self._images = data_settings.images_alone()

    def read(self, index: int) -> np.ndarray:
        """An image as (H, W, D) uint8."""
        return read_image(self._paths[index], self._images)

    def sample(self, content: np.ndarray, index: int, *, generator: np.random.Generator) -> dict[str, Tensor]:
        """Augment an image and add its labels."""
        image, valid = self._augmentation(content, generator)
        return {"image": image, "valid": valid, "present": self._present[index], "index": torch.tensor(index)}
