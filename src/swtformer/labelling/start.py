"""What refinement starts from: images of a run with their maps, behind a background."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from swtformer.datasets.images import read_image
from swtformer.datasets.label_images import require_same_size
from swtformer.datasets.pixels.stored_pixels import seen_in_colour
from swtformer.datasets.records import Record
from swtformer.errors import DataError, SwtformerError
from swtformer.labelling.start_maps import all_channels
from swtformer.refiners import Example
from swtformer.settings import ImageSettings
from swtformer.store.files import digest, file_stamp
from swtformer.store.maps import ClassActivationMaps
from swtformer.store.notes import Made, map_notes
from swtformer.store.refined_maps import load_current, maps_stamp
from swtformer.store.run import Run


@dataclass(frozen=True)
class Start:
    """The maps that refinement starts from.

    Attributes:
        source: CAMs or R-CAMs.
        power: of the background of CAMs (`start_maps.all_channels`).
    """

    source: Made
    power: float

    def tensors(self, image: np.ndarray, maps: ClassActivationMaps) -> tuple[Tensor, Tensor]:
        """An (H, W, C) uint8 image as (3, H, W) floats in [0, 1], and its (K+1, h, w) maps.

        Raises:
            DataError: the maps were made for another image size.
            SwtformerError: R-CAMs are wanted and were not made.
        """
        try:
            require_same_size(maps.size, "the file of its maps", image.shape[:2], "the image")
        except DataError as error:
            raise DataError(f"{error} Make the maps again with `swtformer localize`.") from None
        pixels = torch.from_numpy(seen_in_colour(image)).permute(2, 0, 1).float() / 255
        return pixels, all_channels(maps, self.source, power=self.power)


@dataclass(frozen=True)
class RunExamples:
    """Images of a run with their maps, as learned refiners are fitted on; read at each access.

    Attributes:
        run: holds the maps.
        records: images with maps, at least one.
        start: the maps that refinement starts from.
        images: how the images are read.
    """

    run: Run
    records: Sequence[Record]
    start: Start
    images: ImageSettings

    @cached_property
    def made_by(self) -> str:
        """Fingerprint that the run's maps carry."""
        return map_notes(self.run).made_by

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Example:
        record = self.records[index]
        try:
            maps = load_current(self.run, record.id, made_by=self.made_by)
            image, channels = self.start.tensors(read_image(record.image, self.images), maps)
        except SwtformerError as error:
            raise DataError(str(error)) from error
        return Example(image, channels, torch.from_numpy(maps.values.astype(np.int64)))

    def fingerprint(self) -> str:
        """Equal while images and maps are unchanged and `start` and `images` are equal."""
        sources = []
        for record in self.records:
            try:
                maps = load_current(self.run, record.id, made_by=self.made_by)
            except SwtformerError:
                continue  # recorded as a failure when its turn comes
            sources.append((record.id, made_from(record, maps)))
        return digest(self.start, self.images, sources)


def made_from(record: Record, maps: ClassActivationMaps) -> str:
    """Fingerprint of an image and its maps; `made_from` of the refined maps."""
    return f"{maps_stamp(maps)} {digest(file_stamp(record.image))}"
