"""Where to compute and in which arithmetic."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from swtformer.errors import SettingsError
from swtformer.machine import processor_name

Precision = Literal["auto", "fp32", "bf16", "fp16"]


def pick_device(accelerator: Literal["auto", "cpu", "gpu", "mps"]) -> Literal["cpu", "cuda", "mps"]:
    """The device type to compute on.

    Raises:
        SettingsError: the requested one is not available.
    """
    has_mps = torch.backends.mps.is_available()
    if accelerator == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if has_mps else "cpu"
    if accelerator == "gpu" and not torch.cuda.is_available():
        raise SettingsError("No CUDA GPU is available; leave the accelerator at auto or set it to cpu.")
    if accelerator == "mps" and not has_mps:
        raise SettingsError("Apple's MPS is not available; leave the accelerator at auto or set it to cpu.")
    return "cuda" if accelerator == "gpu" else accelerator


def pick_precision(precision: Precision, device: str) -> Literal["fp32", "bf16", "fp16"]:
    """The arithmetic to use; auto takes bf16 if the processor has instructions for it.

    Raises:
        SettingsError: fp16 on a CPU, where it is a hundred times slower than fp32.
    """
    if precision == "fp16" and device == "cpu":
        raise SettingsError("fp16 is not for CPUs, where it is far slower than fp32; use bf16, fp32 or auto.")
    if precision != "auto":
        return precision
    if device == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported() else "fp16"
    if device == "cpu":
        return "bf16" if _cpu_has_bf16() else "fp32"
    return "fp32"


def _cpu_has_bf16() -> bool:
    """Whether the processor has instructions for bf16 matrix products."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def use_onednn(network: nn.Module) -> None:
    """Let linear layers compute float32 products by oneDNN, where MKL is slow; elsewhere nothing changes.

    For a network on the CPU that is not trained any more: its weights are copied.
    """
    if mkl_is_slow():
        for module in network.modules():
            if type(module) is nn.Linear and module.weight.dtype == torch.float32:
                module.forward = _ByOneDnn(module)  # type: ignore[method-assign, assignment]


def mkl_is_slow() -> bool:
    """Whether MKL, by which torch multiplies float32 matrices, leaves half of the processor unused.

    It does on AMD's processors with AVX-512. On Intel's, both libraries are equally fast; `onednn` in
    benchmarks/speed.md compares them on any machine.
    """
    return (
        torch.backends.mkl.is_available()
        and torch.backends.mkldnn.is_available()
        and torch.backends.cpu.get_cpu_capability() == "AVX512"
        and processor_name().startswith("AMD")
    )


class _ByOneDnn:
    """Forward pass of a linear layer, by oneDNN in float32 without gradients."""

    def __init__(self, layer: nn.Linear) -> None:
        self._weight, self._bias = layer.weight, layer.bias
        self._copy = layer.weight.detach().to_mkldnn()

    def __call__(self, values: Tensor) -> Tensor:
        if values.dtype != torch.float32 or torch.is_grad_enabled() or torch.is_autocast_enabled("cpu"):
            return F.linear(values, self._weight, self._bias)
        made: Tensor = torch.ops.mkldnn._linear_pointwise(values, self._copy, self._bias, "none", [], "")
        return made


def autocast(precision: Precision, device: str) -> AbstractContextManager[None]:
    """Context that runs a network in the chosen arithmetic."""
    chosen = pick_precision(precision, device)
    kinds = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    return torch.autocast(device, dtype=kinds[chosen], enabled=chosen != "fp32")
