"""The contract of a refiner with a network that is fitted to a run's own images and maps."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
from torch import Tensor, nn

from swtformer.backbones.base import Backbone
from swtformer.refiners.base import Refiner
from swtformer.settings import Section
from swtformer.settings.numbers import Count, Positive


class FitSettings(Section):
    """Options of every learned refiner: how its network is fitted."""

    fit_epochs: Count = 3
    """Passes over the images when the network is fitted."""
    fit_batch_size: Count = 8
    """Images per step."""
    fit_learning_rate: Positive = 6e-4
    """Learning rate of the new layers."""
    fit_precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Arithmetic of the fit; auto takes bf16 where the processor has it and fp32 elsewhere."""


@dataclass(frozen=True)
class Example:
    """One image of the run with its maps.

    Attributes:
        image: (3, H, W) float32 RGB in [0, 1].
        maps: (K+1, h, w) float32 in [0, 1], background first, then the classes of the image.
        values: (K,) int64 mask values (class index + 1) of the channels after the background, ascending.
    """

    image: Tensor
    maps: Tensor
    values: Tensor


class Examples(Protocol):
    """The examples that a refiner is fitted on, at least one; picklable, for worker processes."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Example:
        """An example, read from disk at each access.

        Raises:
            DataError: its image or maps cannot be read; the next one is used instead.
        """


class LearnedRefiner(Refiner):
    """A refiner whose network is fitted on the run's own images and maps before it refines.

    A subclass makes the network, draws training samples from examples and computes the losses. The loop
    around them (`swtformer.training.refiner`) is shared: AdamW, a polynomial decay of the learning rate,
    checkpoints after every epoch.

    Attributes:
        settings_type: a subclass of `FitSettings`.
        loss_names: losses that `losses` may give; columns of the fit's metrics.csv.
        learning_rate_multipliers: learning rates of groups relative to `fit_learning_rate`; 1 for the others.
        network: what is fitted. Its state_dict is saved and loaded. It is on `device` and in evaluation mode,
            except during the fit.
    """

    settings_type: ClassVar[type[FitSettings]] = FitSettings
    options: FitSettings
    loss_names: ClassVar[tuple[str, ...]]
    learning_rate_multipliers: ClassVar[Mapping[str, float]] = {}
    network: nn.Module

    @abstractmethod
    def build(self, backbone: Backbone) -> None:
        """Make the network; new layers draw their weights from torch's generator.

        Args:
            backbone: the run's, with its trained weights. It becomes part of the network.
        """

    @abstractmethod
    def sample(self, example: Example, generator: np.random.Generator) -> dict[str, Tensor]:
        """Draw a training sample, such as a crop; all samples have tensors of the same shapes.

        Called in worker processes and on a copy of the refiner that has no network.

        Args:
            example: an image with its maps.
            generator: the only source of randomness, so that a resumed fit draws the same samples.

        Returns:
            Tensors on the CPU by name; a batch stacks those of several samples.
        """

    @abstractmethod
    def losses(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """Losses of a batch, which are added up.

        Args:
            batch: tensors of `sample` with a first axis for the samples, on the network's device.

        Returns:
            Scalars by names of `loss_names`.
        """

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """Trained parameters by the group that shares a learning rate."""
        return {"network": list(self.network.parameters())}
