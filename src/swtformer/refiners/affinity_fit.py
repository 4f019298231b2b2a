"""How PSA and IRN learn affinities: random crops with the labels that the run's maps are sure of."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from swtformer.errors import DataError, NonFiniteError
from swtformer.functional.affinity import affinity_loss, label_pairs, surest_labels
from swtformer.functional.dense_crf import PairwiseTerms, label_energies, mean_field
from swtformer.label_values import IGNORED
from swtformer.precision import autocast, pick_precision
from swtformer.refiners.affinity_network import AffinityNetwork
from swtformer.refiners.base import Example, FitStates
from swtformer.refiners.walk_settings import WalkSettings

BACKBONE_FACTOR = 0.1
"""Learning rate of the backbone, where it is trained, relative to that of the new layers (PSA)."""

DECAY_POWER = 0.9
"""The learning rate falls as (1 - step / steps)^power, in PSA as in IRN."""

WEIGHT_DECAY = 0.01
CLIP_NORM = 1.0

READING_THREADS = 2

AHEAD = 2
"""Batches that are read while the network is busy."""

ADVICE = "try a smaller --refiner.fit_learning_rate, or --refiner.fit_precision fp32."
"""What may help a fit that is not finite."""

Report = Callable[[int, int, str], None]
"""Told the step, the number of steps and the loss."""


def fit_affinity(
    network: AffinityNetwork,
    examples: Sequence[Example],
    *,
    settings: WalkSettings,
    crop_px: int,
    radius: int,
    scales: tuple[float, float],
    seed: int,
    states: FitStates | None,
    progress: Report,
) -> None:
    """Train a network's trainable parameters; it ends in evaluation mode.

    Crops are a function of seed, epoch and image alone, whatever the number of reading threads; the state is
    saved after every epoch.

    Args:
        network: on the device to compute on.
        examples: images with their maps.
        settings: the `fit_` ones are used, and for the labels the `crf_` ones.
        crop_px: side of the square crop.
        radius: pairs of pixels closer than this, on the network's grid, are learned from.
        scales: range of the random size of an image.
        seed: of order, crops and random depth.
        states: where the state is saved, and from where it is taken up; None: not at all.
        progress: told about every step.

    Raises:
        DataError: there is no example.
        NonFiniteError: the loss, or a weight after an epoch, is not finite; no such state is saved.
        SettingsError: fp16 on a CPU.
    """
    if not len(examples):
        raise DataError("No image with maps can be read, so there is nothing to learn affinities from.")
    device = network.normalisation.mean.device
    steps_in_epoch = -(-len(examples) // settings.fit_batch_size)
    steps = settings.fit_epochs * steps_in_epoch
    optimisation = _Optimisation(network, settings, steps=steps)
    state = None if states is None else states.newest()
    if state is not None:
        optimisation.load_state_dict(state)
    first_epoch = optimisation.steps // steps_in_epoch

    def draw(epoch: int, index: int) -> tuple[Tensor, Tensor]:
        generator = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(epoch, index)))
        example = examples[index]
        labels = labels_to_learn(example, settings)
        return random_crop(example.image, labels, generator, crop_px=crop_px, scales=scales)

    network.train()
    batches = _batches(draw, len(examples), settings, seed=seed, first_epoch=first_epoch)
    for step, (images, labels) in enumerate(batches, start=optimisation.steps + 1):
        # Random depth follows from seed and step too, in a fit that goes on as in one that never stopped.
        torch.manual_seed(int(np.random.SeedSequence((seed, step)).generate_state(1, np.uint64)[0] >> 1))
        with autocast(settings.fit_precision, device.type):
            affinity = network.affinity(_filled(images, network.normalisation.mean), radius=radius)
        coarse = F.interpolate(labels[:, None].float(), affinity.shape[-2:], mode="nearest-exact")[:, 0]
        loss = affinity_loss(affinity, label_pairs(coarse.long().to(device), radius=radius))
        if not torch.isfinite(loss):
            raise NonFiniteError(
                f"The loss of the affinities is not finite at step {step} of {steps}; {ADVICE}"
            )
        optimisation.step(loss)
        progress(step, steps, f"loss {loss.item():.3f}")
        if step % steps_in_epoch == 0:
            _require_finite(network, step, steps)
            if states is not None:
                states.save(step // steps_in_epoch, optimisation.state_dict())
    network.eval()


class _Optimisation:
    """The parameters that are trained and what is at work on them; its state is all that a step changes."""

    def __init__(self, network: AffinityNetwork, settings: WalkSettings, *, steps: int) -> None:
        device = network.normalisation.mean.device.type
        self._parameters = {name: value for name, value in network.named_parameters() if value.requires_grad}
        new = network.new_parameters()
        backbone = [value for value in network.backbone.parameters() if value.requires_grad]
        rate = settings.fit_learning_rate
        self._optimizer = AdamW(
            [{"params": new, "lr": rate}, {"params": backbone, "lr": rate * BACKBONE_FACTOR}],
            weight_decay=WEIGHT_DECAY,
        )
        self._schedule = LambdaLR(self._optimizer, lambda step: max(1 - step / steps, 0.0) ** DECAY_POWER)
        # Gradients of fp16 are scaled, so that small ones do not vanish.
        is_scaled = pick_precision(settings.fit_precision, device) == "fp16"
        self._scaler = torch.amp.GradScaler(device, enabled=is_scaled)
        self.steps = 0

    def step(self, loss: Tensor) -> None:
        """Change the parameters along the gradient of a loss."""
        self._optimizer.zero_grad(set_to_none=True)
        self._scaler.scale(loss).backward()
        self._scaler.unscale_(self._optimizer)
        clip_grad_norm_(self._parameters.values(), CLIP_NORM)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self._schedule.step()
        self.steps += 1

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values; the tensors are those at work, not copies."""
        return {
            "steps": self.steps,
            "parameters": {name: value.detach() for name, value in self._parameters.items()},
            "optimizer": self._optimizer.state_dict(),
            "schedule": self._schedule.state_dict(),
            "scaler": self._scaler.state_dict(),
        }

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        for name, value in self._parameters.items():
            value.copy_(state["parameters"][name])
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])
        self._scaler.load_state_dict(state["scaler"])
        self.steps = state["steps"]


def _require_finite(network: AffinityNetwork, step: int, steps: int) -> None:
    broken = [name for name, value in network.state_dict().items() if not value.isfinite().all()]
    if broken:
        raise NonFiniteError(
            f"After step {step} of {steps} {len(broken)} weights of the affinities are not finite, "
            f"{broken[0]} first; {ADVICE}"
        )


def labels_to_learn(example: Example, settings: WalkSettings) -> Tensor:
    """Labels on the grid of an example's maps; 255 where the maps are unsure or the dense CRF objects.

    The CRF runs on the maps' grid, its distances divided by their stride; at 4 that is a 16th of the work.

    Returns:
        (h, w) uint8.
    """
    labels = surest_labels(example.maps, example.values, part=settings.fit_confident)
    if settings.fit_labels == "maps" or len(example.maps) == 1:
        return labels
    height, width = labels.shape
    image = F.interpolate(
        example.image[None], (height, width), mode="bilinear", align_corners=False, antialias=True
    )[0]
    stride = max(example.image.shape[1] / height, example.image.shape[2] / width)
    terms = PairwiseTerms(
        gaussian_px=settings.crf_gaussian_px / stride,
        gaussian_weight=settings.crf_gaussian_weight,
        bilateral_px=settings.crf_bilateral_px / stride,
        bilateral_rgb=settings.crf_bilateral_rgb,
        bilateral_weight=settings.crf_bilateral_weight,
    )
    channels = example.maps.argmax(0)
    energies = label_energies(channels, count=len(example.maps), certainty=settings.crf_certainty)
    marginals = mean_field(energies, image, terms=terms, iterations=settings.crf_iterations)
    return labels.masked_fill(marginals.argmax(0) != channels, IGNORED)


def random_crop(
    image: Tensor,
    labels: Tensor,
    generator: np.random.Generator,
    *,
    crop_px: int,
    scales: tuple[float, float],
) -> tuple[Tensor, Tensor]:
    """Resize, crop and perhaps mirror an image with its labels.

    Args:
        image: (3, H, W) float32.
        labels: (h, w) uint8 on any grid of the image.
        generator: where the random numbers come from.
        crop_px: side S of the crop; a smaller image is put at a random place of it.
        scales: range of the random size, drawn evenly.

    Returns:
        (3, S, S) image, nan outside of the picture; (S, S) uint8 labels, 255 outside.
    """
    scale = generator.uniform(*scales)
    height, width = (max(1, round(side * scale)) for side in image.shape[1:])
    image = F.interpolate(image[None], (height, width), mode="bilinear", align_corners=False, antialias=True)[
        0
    ]
    labels = F.interpolate(labels[None, None], (height, width), mode="nearest-exact")[0, 0]
    if generator.random() < 0.5:
        image, labels = image.flip(-1), labels.flip(-1)
    rows, target_rows = _window(height, crop_px, generator)
    columns, target_columns = _window(width, crop_px, generator)
    crop = image.new_full((3, crop_px, crop_px), torch.nan)
    crop[:, target_rows, target_columns] = image[:, rows, columns]
    cropped = labels.new_full((crop_px, crop_px), IGNORED)
    cropped[target_rows, target_columns] = labels[rows, columns]
    return crop, cropped


def _window(size: int, crop: int, generator: np.random.Generator) -> tuple[slice, slice]:
    """What to take of a side and where to put it."""
    offset = int(generator.integers(abs(size - crop), endpoint=True))
    if size > crop:
        return slice(offset, offset + crop), slice(crop)
    return slice(size), slice(offset, offset + size)


def _filled(images: Tensor, mean: Tensor) -> Tensor:
    """Crops on the device of `mean`, padded with that colour, which is 0 once normalised."""
    images = images.to(mean.device)
    return torch.where(images.isnan(), mean, images)


def _batches(
    draw: Callable[[int, int], tuple[Tensor, Tensor]],
    count: int,
    settings: WalkSettings,
    *,
    seed: int,
    first_epoch: int,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of crops in every epoch's own order, drawn ahead in threads."""
    waiting: deque[list[Future[tuple[Tensor, Tensor]]]] = deque()
    with ThreadPoolExecutor(READING_THREADS) as pool:
        try:
            for epoch in range(first_epoch, settings.fit_epochs):
                order = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(epoch,)))
                indices = order.permutation(count).tolist()
                for start in range(0, count, settings.fit_batch_size):
                    chosen = indices[start : start + settings.fit_batch_size]
                    waiting.append([pool.submit(draw, epoch, index) for index in chosen])
                    if len(waiting) > AHEAD:
                        yield _stacked(waiting.popleft())
            while waiting:
                yield _stacked(waiting.popleft())
        finally:
            pool.shutdown(cancel_futures=True)


def _stacked(futures: list[Future[tuple[Tensor, Tensor]]]) -> tuple[Tensor, Tensor]:
    images, labels = zip(*(future.result() for future in futures), strict=True)
    return torch.stack(images), torch.stack(labels)
