"""The maps of one image of a batch, as they are stored."""

from __future__ import annotations

import numpy as np
import torch

from swtformer.methods import Maps
from swtformer.store.maps import ClassActivationMaps


def maps_of(made: Maps, index: int, *, size: tuple[int, int]) -> ClassActivationMaps:
    """The maps of one image of a batch, as they are kept: those of its classes alone, on the CPU.

    Args:
        made: of the batch.
        index: of the image in it.
        size: (height, width) of the image in pixels.
    """
    chosen = made.present[index].nonzero()[:, 0].cpu()
    rcam = None
    if made.rcam is not None:
        with_background = torch.cat([torch.zeros(1, dtype=torch.long), chosen + 1])
        rcam = made.rcam[index].cpu()[with_background].numpy().astype(np.float16)
    return ClassActivationMaps(
        values=(chosen + 1).numpy().astype(np.int16),
        size=size,
        cam=made.cam[index].cpu()[chosen].numpy().astype(np.float16),
        rcam=rcam,
        probabilities=made.probabilities[index].cpu().numpy().astype(np.float32),
    )
