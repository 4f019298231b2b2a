"""Any torch network as an ONNX file, compared in onnxruntime before it gets its name (extra `onnx`).

The file is compared with the network computed in float64. torch in float32 is the worse judge: where it
resizes images to sides that are no simple multiple, it differs from itself in float64 by several times the
tolerance.
"""

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
from swtformer.publishing.decompositions import DECOMPOSITIONS
from swtformer.publishing.doubles import in_float64
from swtformer.store.files import write_with

TOLERANCE = 1e-4
"""Largest absolute difference from torch in float64 that an output may show."""

ROUNDING = 5e-6
"""What it may show as a share of its largest magnitude, where that is more: above magnitudes of 20.

The roundings of float32 grow with the numbers: this is 84 times 2^-24, the most that one of them takes away.
"""

EXAMPLE_PX = (487, 709)
"""Size that a network of free size is traced with: no grid of it has a side of 1, or two equal sides."""

DRAWS_OF_CHOICES = 3
"""Random inputs tried per size where a graph chooses by an argmax: rounding can tip it between equals."""

Differences = Mapping[tuple[int, int, int], Mapping[str, float]]
"""(batch, height, width) to the largest absolute difference of each output."""

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
        differences: from torch in float64; these are within the tolerance.
        float32_differences: from torch in float32, for the same inputs. For information: where they are
            larger, it is torch that rounds more, or that chose otherwise where `OnnxGraph.draws` is above 1.
    """

    path: Path
    differences: Differences
    float32_differences: Differences


def write_onnx(graph: OnnxGraph, path: Path, *, size: tuple[int, int] | None = None) -> OnnxExport:
    """Write a network as ONNX, after comparing it with torch in onnxruntime.

    At every size, every output must be within `TOLERANCE` of what torch computes in float64, or within
    `ROUNDING` of its largest magnitude where that is more.

    Args:
        graph: the network.
        path: file to write, FILE.onnx; what is there is replaced only by a file that was found equal.
        size: (height, width) to fix; all sizes that the network takes where None.

    Raises:
        SwtformerError: the extra is missing, `path` is no name for such a file, the exporter cannot follow
            the network, it cannot be computed in float64, or the results differ.
    """
    require_file_name(path)
    _require_libraries()
    payload = _as_bytes(graph, size)
    differences, float32_differences = _compare(graph, payload, size)
    write_with(path, lambda stream: stream.write(payload))
    return OnnxExport(path, differences, float32_differences)


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
) -> tuple[Differences, Differences]:
    """Largest differences from torch in float64 and in float32 at every size, or an error.

    Each size is drawn once; only a graph with choices inside, as V2's seeds are, may be drawn again
    (`OnnxGraph.draws`).
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(payload, providers=["CPUExecutionProvider"])
    reference = graph.module if graph.reference is None else graph.reference
    exact = in_float64(reference)
    sizes = [(batch, *size) for batch in (1, 3)] if size else graph.sizes
    differences, float32_differences = {}, {}
    for checked in sizes:
        for draw in range(graph.draws):
            torch.manual_seed(draw)
            inputs = graph.example(*checked)
            feed = {name: value.numpy() for name, value in zip(graph.inputs, inputs, strict=True)}
            results = [torch.from_numpy(result) for result in session.run(list(graph.outputs), feed)]
            with torch.no_grad():
                rounded = reference(*inputs)
            expected = exact(*inputs)
            gaps = [_gap(*pair) for pair in zip(results, expected, strict=True)]
            if all(gap <= _limit(wanted) for gap, wanted in zip(gaps, expected, strict=True)):
                break
        else:
            shown = ", ".join(f"{name} {gap:.2g}" for name, gap in zip(graph.outputs, gaps, strict=True))
            raise SwtformerError(
                f"The exported network differs from torch at {checked[1]}×{checked[2]} px ({shown}); nothing "
                "was written."
            )
        differences[checked] = dict(zip(graph.outputs, gaps, strict=True))
        float32_differences[checked] = {
            name: _gap(*pair) for name, *pair in zip(graph.outputs, results, rounded, strict=True)
        }
    return differences, float32_differences


def _gap(result: Tensor, wanted: Tensor) -> float:
    """Largest absolute difference; infinite between different shapes."""
    if result.shape != wanted.shape:
        return float("inf")
    return float((result.double() - wanted.double()).abs().max())


def _limit(wanted: Tensor) -> float:
    return max(TOLERANCE, ROUNDING * float(wanted.abs().max()))


def metadata(**facts: Any) -> dict[str, str]:
    """Facts as texts: text as it is, everything else as JSON."""
    return {
        name: fact if isinstance(fact, str) else json.dumps(fact, ensure_ascii=False)
        for name, fact in facts.items()
    }
