"""What both sides work on: a drawn photograph and smooth maps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

CLASSES = tuple(f"class {number}" for number in range(20))
PRESENT = (2, 7)


def smooth(count: int, size: tuple[int, int], *, seed: int = 0) -> Tensor:
    """(count, H, W) smooth random maps in [0, 1]."""
    grid = torch.rand(1, count, 12, 16, generator=torch.Generator().manual_seed(seed))
    return F.interpolate(grid, size, mode="bicubic").clamp(0, 1)[0]


def draw_photograph(path: Path, size: tuple[int, int]) -> None:
    """Smooth colours with some noise, H × W, as JPEG."""
    height, width = size
    noise = np.random.default_rng(0).normal(0, 8, (height, width, 3))
    values = 255 * smooth(3, size, seed=1).permute(1, 2, 0).numpy() + noise
    Image.fromarray(values.clip(0, 255).astype(np.uint8)).save(path, quality=90)


def labels() -> Tensor:
    """(1, 20) labels of the photograph."""
    present = torch.zeros(1, len(CLASSES))
    present[0, list(PRESENT)] = 1
    return present
