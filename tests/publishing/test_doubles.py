"""Float64 from the first step to the last, whatever a network asks for in between."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from swtformer.errors import SwtformerError
from swtformer.publishing.doubles import in_float64


class Thirds(nn.Module):
    """Thirds of the images by ways that would lose half the digits, and what is not a float."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(1.0))

    def forward(self, images: Tensor, present: Tensor) -> tuple[Tensor, ...]:
        third = self.weight / 3
        return (
            images.float() * third.float(),
            images.to(torch.float32) * third.to(dtype=torch.float32),
            torch.full((), 1, dtype=torch.float32) / 3 * images,
            images.half().float(),
            present,
        )


def test_every_step_is_in_float64() -> None:
    network = Thirds()
    images = torch.tensor([1.0, 2.0])
    *thirds, halves, present = in_float64(network)(images, torch.tensor([True]))
    for result in thirds:
        assert result.dtype == torch.float64
        assert result.tolist() == [1 / 3, 2 / 3]
        assert not result.requires_grad
    assert halves.tolist() == [1.0, 2.0]
    assert present.dtype == torch.bool
    assert network.weight.dtype == torch.float32
    assert network(images, torch.tensor([True]))[0].dtype == torch.float32


def test_what_cannot_be_computed_is_refused() -> None:
    class Narrow(nn.Module):
        def forward(self, images: Tensor) -> tuple[Tensor]:
            return (images @ torch.from_numpy(np.eye(2, dtype=np.float32)),)

    computed = in_float64(Narrow())
    with pytest.raises(SwtformerError, match=r"cannot be computed in float64, .*: expected .* same dtype"):
        computed(torch.ones(2, 2))


def test_what_cannot_be_copied_is_refused() -> None:
    class Remembers(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last = torch.ones(1, requires_grad=True) * 2

    with pytest.raises(SwtformerError, match=r"cannot be computed in float64, .*: Only Tensors created"):
        in_float64(Remembers())
