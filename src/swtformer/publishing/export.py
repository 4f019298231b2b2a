"""Our own models as ONNX files: what `swtformer onnx` does."""

from __future__ import annotations

import json
import os
from pathlib import Path

import torch
from torch import Tensor, nn

from swtformer.errors import CheckpointError, SwtformerError
from swtformer.functional.activation import normalised
from swtformer.hub.access import Network, find_model
from swtformer.methods import Method, PyramidMethod
from swtformer.publishing.onnx import Differences, OnnxGraph, write_onnx
from swtformer.segmentation.network import SegmentationNetwork
from swtformer.segmentation.pretrained import load_model
from swtformer.settings import channels

DRAWS_OF_CHOICES = 3
"""Random inputs that may be tried per size for methods with R-CAMs, which choose seeds by an argmax."""

_IMAGES = {"images": {0: "batch", 2: "height", 3: "width"}}


def export_onnx(
    model: str | os.PathLike[str] | Method | SegmentationNetwork,
    out: str | os.PathLike[str],
    *,
    network: Network = "auto",
    size: tuple[int, int] | None = None,
) -> Differences:
    """Write a model as ONNX, after comparing it with torch in onnxruntime; needs the extra `onnx`.

    `swtformer.publishing.export.graph_of` describes inputs and outputs.

    Args:
        model: a model of this package on the CPU, a run, the folder of a saved model, or a hub id. It is
            exported in eval mode; a model that you give keeps its mode.
        out: file to write, FILE.onnx. An existing file is replaced only by one that agrees with torch.
        network: which of a run's networks; for other models, the kind that is expected.
        size: (height, width) to fix; None for images of any size.

    Returns:
        How far the file is from torch at every size that was compared.

    Raises:
        CheckpointError: there is no such model, or it is damaged or of the other kind.
        SwtformerError: the extra is missing, `out` cannot be such a file, the exporter cannot follow the
            network, or the results differ.
    """
    path = Path(out)
    if path.is_dir():
        raise SwtformerError(f"{path}: is a folder; name a file in it, such as {path / 'model.onnx'}.")
    if path.suffix != ".onnx":
        raise SwtformerError(f"{path}: the name of the file must end in .onnx.")
    if not isinstance(model, (Method, SegmentationNetwork)):
        model = load_model(find_model(model, network))
    elif network not in ("auto", model.kind):
        raise CheckpointError(f"The model is of the kind {model.kind!r}, not {network!r}.")
    return write_onnx(graph_of(model), path, size=size)


def graph_of(model: Method | SegmentationNetwork) -> OnnxGraph:
    """The graph of a model.

    - methods without R-CAMs: images → logits (batch, C), cam (batch, C, h, w), each class's positive map
      divided by its maximum.
    - methods with R-CAMs: images, present (batch, C; 0/1) → logits, cam, rcam (batch, C+1, h', w'),
      background first.
    - segmentation network: images → logits (batch, C+1, height, width), background first.

    Raises:
        SwtformerError: the method is not a pyramid with a CAM head.
    """
    metadata = {
        "classes": json.dumps(model.classes, ensure_ascii=False),
        "images": _about_images(model),
        "reading": model.images.model_dump_json(),
        "settings": model.config().model_dump_json(),
        "made_by": "swtformer",
    }
    bands = channels(model.images)

    def images(batch: int, height: int, width: int) -> tuple[Tensor]:
        return (torch.rand(batch, bands, height, width),)

    if isinstance(model, SegmentationNetwork):
        return OnnxGraph(_Pixels(model), _IMAGES, ("logits",), images, metadata)
    if not isinstance(model, PyramidMethod):
        raise SwtformerError(
            f"The method {model.settings.method!r} cannot be written as ONNX: it is not a pyramid with a CAM "
            "head. Write the network that `swtformer segment` trains instead."
        )
    if "rcam" not in model.makes:
        return OnnxGraph(_Maps(model), _IMAGES, ("logits", "cam"), images, metadata)

    def example(batch: int, height: int, width: int) -> tuple[Tensor, Tensor]:
        present = (torch.rand(batch, len(model.classes)) < 0.5).float()
        present[:, 0] = 1
        return *images(batch, height, width), present

    inputs = {**_IMAGES, "present": {0: "batch"}}
    outputs = ("logits", "cam", "rcam")
    return OnnxGraph(_Maps(model), inputs, outputs, example, metadata, draws=DRAWS_OF_CHOICES)


def _about_images(model: Method | SegmentationNetwork) -> str:
    """What the input of the graph is, and what a file's values must become."""
    settings = model.images
    colours = "RGB" if settings.bands is None or len(settings.bands) in (1, 3) else "bands"
    shape = f"(batch, {channels(settings)}, height, width)"
    about = f"float32 {colours} in [0, 1], {shape}; mean and spread are applied inside"
    size = ""
    if isinstance(model, SegmentationNetwork) and model.settings.long_side_px is not None:
        size = f"photographs with a long side of {model.settings.long_side_px} px"
    return "; ".join(filter(None, (about, size, settings.in_words())))


class _Pixels(nn.Module):
    def __init__(self, network: SegmentationNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor]:
        return (self.network(images),)


class _Maps(nn.Module):
    def __init__(self, method: PyramidMethod) -> None:
        super().__init__()
        self.method = method

    def forward(self, images: Tensor, present: Tensor | None = None) -> tuple[Tensor, ...]:
        encoding = self.method.encode(images)
        cam = normalised(self.method.class_maps(encoding), norm=self.method.options.norm)
        if present is None:
            return encoding.logits, cam
        rcam = self.method.localize(encoding, present).rcam
        assert rcam is not None
        return encoding.logits, cam, rcam
