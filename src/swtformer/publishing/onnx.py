"""Any torch network as an ONNX file, compared in onnxruntime before it gets its name (extra `onnx`)."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from swtformer.errors import SwtformerError
from swtformer.files import write_with
from swtformer.publishing.resizing import DECOMPOSITIONS

TOLERANCE = 1e-4
"""Largest difference that an output may show: absolute where no value is above 1 in magnitude, else relative
to the largest magnitude."""

EXAMPLE_PX = (487, 709)
"""Size that a network of free size is traced with: no grid of it has a side of 1, or two equal sides."""

DRAWS_OF_CHOICES = 3
"""Random inputs tried per size where a graph chooses by an argmax: rounding can tip it between equals."""

_LIMIT = 2**31 - 2**20
"""Bytes that one ONNX file can hold."""


@dataclass(frozen=True)
class OnnxGraph:
    """A network with named inputs and outputs.

    Attributes:
        module: takes the inputs by position and returns a tuple of the outputs; in eval mode.
        inputs: names, each with its free axes by number ({0: "batch", 2: "height", 3: "width"}); the same
            name is the same length.
        outputs: names.
        example: batch, height and width to inputs.
        sizes: (batch, height, width) that the result is compared at; the first if the size is fixed.
        reference: what the result is compared with, called like `module`; the module itself where None. Where
            `module` was rewritten for export, this is the original.
        metadata: texts stored in the file.
        draws: random inputs that may be tried per size before the results count as different. 1 unless the
            network chooses inside (seeds by an argmax), so that rounding alone can lead elsewhere.
    """

    module: nn.Module
    inputs: Mapping[str, Mapping[int, str]]
    outputs: Sequence[str]
    example: Callable[[int, int, int], tuple[Tensor, ...]]
    sizes: Sequence[tuple[int, int, int]]
    reference: nn.Module | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    draws: int = 1


@dataclass(frozen=True)
class OnnxExport:
    """What was written and how far it is from torch.

    Attributes:
        path: the file.
        differences: largest absolute difference of each output, for each (batch, height, width) compared.
    """

    path: Path
    differences: Mapping[tuple[int, int, int], Mapping[str, float]]


def write_onnx(graph: OnnxGraph, path: Path, *, size: tuple[int, int] | None = None) -> OnnxExport:
    """Write a network as ONNX, after comparing it with torch in onnxruntime.

    Every output must agree at every size within `TOLERANCE`: absolute where the largest magnitude of torch's
    output is up to 1, relative to that magnitude above.

    Args:
        graph: the network.
        path: file to write, FILE.onnx; what is there is replaced only by a file that was found equal.
        size: (height, width) to fix; all sizes that the network takes where None.

    Raises:
        SwtformerError: the extra is missing, `path` is no name for such a file, the exporter cannot follow
            the network, or the results differ.
    """
    require_file_name(path)
    _require_libraries()
    payload = _as_bytes(graph, size)
    differences = _compare(graph, payload, size)
    write_with(path, lambda stream: stream.write(payload))
    return OnnxExport(path, differences)


def require_file_name(path: Path) -> None:
    """Refuse what cannot be written before minutes are spent on it.

    Raises:
        SwtformerError: `path` is a folder or does not end in .onnx.
    """
    if path.is_dir():
        raise SwtformerError(f"{path}: is a folder; name a file in it, such as {path / 'model.onnx'}.")
    if path.suffix != ".onnx":
        raise SwtformerError(f"{path}: the name of the file must end in .onnx.")


def _require_libraries() -> None:
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ModuleNotFoundError as error:
        raise SwtformerError(f"ONNX export needs {error.name}: pip install 'swtformer[onnx]'.") from None


def _as_bytes(graph: OnnxGraph, size: tuple[int, int] | None) -> bytes:
    import onnx

    height, width = size or EXAMPLE_PX
    free = {"batch"} if size else {name for axes in graph.inputs.values() for name in axes.values()}
    named = tuple(
        {axis: name for axis, name in axes.items() if name in free} for axes in graph.inputs.values()
    )
    dynamic = tuple(dict.fromkeys(axes, torch.export.Dim.DYNAMIC) for axes in named)
    try:
        # Both exporters warn about their own future.
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            program = torch.export.export(
                graph.module,
                graph.example(2, height, width),
                dynamic_shapes=dynamic,
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
        remedy = "" if size else " Fix the size of the images with --size, which is easier to follow."
        reason = str(error).strip().splitlines()[0]
        raise SwtformerError(f"torch's ONNX exporter cannot follow this network: {reason}{remedy}") from error
    assert exported is not None
    proto = exported.model_proto
    onnx.helper.set_model_props(proto, dict(graph.metadata))
    if proto.ByteSize() > _LIMIT:
        raise SwtformerError("The network is larger than the 2 GB that one ONNX file can hold.")
    payload: bytes = proto.SerializeToString()
    return payload


def _compare(
    graph: OnnxGraph, payload: bytes, size: tuple[int, int] | None
) -> dict[tuple[int, int, int], dict[str, float]]:
    """Largest differences at every size, or an error.

    Each size is drawn once; only a graph with choices inside, as V2's seeds are, may be drawn again
    (`OnnxGraph.draws`).
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(payload, providers=["CPUExecutionProvider"])
    reference = graph.module if graph.reference is None else graph.reference
    sizes = [(batch, *size) for batch in (1, 3)] if size else graph.sizes
    differences = {}
    for checked in sizes:
        for draw in range(graph.draws):
            torch.manual_seed(draw)
            inputs = graph.example(*checked)
            with torch.no_grad():
                expected = reference(*inputs)
            gaps, is_equal = _gaps(session, graph, inputs, expected)
            if is_equal:
                break
        else:
            shown = ", ".join(f"{name} {gap:.2g}" for name, gap in gaps.items())
            raise SwtformerError(
                f"The exported network differs from torch at {checked[1]}×{checked[2]} px ({shown}); nothing "
                "was written."
            )
        differences[checked] = gaps
    return differences


def _gaps(
    session: Any, graph: OnnxGraph, inputs: Sequence[Tensor], expected: Sequence[Tensor]
) -> tuple[dict[str, float], bool]:
    feed = {name: value.numpy() for name, value in zip(graph.inputs, inputs, strict=True)}
    results = [torch.from_numpy(result) for result in session.run(list(graph.outputs), feed)]
    gaps, is_equal = {}, True
    for name, result, wanted in zip(graph.outputs, results, expected, strict=True):
        if result.shape != wanted.shape:
            return {name: float("inf")}, False
        gaps[name] = float((result - wanted).abs().max())
        is_equal &= gaps[name] <= TOLERANCE * max(1.0, float(wanted.abs().max()))
    return gaps, is_equal


def metadata(**facts: Any) -> dict[str, str]:
    """Facts as texts: text as it is, everything else as JSON."""
    return {
        name: fact if isinstance(fact, str) else json.dumps(fact, ensure_ascii=False)
        for name, fact in facts.items()
    }
