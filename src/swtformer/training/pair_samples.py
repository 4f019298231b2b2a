"""Training samples of photographs with masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, final

import numpy as np
import torch
from torch import Tensor

from swtformer.datasets.images import read_image
from swtformer.datasets.mask_images import read_mask
from swtformer.engine.batches import Samples
from swtformer.label_values import IGNORED
from swtformer.settings import DataSettings
from swtformer.training.pair_augment import PairAugmentation


@dataclass(frozen=True)
class MaskedImage:
    """A photograph with its mask.

    Attributes:
        id: record id.
        image: file of the photograph.
        mask: PNG of label values, of the photograph's size.
        present: for each class, whether the image shows it or may show it.
        confidence: weight of its pixels in the loss, in [0, 1].
    """

    id: str
    image: Path
    mask: Path
    present: tuple[bool, ...]
    confidence: float = 1.0


@final
class PairSamples(Samples[tuple[np.ndarray, np.ndarray]]):
    """Samples of photographs with masks.

    A sample holds image (3, S, S) uint8 RGB, not normalised; mask (S, S) uint8 labels, 255 on padding;
    present (C,) bool, image-level labels; confidence () float32.

    Args:
        pairs: at least one.
        augmentation: turns photographs and masks into pairs of one size.
        data_settings: how images are read.
        seed: of all samples and of their order.
    """

    smallest_batch: ClassVar[int] = 2  # decoders have batch norm over one value per image

    def __init__(
        self,
        pairs: Sequence[MaskedImage],
        augmentation: PairAugmentation,
        data_settings: DataSettings,
        *,
        seed: int,
    ) -> None:
        none_left = f"None of the {len(pairs)} images and masks can be read any more."
        super().__init__(len(pairs), seed=seed, none_left=none_left)
        self._pairs = pairs
        self._augmentation = augmentation
        self._images = data_settings.images_alone()
        self._has_background = data_settings.background == "label"

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """A photograph (H, W, 3) and its mask (H, W), both uint8; without background, 0 is unknown."""
        pair = self._pairs[index]
        mask = read_mask(pair.mask)
        if not self._has_background:
            mask = np.where(mask == 0, np.uint8(IGNORED), mask)
        return read_image(pair.image, self._images), mask

    def sample(
        self, content: tuple[np.ndarray, np.ndarray], index: int, *, generator: np.random.Generator
    ) -> dict[str, Tensor]:
        """Augment a pair and add its labels and confidence."""
        image, mask = self._augmentation(*content, generator)
        pair = self._pairs[index]
        return {
            "image": image,
            "mask": mask,
            "present": torch.tensor(pair.present, dtype=torch.bool),
            "confidence": torch.tensor(pair.confidence),
        }
