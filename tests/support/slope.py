"""The smallest fitted module: one weight whose losses and scores follow a script."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from swtformer.engine.batches import SampleLoader
from swtformer.engine.module import FittedModule
from swtformer.settings import SegmentSettings


class Slope(FittedModule):
    """One weight, from 0, that every step pushes down, as its loss is its slope times the weight.

    Attributes:
        scores: validation scores of the epochs, one after the other.
        rates: learning rate that each batch found.
        draws: a random number that each batch drew.
        weights: the weight that each batch found.
    """

    section = "segment"
    loss_names = ("slope",)
    validation_names = ("validation_miou",)
    monitored = "validation_miou"
    monitored_name = "mIoU"

    def __init__(
        self, options: SegmentSettings, *, seed: int = 0, slope: float = 1.0, scores: Sequence[float] = ()
    ) -> None:
        layer = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(layer.weight)
        super().__init__(nn.ModuleDict({"backbone": layer}), options, seed=seed)
        self.slope = slope
        self.scores = scores
        self.rates: list[float] = []
        self.draws: list[float] = []
        self.weights: list[float] = []

    @property
    def weight(self) -> float:
        """The current weight."""
        return float(self._parameter().detach())

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        """Record what the batch found; its loss."""
        self.rates.append(self.trainer.optimizers[0].param_groups[0]["lr"])
        self.draws.append(float(torch.rand(())))
        self.weights.append(self.weight)
        return self.total({"slope": self._parameter() * self.slope})

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Nothing is measured."""

    def on_validation_epoch_end(self) -> None:
        """The script's score of the epoch."""
        self.validation = {self.monitored: self.scores[self.current_epoch]}
        self.log(self.monitored, self.validation[self.monitored])

    def _parameter(self) -> Tensor:
        (parameter,) = self.model.parameters()
        return parameter.sum()


def empty_batches(count: int, *, failed: Sequence[int] = ()) -> SampleLoader:
    """Batches that hold nothing but, each, the images that could not be read."""
    batches: Any = [{"failed": torch.tensor(failed)}] * count
    return SampleLoader(batches, batch_size=None)
