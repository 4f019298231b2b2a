"""For `tries.py`: losses of a segmentation network on pseudo-masks that are partly wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor
from try_planes import LEVELS

from swtformer.functional.pixel_losses import pixel_cross_entropy, presence_loss
from swtformer.label_values import IGNORED
from swtformer.training.segmentation import SegmentationModule

TEMPERATURE = 0.1
"""Of cosines with prototypes."""
MOMENTUM = 0.9
"""Of prototypes over the batches."""
WARMUP = 0.25
"""Part of the training before pixels are weighed or dropped."""

Loss = Callable[["TriedModule", Tensor, dict[str, Any]], dict[str, Tensor]]
"""Logits (B, N, H, W) and batch to losses by name."""


class TriedModule(SegmentationModule):
    """The module of `segment` with another loss of pixels.

    Attributes:
        loss: what replaces the cross-entropy.
        features: (B, D, h, w) the decoder's map of the batch, before the last 1×1 convolution.
        prototypes: (N, D) mean features of the labels' pixels, of unit length, a moving average; 0 for labels
            that were not seen.
    """

    loss_names = ("cross_entropy", "dice", "presence", "contrast")
    loss: ClassVar[Loss]

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.features = torch.zeros(0)
        self.prototypes = torch.zeros(0)
        self.model.decoder.register_forward_hook(self._keep)

    def _keep(self, decoder: object, given: object, made: Tensor) -> None:
        self.features = made

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        """The tried loss, and the loss of the image-level head."""
        logits, presence = self.model.parts(batch["image"])
        losses = type(self).loss(self, logits.float(), batch)
        if presence is not None:
            losses["presence"] = presence_loss(presence, batch["mask"], batch["present"])
        return self.total(losses, {"presence": self.settings.presence, "contrast": 0.1})

    @property
    def is_warm(self) -> bool:
        """Whether the first part of the training is over."""
        return self.current_epoch >= WARMUP * self.options.epochs

    def cosines(self, labels: Tensor) -> Tensor:
        """(B, N, h, w) cosines of features and prototypes, which labels (B, h, w) bring up to date; -1 for
        labels that were not seen."""
        unit = F.normalize(self.features.float(), dim=1)
        count = self.model.head.out_channels
        with torch.no_grad():
            known = self.prototypes.clone() if len(self.prototypes) else unit.new_zeros(count, unit.shape[1])
            flat, own = unit.movedim(1, -1).flatten(0, 2), labels.flatten().long()
            for label in own[own != IGNORED].unique().tolist():
                mean = F.normalize(flat[own == label].mean(0), dim=0)
                before = known[label]
                moved = MOMENTUM * before + (1 - MOMENTUM) * mean if before.any() else mean
                known[label] = F.normalize(moved, dim=0)
            self.prototypes = known
        cosines = torch.einsum("bdhw,nd->bnhw", unit, self.prototypes)
        return cosines.masked_fill(~self.prototypes.any(1)[None, :, None, None], -1.0)


def plain(module: TriedModule, logits: Tensor, batch: dict[str, Any]) -> dict[str, Tensor]:
    """The cross-entropy of `segment`; must give the network of the run again."""
    return {"cross_entropy": pixel_cross_entropy(logits, batch["mask"])}


def smoothing(module: TriedModule, logits: Tensor, batch: dict[str, Any]) -> dict[str, Tensor]:
    """Label smoothing by 0.1 (Szegedy et al. 2016)."""
    loss = F.cross_entropy(logits, batch["mask"].long(), ignore_index=IGNORED, label_smoothing=0.1)
    return {"cross_entropy": loss}


def _shares(batch: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """(B, N, H, W) shares, and (B, H, W) which pixels are no padding."""
    inside = batch["shares"][:, 0] != IGNORED
    shares = batch["shares"].float() / LEVELS
    return shares / shares.sum(1, keepdim=True).clamp_min(1e-6), inside


def soft(module: TriedModule, logits: Tensor, batch: dict[str, Any]) -> dict[str, Tensor]:
    """Cross-entropy with soft labels, the sharpened shares, on all pixels."""
    shares, inside = _shares(batch)
    losses = -(shares * logits.log_softmax(1)).sum(1)
    return {"cross_entropy": losses[inside].mean()}


def _collision(logits: Tensor, shares: Tensor) -> Tensor:
    """(B, H, W) -ln Σ y σ: the label of a pixel and a draw from the network's probabilities are the same."""
    return -torch.logsumexp(logits.log_softmax(1) + shares.clamp_min(1e-6).log(), dim=1)


def collision(module: TriedModule, logits: Tensor, batch: dict[str, Any]) -> dict[str, Tensor]:
    """Collision cross-entropy with soft labels on all pixels (Zhang and Boykov, arXiv:2507.01721)."""
    shares, inside = _shares(batch)
    return {"cross_entropy": _collision(logits, shares)[inside].mean()}


def collision_undecided(module: TriedModule, logits: Tensor, batch: dict[str, Any]) -> dict[str, Tensor]:
    """Collision cross-entropy on undecided pixels alone, beside the cross-entropy on the others."""
    shares, inside = _shares(batch)
    plain_losses = F.cross_entropy(logits, batch["mask"].long(), ignore_index=IGNORED, reduction="none")
    losses = torch.where(batch["mask"] == IGNORED, _collision(logits, shares), plain_losses)
    return {"cross_entropy": losses[inside].mean()}


def two_gaussians(module: TriedModule, logits: Tensor, batch: dict[str, Any]) -> dict[str, Tensor]:
    """Cross-entropy, where a pixel weighs as likely as its loss comes from the lower of two Gaussians.

    They are fitted to the losses of each label's pixels in the batch, as DivideMix (Li et al. 2020) does for
    images.
    """
    truth = batch["mask"].long()
    losses = F.cross_entropy(logits, truth, ignore_index=IGNORED, reduction="none")
    weights = (truth != IGNORED).float()
    if module.is_warm:
        for label in truth[truth != IGNORED].unique().tolist():
            own = truth == label
            weights[own] = posterior_of_lower(losses.detach()[own])
    return {"cross_entropy": (losses * weights).sum() / weights.sum().clamp_min(1)}


def posterior_of_lower(values: Tensor, *, rounds: int = 15, sample: int = 8192) -> Tensor:
    """For each of (n,) values, the probability of the lower of two Gaussians that EM fits to them."""
    if len(values) < 64:
        return torch.ones_like(values)
    some = values[:: max(1, len(values) // sample)]
    means = torch.quantile(some, values.new_tensor([0.25, 0.9]))
    deviations = some.std().clamp_min(1e-3).repeat(2)
    parts = values.new_tensor([0.7, 0.3])

    def logs(of: Tensor) -> Tensor:
        return parts.log() - deviations.log() - ((of[:, None] - means) / deviations) ** 2 / 2

    for _ in range(rounds):
        shares = logs(some).softmax(1)
        total = shares.sum(0).clamp_min(1e-6)
        means = (shares * some[:, None]).sum(0) / total
        deviations = ((shares * (some[:, None] - means) ** 2).sum(0) / total).sqrt().clamp_min(1e-3)
        parts = total / total.sum()
    lower = int(means.argmin())
    posterior = logs(values).softmax(1)[:, lower]
    # A wide Gaussian is the likelier one below a narrow one as well.
    return torch.where(values <= means[lower], 1.0, posterior)


def _small(labels: Tensor, size: torch.Size) -> Tensor:
    return F.interpolate(labels[:, None].float(), size, mode="nearest-exact")[:, 0].long()


def prototype_weights(module: TriedModule, logits: Tensor, batch: dict[str, Any]) -> dict[str, Tensor]:
    """Cross-entropy, where a pixel weighs as its label's prototype is near among those of the image.

    The weight is the softmax of the cosines with the prototypes of background and the image's classes, as
    ProDA (Zhang et al. 2021) weighs pseudo-labels.
    """
    small = _small(batch["mask"], module.features.shape[-2:])
    with torch.no_grad():
        cosines = module.cosines(small) / TEMPERATURE
        shown = F.pad(batch["present"], (1, 0), value=True)[:, :, None, None]
        shares = cosines.masked_fill(~shown, -1e4).softmax(1)
        own = shares.gather(1, small.where(small != IGNORED, 0)[:, None])
        weights = F.interpolate(own, logits.shape[-2:], mode="nearest-exact")[:, 0]
        weights = weights if module.is_warm else torch.ones_like(weights)
    truth = batch["mask"].long()
    weights = weights * (truth != IGNORED)
    losses = F.cross_entropy(logits, truth, ignore_index=IGNORED, reduction="none")
    return {"cross_entropy": (losses * weights).sum() / weights.sum().clamp_min(1e-6)}


def contrast(module: TriedModule, logits: Tensor, batch: dict[str, Any]) -> dict[str, Tensor]:
    """Cross-entropy, and contrast of the surest third of the pixels with the labels' prototypes."""
    surest = _small(batch["surest"], module.features.shape[-2:])
    cosines = module.cosines(surest) / TEMPERATURE
    losses = F.cross_entropy(cosines, surest, ignore_index=IGNORED, reduction="sum")
    pulled = losses / (surest != IGNORED).sum().clamp_min(1)
    return plain(module, logits, batch) | {"contrast": pulled}


def weights_and_contrast(module: TriedModule, logits: Tensor, batch: dict[str, Any]) -> dict[str, Tensor]:
    """Both; the prototypes are those of the surest third."""
    pulled = contrast(module, logits, batch)["contrast"]
    return prototype_weights(module, logits, batch) | {"contrast": pulled}


LOSSES: dict[str, Loss] = {
    "plain": plain,
    "smoothing": smoothing,
    "soft": soft,
    "collision": collision,
    "collision-undecided": collision_undecided,
    "two-gaussians": two_gaussians,
    "prototype-weights": prototype_weights,
    "contrast": contrast,
    "weights-and-contrast": weights_and_contrast,
}
"""The tries by name."""
