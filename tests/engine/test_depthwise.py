"""Gradients of depthwise convolutions in bf16 are as near to those in fp32 as autocast's own."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from swtformer.engine.depthwise import FastDepthwise

SIZES = [(3, 2, 1), (5, 1, 1), (5, 2, 1), (7, 1, 1), (5, 1, 2)]
"""Kernel, stride, dilation."""


def gradients(
    layer: nn.Conv2d, images: Tensor, mode: AbstractContextManager[object], *, precision: torch.dtype
) -> tuple[Tensor, ...]:
    """Output, and gradients of the images, the weight and the bias."""
    images = images.clone().requires_grad_()
    with mode, torch.autocast("cpu", torch.bfloat16, enabled=precision is torch.bfloat16):
        made = layer(images)
    assert made.dtype is precision
    (made.float() * torch.linspace(-1, 1, made.numel()).view(made.shape)).sum().backward()
    found = [each.grad for each in (images, *layer.parameters())]
    layer.zero_grad()
    assert all(each is not None for each in found)
    return (made.detach().float(), *(each.float() for each in found if each is not None))


@pytest.mark.parametrize(("kernel", "stride", "dilation"), SIZES)
@pytest.mark.parametrize("bias", [True, False])
def test_gradients_are_those_of_fp32(kernel: int, stride: int, dilation: int, bias: bool) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(8, 8, kernel, stride, kernel // 2, dilation, groups=8, bias=bias)
    layer = layer.to(memory_format=torch.channels_last)
    images = torch.randn(2, 8, 12, 17).contiguous(memory_format=torch.channels_last)
    exact = gradients(layer, images, nullcontext(), precision=torch.float32)
    plain = gradients(layer, images, nullcontext(), precision=torch.bfloat16)
    fast = gradients(layer, images, FastDepthwise(), precision=torch.bfloat16)
    for truth, one, other in zip(exact, plain, fast, strict=True):
        scale = truth.norm()
        assert (other - truth).norm() / scale < 0.01
        assert (other - truth).norm() <= 1.5 * (one - truth).norm() + 1e-4 * scale


def gradient_function(groups: int, kernel: int, stride: int, **changes: object) -> str:
    """Name of the gradient of a convolution under the mode and autocast."""
    images, weight = torch.randn(1, 4, 9, 9), torch.randn(4, 4 // groups, kernel, kernel).requires_grad_()
    settings = {"padding": kernel // 2, "dtype": torch.bfloat16, "enabled": True, **changes}
    with FastDepthwise(), torch.autocast("cpu", settings["dtype"], enabled=bool(settings["enabled"])):  # type: ignore[arg-type]
        made = F.conv2d(images, weight, stride=stride, padding=settings["padding"], groups=groups)  # type: ignore[call-overload]
    return type(made.grad_fn).__name__


def test_only_slow_convolutions_are_replaced() -> None:
    assert gradient_function(4, 3, 2) == "_DepthwiseBackward"
    assert gradient_function(4, 5, 1) == "_DepthwiseBackward"
    assert gradient_function(4, 3, 1) == "ConvolutionBackward0"
    assert gradient_function(1, 5, 2) == "ConvolutionBackward0"
    assert gradient_function(2, 5, 2) == "ConvolutionBackward0"
    assert gradient_function(4, 5, 1, padding="same") == "ConvolutionBackward0"
    assert gradient_function(4, 5, 2, enabled=False) == "ConvolutionBackward0"
    assert gradient_function(4, 5, 2, dtype=torch.float16) == "ConvolutionBackward0"
    with torch.no_grad():
        assert gradient_function(4, 5, 2) == "NoneType"
