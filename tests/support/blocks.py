"""Images of one bright block each, with the blurred maps of a classifier, for learned refiners."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from swtformer.refiners import Example


def draw_blocks(count: int, *, size: tuple[int, int] = (64, 80), stride: int = 4) -> list[Example]:
    """Dark noise with a bright block; the maps are blurred, so their edges are not the image's."""
    generator = torch.Generator().manual_seed(0)
    height, width = size
    examples = []
    for _ in range(count):
        truth = torch.zeros(1, height, width)
        top, left = (int(torch.randint(4, side // 2, (), generator=generator)) for side in size)
        truth[:, top : top + height // 3, left : left + width // 3] = 1
        image = 0.2 + 0.6 * truth + 0.1 * torch.rand(3, height, width, generator=generator)
        blurred = F.avg_pool2d(truth[None], 13, stride=1, padding=6)
        cam = F.interpolate(blurred, (-(-height // stride), -(-width // stride)), mode="area")[0]
        cam = cam / cam.max()
        examples.append(Example(image, torch.cat([1 - cam, cam]), torch.tensor([1])))
    return examples
