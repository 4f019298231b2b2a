"""A torch network as an ONNX file, compared with torch before it gets its name (extra `onnx`)."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from swtformer.backbones.any_size import without_size_branches
from swtformer.errors import SwtformerError
from swtformer.publishing.decompositions import DECOMPOSITIONS
from swtformer.store.files import write_with

TOLERANCE = 1e-3
"""Largest absolute difference from torch; where an output's magnitudes are above 1, a share of the largest.

Rounding in float32 makes up to some 1e-5 of the largest magnitude, a wrong operation much more than this.
"""

TRACED_PX = (487, 709)
"""Size that a network of any size is traced with: none of its grids has a side of 1, or two equal sides."""

COMPARED = ((2, 96, 160), (1, 229, 317))
"""Batch, height and width to compare at: a size that every stride divides, and one that none divides."""

Differences = Mapping[tuple[int, int, int], Mapping[str, float]]
"""(batch, height, width) to the largest absolute difference of each output from torch."""


@dataclass(frozen=True)
class OnnxGraph:
    """A network with named inputs and outputs.

    Attributes:
        module: takes the inputs by position and returns a tuple of the outputs; on the CPU, left unchanged.
        inputs: names, each with its free axes by number ({0: "batch", 2: "height", 3: "width"}); axes of the
            same name have the same length.
        outputs: names.
        example: batch, height and width to inputs.
        metadata: texts stored in the file.
        compared: (batch, height, width) to compare at if the size is free.
        draws: random inputs that may be tried per size before the results count as different. Above 1 only
            for networks that choose inside (seeds by an argmax): rounding can tip a choice between equals.
    """

    module: nn.Module
    inputs: Mapping[str, Mapping[int, str]]
    outputs: Sequence[str]
    example: Callable[[int, int, int], tuple[Tensor, ...]]
    metadata: Mapping[str, str] = field(default_factory=dict)
    compared: Sequence[tuple[int, int, int]] = COMPARED
    draws: int = 1


def write_onnx(graph: OnnxGraph, path: Path, *, size: tuple[int, int] | None = None) -> Differences:
    """Write a network as ONNX, after comparing it with torch in onnxruntime.

    Args:
        graph: the network.
        path: file to write. An existing file is replaced only by one that agrees with torch.
        size: (height, width) to fix; None for every size that the network takes.

    Returns:
        How far it is from torch at every size that was compared.

    Raises:
        SwtformerError: the extra is missing, the network is too large, the exporter cannot follow it, or the
            results differ.
    """
    _require_libraries()
    network = deepcopy(graph.module).eval()
    if sum(value.numel() * value.element_size() for value in network.state_dict().values()) >= 2**31:
        raise SwtformerError("The network is larger than the 2 GB that one ONNX file can hold.")
    payload = _exported(graph, network, size)
    differences = _compare(graph, network, payload, size)
    write_with(path, lambda stream: stream.write(payload))
    return differences


def _require_libraries() -> None:
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ModuleNotFoundError as error:
        raise SwtformerError(f"ONNX export needs {error.name}: pip install 'swtformer[onnx]'.") from None


def _exported(graph: OnnxGraph, network: nn.Module, size: tuple[int, int] | None) -> bytes:
    import onnx

    free = {"batch"} if size else {"batch", "height", "width"}
    named = tuple(
        {axis: name for axis, name in axes.items() if name in free} for axes in graph.inputs.values()
    )
    try:
        # Both exporters warn about their own future.
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            program = torch.export.export(
                without_size_branches(network),
                graph.example(2, *(size or TRACED_PX)),
                dynamic_shapes=tuple(dict.fromkeys(axes, torch.export.Dim.DYNAMIC) for axes in named),
                strict=False,
                prefer_deferred_runtime_asserts_over_guards=True,
            )
            exported = torch.onnx.export(
                program.run_decompositions(DECOMPOSITIONS),
                dynamo=True,
                verbose=False,
                input_names=list(graph.inputs),
                output_names=list(graph.outputs),
                dynamic_shapes=named,
            )
    except (RuntimeError, torch.onnx.errors.OnnxExporterError) as error:
        remedy = "" if size else " Fix the size of the images by `size`, which is easier to follow."
        reason = str(error).strip().splitlines()[0]
        raise SwtformerError(f"torch's ONNX exporter cannot follow this network: {reason}{remedy}") from error
    assert exported is not None
    proto = exported.model_proto
    onnx.helper.set_model_props(proto, dict(graph.metadata))
    payload: bytes = proto.SerializeToString()
    return payload


def _compare(
    graph: OnnxGraph, network: nn.Module, payload: bytes, size: tuple[int, int] | None
) -> Differences:
    import onnxruntime

    session = onnxruntime.InferenceSession(payload, providers=["CPUExecutionProvider"])
    differences = {}
    for compared in [(batch, *size) for batch in (1, 3)] if size else graph.compared:
        for draw in range(graph.draws):
            torch.manual_seed(draw)
            inputs = graph.example(*compared)
            feed = {name: value.numpy() for name, value in zip(graph.inputs, inputs, strict=True)}
            results = map(torch.from_numpy, session.run(list(graph.outputs), feed))
            with torch.no_grad():
                pairs = list(zip(results, network(*inputs), strict=True))
            gaps = dict(zip(graph.outputs, (_gap(*pair) for pair in pairs), strict=True))
            if all(_gap(*pair) <= TOLERANCE * _scale(pair[1]) for pair in pairs):
                break
        else:
            shown = ", ".join(f"{name} {gap:.2g}" for name, gap in gaps.items())
            raise SwtformerError(
                f"The exported network differs from torch at {compared[1]}×{compared[2]} px ({shown}). "
                "Nothing was written."
            )
        differences[compared] = gaps
    return differences


def _scale(wanted: Tensor) -> float:
    """Largest magnitude, at least 1, of the channel whose magnitude is the smallest.

    A network without background has a constant in channel 0 that dwarfs all logits.
    """
    return max(1, float(wanted.abs().amax((0, *range(2, wanted.ndim))).min()))


def _gap(result: Tensor, wanted: Tensor) -> float:
    """Largest absolute difference; infinite between different shapes."""
    return float((result - wanted).abs().max()) if result.shape == wanted.shape else float("inf")
