"""A model as an ONNX file: what `swtformer onnx` does."""

from __future__ import annotations

import os
from pathlib import Path

from swtformer.errors import CheckpointError
from swtformer.methods import Method
from swtformer.publishing.graphs import graph_of
from swtformer.publishing.onnx import OnnxExport, require_file_name, write_onnx
from swtformer.publishing.saved import Network, find_model
from swtformer.segmentation.network import SegmentationNetwork


def export_onnx(
    model: str | os.PathLike[str] | Method | SegmentationNetwork,
    out: str | os.PathLike[str],
    *,
    network: Network = "auto",
    size: tuple[int, int] | None = None,
) -> OnnxExport:
    """Write a model as ONNX, after comparing it with torch in onnxruntime; needs the extra `onnx`.

    `swtformer.publishing.graphs.graph_of` has inputs and outputs, `swtformer.publishing.onnx.write_onnx` the
    tolerance.

    Args:
        model: a model of this package on the CPU, or where one lies, as for `find_model`. It is exported in
            eval mode, and given back in the mode that it was in.
        out: file to write, FILE.onnx; what is there is replaced only by a file that was found equal.
        network: which of a run's networks; of other models, what it must be.
        size: (height, width) to fix; images of any size where None.

    Raises:
        CheckpointError: there is no such model, or it is damaged.
        SwtformerError: the extra is missing, `out` is no name for such a file, the exporter cannot follow
            the network, it cannot be computed in float64, or the results differ.
    """
    path = Path(out)
    require_file_name(path)
    if isinstance(model, (Method, SegmentationNetwork)):
        kind = "segmentation" if isinstance(model, SegmentationNetwork) else "cam"
        if network not in ("auto", kind):
            raise CheckpointError(f"The model is of the kind {kind!r}; {network!r} was asked for.")
        return _written(model, path, size)
    return _written(find_model(model, network).load(), path, size)


def _written(model: Method | SegmentationNetwork, path: Path, size: tuple[int, int] | None) -> OnnxExport:
    was_training = [module for module in model.modules() if module.training]
    try:
        return write_onnx(graph_of(model), path, size=size)
    finally:
        for module in was_training:
            module.training = True
