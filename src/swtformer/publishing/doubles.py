"""A network computed in float64: what the arithmetic of float32, here or in a file, is judged by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

from swtformer.errors import SwtformerError


def in_float64(module: nn.Module) -> Callable[..., Sequence[Tensor]]:
    """A function that computes what a network computes, in float64 from the first to the last step.

    Networks ask for float32 where halves would not do (`features.float()`); they get float64 as well. The
    copy takes twice the memory of the float32 weights, for as long as the function lives.

    Args:
        module: takes tensors by position and returns a sequence of tensors; on the CPU, in eval mode.

    Returns:
        Takes the same tensors; those of float32 are converted. No gradients.

    Raises:
        SwtformerError: at the call or before, the network cannot be copied or computed in float64.
    """
    try:
        wide = deepcopy(module).double()
    except (RuntimeError, TypeError) as error:
        raise _refusal(error) from error

    def computed(*inputs: Tensor) -> Sequence[Tensor]:
        doubles = [value.double() if value.dtype == torch.float32 else value for value in inputs]
        try:
            with torch.no_grad(), _FloatsAreDoubles():
                outputs: Sequence[Tensor] = wide(*doubles)
        except (RuntimeError, TypeError) as error:
            raise _refusal(error) from error
        return outputs

    return computed


class _FloatsAreDoubles(TorchFunctionMode):
    """Whoever asks torch for float32 gets float64."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        func = Tensor.double if func is Tensor.float else func
        args, kwargs = tree_map(_widened, (args, kwargs or {}))
        return func(*args, **kwargs)


def _widened(value: Any) -> Any:
    return torch.float64 if value is torch.float32 else value


def _refusal(error: Exception) -> SwtformerError:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return SwtformerError(
        f"The network cannot be computed in float64, which tells rounding from mistakes: {reason}"
    )
