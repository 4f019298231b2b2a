"""A segmentation network that `export_onnx` wrote, in the place of the torch network (extra `onnx`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter
from torch import Tensor

from swtformer.errors import CheckpointError, SwtformerError
from swtformer.segmentation.network import NetworkSettings
from swtformer.settings import ImageSettings


class OnnxNetwork:
    """Images to logits, as `SegmentationNetwork` gives them, computed by onnxruntime on the CPU.

    Attributes:
        settings: what the exported network was built from.
        classes: class names in order.
        images: how image files become pixels.
        size: (height, width) that the file is fixed to; None for images of any size.
    """

    def __init__(self, file: Path) -> None:
        """Open a file.

        Raises:
            CheckpointError: it does not exist, is damaged, or is not a segmentation network of this package.
            SwtformerError: onnxruntime is not installed.
        """
        if not file.is_file():
            raise CheckpointError(f"{file}: does not exist.")
        try:
            import onnxruntime
        except ModuleNotFoundError:
            raise SwtformerError("An ONNX file needs onnxruntime: pip install 'swtformer[onnx]'.") from None
        try:
            self._session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has a class for each of its codes
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise CheckpointError(f"{file}: is damaged or not an ONNX file: {reason}.") from None
        about = self._session.get_modelmeta().custom_metadata_map
        names = [item.name for item in (*self._session.get_inputs(), *self._session.get_outputs())]
        if about.get("made_by") != "swtformer" or names != ["images", "logits"]:
            raise CheckpointError(
                f"{file}: expected a segmentation network that `swtformer onnx` wrote, got a file with "
                f"{', '.join(names)}. Export the network that `swtformer segment` trained, or name the run."
            )
        try:
            height, width = self._session.get_inputs()[0].shape[2:]
            self.classes = TypeAdapter(tuple[str, ...]).validate_json(about["classes"])
            self.settings = NetworkSettings.model_validate_json(about["settings"])
            self.images = ImageSettings.model_validate_json(about["reading"])
        except (KeyError, ValueError) as error:
            raise CheckpointError(f"{file}: its notes are damaged: {error}") from None
        self.size = (height, width) if isinstance(height, int) else None
        if self.size is not None:
            self.settings = self.settings.model_copy(update={"long_side_px": None})
        self._file = file

    def __call__(self, images: Tensor, presence: float = 1.0) -> Tensor:
        """(B, C+1, H, W) logits of (B, 3, H, W) images in [0, 1].

        Raises:
            SwtformerError: the file is fixed to another size, or to another strength of the image-level head.
        """
        size = tuple(images.shape[2:])
        if self.size not in (None, size):
            raise SwtformerError(
                f"{self._file} takes images of {self.size[0]}×{self.size[1]} px, got {size[0]}×{size[1]}. "
                "Export it without `size`, or resize the photographs; predict.scales must be 1."
            )
        if presence != 1 and self.settings.presence != "none":
            raise SwtformerError(f"{self._file} has predict.presence 1 built in; name the run to change it.")
        feed: dict[str, Any] = {"images": images.float().numpy()}
        (logits,) = self._session.run(["logits"], feed)
        return torch.from_numpy(logits)
