"""Our two kinds of networks as ONNX graphs: what goes in, what comes out, at which sizes it is compared."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from swtformer.backbones.any_size import without_size_branches
from swtformer.errors import SwtformerError
from swtformer.functional.activation import normalised
from swtformer.methods import Method, PyramidMethod
from swtformer.publishing.onnx import DRAWS_OF_CHOICES, OnnxGraph, metadata
from swtformer.segmentation.network import SegmentationNetwork

IMAGES = {0: "batch", 2: "height", 3: "width"}
SIZES = ((2, 96, 160), (1, 229, 317))
"""Where results are compared: a size that every stride divides, and one that none divides."""

_PIXELS = "float32 RGB in [0, 1], (batch, 3, height, width); mean and spread are applied inside"


class _Maps(nn.Module):
    def __init__(self, method: PyramidMethod) -> None:
        super().__init__()
        self.method = method

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        encoding = self.method.encode(images)
        return encoding.logits, normalised(encoding.activations, norm=self.method.options.norm)


class _RefinedMaps(nn.Module):
    def __init__(self, method: PyramidMethod) -> None:
        super().__init__()
        self.method = method

    def forward(self, images: Tensor, present: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        encoding = self.method.encode(images)
        refined = self.method.localize(encoding, present).rcam
        assert refined is not None
        return encoding.logits, normalised(encoding.activations, norm=self.method.options.norm), refined


class _Labels(nn.Module):
    def __init__(self, network: SegmentationNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor]:
        return (self.network(images),)


def graph_of(model: Method | SegmentationNetwork) -> OnnxGraph:
    """The graph of a model.

    - V1: images → logits (batch, C), cam (batch, C, h, w), each class's positive map divided by its maximum.
    - V2: images, present (batch, C; 0/1) → logits, cam, refined (batch, C+1, h', w'), background first.
    - segmentation network: images → logits (batch, C+1, height, width), background first.
    """
    model = model.eval()
    any_size = without_size_branches(model)
    about = metadata(classes=list(model.classes), images=_PIXELS, made_by="swtformer")
    if isinstance(model, SegmentationNetwork):
        return OnnxGraph(
            module=_Labels(any_size).eval(),  # type: ignore[arg-type]
            inputs={"images": IMAGES},
            outputs=("logits",),
            example=lambda batch, height, width: (torch.rand(batch, 3, height, width),),
            sizes=SIZES,
            reference=_Labels(model),
            metadata=about | metadata(settings=model.settings.model_dump(mode="json")),
        )
    about |= metadata(settings=model.settings.model_dump(mode="json"))
    if not (isinstance(any_size, PyramidMethod) and isinstance(model, PyramidMethod)):
        raise SwtformerError(f"The method {model.settings.method!r} cannot be written as ONNX yet.")
    if "rcam" not in model.makes:
        return OnnxGraph(
            module=_Maps(any_size).eval(),
            inputs={"images": IMAGES},
            outputs=("logits", "cam"),
            example=lambda batch, height, width: (torch.rand(batch, 3, height, width),),
            sizes=SIZES,
            reference=_Maps(model),
            metadata=about,
        )
    count = len(model.classes)

    def example(batch: int, height: int, width: int) -> tuple[Tensor, Tensor]:
        present = (torch.rand(batch, count) < 0.5).float()
        present[:, 0] = 1
        return torch.rand(batch, 3, height, width), present

    return OnnxGraph(
        module=_RefinedMaps(any_size).eval(),
        inputs={"images": IMAGES, "present": {0: "batch"}},
        outputs=("logits", "cam", "refined"),
        example=example,
        sizes=SIZES,
        reference=_RefinedMaps(model),
        metadata=about,
        draws=DRAWS_OF_CHOICES,
    )
