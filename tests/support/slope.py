"""The smallest fitted module: one weight whose losses and scores follow a script."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from swtformer.engine.batches import SampleLoader, Samples, training_batches
from swtformer.engine.module import FittedModule
from swtformer.errors import DataError
from swtformer.settings import OptimisationSettings, SegmentSettings


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


class Blanks(Samples[None]):
    """Samples that hold nothing; some cannot be read."""

    def __init__(self, count: int, *, unreadable: Sequence[int] = ()) -> None:
        super().__init__(count, seed=0, none_left="There is no blank left.")
        self.unreadable = unreadable

    def read(self, index: int) -> None:
        """Nothing."""
        if index in self.unreadable:
            raise DataError(f"Blank {index} cannot be read.")

    def sample(self, content: None, index: int, *, generator: np.random.Generator) -> dict[str, Tensor]:
        """Nothing."""
        return {}


def empty_batches(count: int) -> SampleLoader:
    """Loader of batches of one blank."""
    return training_batches(Blanks(count), OptimisationSettings(batch_size=1, workers=0))
