"""Maps of smooth random blobs, as `localize` would leave them."""

from __future__ import annotations

import numpy as np

from swtformer.store.maps import ClassActivationMaps

CLASSES = ("cat", "dog", "sheep")


def draw_maps(
    seed: int, size: tuple[int, int], present: tuple[int, ...], *, rcam: bool
) -> ClassActivationMaps:
    """Smooth random blobs, each class with a maximum of 1, at stride 4."""
    rng = np.random.default_rng(seed)
    height, width = -(-size[0] // 4), -(-size[1] // 4)
    y, x = np.mgrid[:height, :width]
    cam = np.zeros((len(present), height, width))
    for channel in cam:
        centre = rng.random(2) * (height, width)
        channel[:] = np.exp(-((y - centre[0]) ** 2 + (x - centre[1]) ** 2) / (0.1 * height * width))
        channel += 0.05 * rng.random((height, width))
        channel /= channel.max()
    full = np.concatenate([1 - cam.max(0, initial=0)[None], cam**0.7])
    probabilities = np.array([0.9 if k in present else 0.1 for k in range(len(CLASSES))]) - 0.05 * rng.random(
        3
    )
    return ClassActivationMaps(
        values=np.array(present) + 1,
        size=size,
        cam=cam,
        rcam=full if rcam else None,
        probabilities=probabilities,
        made_by="model",
    )
