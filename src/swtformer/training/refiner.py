"""The fit of a learned refiner's network: its Lightning module and its training samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any, final

import numpy as np
from torch import Tensor, nn

from swtformer.engine.batches import Samples
from swtformer.engine.fitting import fit
from swtformer.engine.module import FittedModule
from swtformer.progress import Progress, silent
from swtformer.refiners import Example, Examples, LearnedRefiner
from swtformer.settings import OptimisationSettings
from swtformer.store.run import Run

WEIGHT_DECAY = 0.01
CLIP_NORM = 1.0


@final
class ExampleSamples(Samples[Example]):
    """Training samples that a refiner draws from examples.

    Args:
        examples: at least one.
        refiner: draws the samples. Worker processes get a copy without its network.
        seed: of all samples and of their order.
    """

    def __init__(self, examples: Examples, refiner: LearnedRefiner, *, seed: int) -> None:
        super().__init__(
            len(examples),
            seed=seed,
            none_left=f"None of the {len(examples)} images can be read together with its maps.",
        )
        self._examples = examples
        self._refiner = type(refiner)(refiner.options, source=refiner.source)

    def read(self, index: int) -> Example:
        """One example."""
        return self._examples[index]

    def sample(self, content: Example, index: int, *, generator: np.random.Generator) -> dict[str, Tensor]:
        """The refiner's sample of an example."""
        return self._refiner.sample(content, generator)


@final
class RefinerModule(FittedModule):
    """Fits a refiner's network.

    Args:
        refiner: with its network, which ends in training mode.
        options: how the network is optimised.
        seed: of everything random.
    """

    section = "fit"
    prefix = "refiner.fit_"
    validation_names = ()
    monitored = monitored_name = ""

    def __init__(self, refiner: LearnedRefiner, options: OptimisationSettings, *, seed: int) -> None:
        super().__init__(refiner.network.train(), options, seed=seed)
        self.refiner = refiner
        self.trained = f"The refiner {type(refiner).__module__}.{type(refiner).__qualname__}"
        self.loss_names = refiner.loss_names

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        """Sum of the refiner's losses.

        Raises:
            NonFiniteError: the sum is nan or infinite.
        """
        return self.total(self.refiner.losses(batch))

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """See `LearnedRefiner.parameter_groups`."""
        return self.refiner.parameter_groups()

    def learning_rate_multipliers(self) -> dict[str, float]:
        """See `LearnedRefiner`."""
        return dict(self.refiner.learning_rate_multipliers)


def fit_refiner(
    refiner: LearnedRefiner,
    examples: Examples,
    *,
    folder: Path,
    seed: int,
    workers: int = 0,
    resume: bool = False,
    progress: Progress = silent,
) -> None:
    """Fit a refiner's network right after `build`; it ends on the refiner's device, in evaluation mode.

    A resumed fit ends with the weights of an uninterrupted one.

    Args:
        refiner: its options say how it is fitted.
        examples: at least one.
        folder: where metrics.csv and the checkpoints go.
        seed: of order, samples and stochastic depth.
        workers: processes that read examples and draw samples.
        resume: continue from the newest undamaged checkpoint in the folder.
        progress: called after every step, with the stage name "fit".

    Raises:
        DataError: no example can be read.
        NonFiniteError: a loss or weight is not finite.
        SettingsError: fp16 on a CPU.
    """
    options = refiner.options
    accelerator = "gpu" if refiner.device.type == "cuda" else refiner.device.type
    optimisation = OptimisationSettings.model_validate(
        {
            "epochs": options.fit_epochs,
            "batch_size": options.fit_batch_size,
            "learning_rate": options.fit_learning_rate,
            "schedule": "poly",  # in PSA as in IRN
            "warmup_fraction": 0.0,
            "minimum_learning_rate": 0.0,
            "weight_decay": WEIGHT_DECAY,
            "clip_norm": CLIP_NORM,
            "precision": options.fit_precision,
            "workers": workers,
            "accelerator": accelerator,
        }
    )
    samples = ExampleSamples(examples, refiner, seed=seed)
    module = RefinerModule(refiner, optimisation, seed=seed)
    fit(module, samples, None, run=Run(folder), resume=resume, progress=progress)
    refiner.network.to(refiner.device).eval()
