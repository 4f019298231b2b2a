"""What every section of the settings is, and what every training has."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from swtformer.settings.numbers import Count, Fraction, NonNegative, Positive
from swtformer.settings.shaping import NEUTRAL


class Section(BaseModel):
    """Base of all sections: immutable; an unknown key or a number that is not finite is an error.

    The docstring under a field is its help on the command line. Schemas are built at first use, since
    `--help` needs none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, defer_build=True)


class OptimisationSettings(Section):
    """What every training has: optimiser, schedule, checkpoints, processes (METHOD 3)."""

    epochs: Count = 30
    """Passes over the training images."""
    batch_size: Count = 16
    """Images per step and process."""
    optimizer: Literal["adamw", "sgd"] = "adamw"
    """AdamW, or SGD with a momentum of 0.9, which wants learning rates some hundred times larger."""
    schedule: Literal["cosine", "poly"] = "cosine"
    """How the learning rate falls after the warm-up: as a cosine, or as (1 − progress)^0.9."""
    learning_rate: Positive = 6e-5
    """Peak learning rate of the backbone."""
    head_multiplier: Positive = 10.0
    """Learning rate of the new layers (CAM head, decoder) relative to the backbone's."""
    minimum_learning_rate: NonNegative = 1e-6
    """Learning rate at the end."""
    weight_decay: NonNegative = 0.05
    """Weight decay; none on biases, norms and relative-position tables."""
    warmup_fraction: Fraction = 0.05
    """Part of all steps over which the learning rate rises from 0."""
    clip_norm: NonNegative = 1.0
    """Gradient norm limit; 0 turns clipping off."""
    accumulate: Count = 1
    """Batches whose gradients are added up before a step."""
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Decay of the exponential moving average of the weights; 0 turns it off."""
    early_stopping_patience: Annotated[int, Field(ge=0)] = 0
    """Epochs without a better validation score after which training stops; 0 turns it off."""
    keep: Literal["last", "best"] = "last"
    """Weights to keep as the model: those of the last epoch or of the best validation score."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Arithmetic; auto takes bf16 where the processor has it and fp32 elsewhere."""
    workers: Annotated[int, Field(ge=0), NEUTRAL] = 2
    """Processes that load images."""
    devices: Count = 1
    """Processes (CPU) or GPUs per machine."""
    nodes: Count = 1
    """Machines; the processes are launched by torchrun or srun."""
    accelerator: Annotated[Literal["auto", "cpu", "gpu", "mps"], NEUTRAL] = "auto"
    """Where to compute."""
    resume_anyway: Annotated[bool, NEUTRAL] = False
    """Resume although the number of threads, image files or, for a segmentation network, the masks have
    changed since the training started. A stopped training then ends with different weights than an
    uninterrupted one; a finished one stays as it is. Applies to one call and is not stored."""
    tensorboard: Annotated[bool, NEUTRAL] = False
    """Write TensorBoard logs beside metrics.csv; needs the extra `log`."""
