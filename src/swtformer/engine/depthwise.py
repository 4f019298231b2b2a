"""Gradients of depthwise convolutions in bf16 on a CPU, where oneDNN has no fast ones for all sizes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.overrides import TorchFunctionMode


class FastDepthwise(TorchFunctionMode):
    """While it is entered, slow gradients of depthwise convolutions are computed in another way.

    Two of them are several times as slow as they need be: that of the input where the stride is above 1, and
    that of the weights where the kernel is larger than 3×3. A training step of an EfficientNet takes 1.5 to
    1.9 times as long with them (benchmarks/speed.md). Everything else stays as autocast has it, and gradients
    differ by rounding alone.
    """

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Replace the convolutions that are slow."""
        if function is torch.conv2d and torch.is_autocast_enabled("cpu"):
            made = _convolved(*args, **(kwargs or {}))
            if made is not None:
                return made
        return function(*args, **(kwargs or {}))


def has_depthwise(module: nn.Module) -> bool:
    """Whether a network has depthwise convolutions."""
    return any(isinstance(each, nn.Conv2d) and each.groups > 1 for each in module.modules())


def _convolved(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor | None:
    """The convolution with other gradients; None where autocast's own are as fast."""
    stride, dilation = _pair(stride), _pair(dilation)
    is_slow = max(stride) > 1 or max(weight.shape[2:]) > 3
    is_depthwise = groups > 1 and weight.shape[:2] == (groups, 1) and input.ndim == 4
    is_bf16 = torch.get_autocast_dtype("cpu") is torch.bfloat16 and input.device.type == "cpu"
    if not (is_slow and is_depthwise and is_bf16 and torch.is_grad_enabled()) or isinstance(padding, str):
        return None
    made: Tensor = _Depthwise.apply(input, weight, _Geometry(stride, _pair(padding), dilation))
    return made if bias is None else made + bias.to(made.dtype)[:, None, None]


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value) * (2 // len(value))


class _Geometry(NamedTuple):
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]


class _Depthwise(torch.autograd.Function):
    """Depthwise convolution in bf16, with each gradient computed in the way that is fast."""

    @staticmethod
    def forward(ctx: Any, input: Tensor, weight: Tensor, geometry: _Geometry) -> Tensor:
        small = input.bfloat16()
        ctx.save_for_backward(small, weight)
        ctx.geometry, ctx.input_type = geometry, input.dtype
        return F.conv2d(small, weight.bfloat16(), None, *geometry, len(weight))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        input, weight = ctx.saved_tensors
        small = weight.bfloat16()
        of_input = of_weight = None
        with torch.autocast("cpu", enabled=False):
            if ctx.needs_input_grad[0]:
                of_input = _of_input(gradient, input, small, ctx.geometry).to(ctx.input_type)
            if ctx.needs_input_grad[1]:
                of_weight = _of_weight(gradient, input, small, ctx.geometry).to(weight.dtype)
        return of_input, of_weight, None


def _of_input(gradient: Tensor, input: Tensor, weight: Tensor, geometry: _Geometry) -> Tensor:
    """The gradient of the input: that of stride 1, with zeros between the gradients of the output."""
    stride, padding, dilation = geometry
    if max(stride) > 1:
        batch, channels = gradient.shape[:2]
        height, width = (
            size + 2 * pad - far * (side - 1)
            for size, pad, far, side in zip(input.shape[2:], padding, dilation, weight.shape[2:], strict=True)
        )
        spread = gradient.new_zeros(batch, height, width, channels).permute(0, 3, 1, 2)
        spread[:, :, :: stride[0], :: stride[1]] = gradient
        gradient = spread
    return _gradients(gradient, input, weight, geometry._replace(stride=(1, 1)), (True, False))[0]


def _of_weight(gradient: Tensor, input: Tensor, weight: Tensor, geometry: _Geometry) -> Tensor:
    """The gradient of the weight; above 3×3 the input's convolution with the output's gradient as kernel."""
    if max(weight.shape[2:]) <= 3:
        return _gradients(gradient, input, weight, geometry, (False, True))[1]
    count = len(input) * len(weight)

    def side_by_side(maps: Tensor) -> Tensor:
        """(1, B·C, H, W): the maps of all images as the channels of one, in memory of channels last."""
        height, width = maps.shape[2:]
        return maps.permute(2, 3, 0, 1).reshape(height, width, 1, count).permute(2, 3, 0, 1)

    kernels = side_by_side(gradient).transpose(0, 1)
    made = F.conv2d(
        side_by_side(input), kernels, None, geometry.dilation, geometry.padding, geometry.stride, count
    )
    height, width = weight.shape[2:]
    return made[..., :height, :width].reshape(len(input), *weight.shape).float().sum(0)


def _gradients(
    gradient: Tensor,
    input: Tensor,
    weight: Tensor,
    geometry: _Geometry,
    wanted: tuple[bool, bool],
) -> tuple[Tensor, Tensor]:
    """Gradients of the input and of the weight, as far as they are wanted."""
    made: tuple[Tensor, ...] = torch.ops.aten.convolution_backward(
        gradient, input, weight, None, *geometry, False, (0, 0), len(weight), (*wanted, False)
    )
    return made[0], made[1]
