"""Attention roll-out: a plain vision transformer's classifier, and the path of its attention to the patches.

Abnar and Zuidema, Quantifying Attention Flow in Transformers, ACL 2020, doi:10.18653/v1/2020.acl-main.385.
Roll-out knows no classes: every present class gets the same map. With gradients it does: the relevance of
Chefer, Gur and Wolf, Generic Attention-model Explainability, ICCV 2021, doi:10.1109/ICCV48922.2021.00045.

The public code (jacobgil/vit-explain) divides attention along the wrong axis, and discards values in the
first image of a batch alone; this does neither. Its own gradient roll-out averages the heads before it drops
what is negative, so that heads cancel each other, and divides by sums of rows; Chefer et al. do neither.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self, final

import torch
from pydantic import Field
from torch import Tensor, nn

from swtformer.backbones.attentive_vit import AttentiveViT
from swtformer.backbones.base import Normalisation
from swtformer.functional.attention import (
    attention_rollout,
    fused_heads,
    head_relevance,
    relevance_rollout,
    without_weakest,
)
from swtformer.functional.losses import classification_loss
from swtformer.methods.base import Batch, Maps, Method
from swtformer.methods.class_tokens import create_attentive
from swtformer.methods.summed_views import summed_cams
from swtformer.settings import METHODS, LocalizeSettings, ModelSettings, Section
from swtformer.settings.shaping import OnlyWith


class AttentionRolloutSettings(Section):
    """Options of attention roll-out; the defaults are the paper's."""

    rollout: Literal["attention", "gradient"] = "attention"
    """attention is one map for all classes; gradient weights it by the gradient of each class's logit, which
    keeps all heads of all layers in memory."""
    heads: Annotated[Literal["mean", "max", "min"], OnlyWith("rollout", "attention")] = "mean"
    """How the heads of a layer are fused; the public code's command takes max."""
    discard: Annotated[float, Field(ge=0, lt=1), OnlyWith("rollout", "attention")] = 0.0
    """Part of the smallest attention values of a layer that is set to 0; the public code discards 0.9."""
    norm: Literal["max", "minmax"] = "max"
    """How each map is scaled to [0, 1]: by its maximum, or by its minimum and maximum."""


@final
@METHODS.register("attention_rollout")
class AttentionRollout(Method):
    """A plain vision transformer with a linear classifier on its class token.

    Maps of views are divided by their maximum before they are summed, as the size of gradients depends on the
    view. Refiners and segmentation networks cannot start from it (`reusable_features` is None): it classifies
    by the class token, which a pyramid of patch tokens lacks.
    """

    settings_type = AttentionRolloutSettings
    loss_names = ("cls",)
    options: AttentionRolloutSettings

    def __init__(
        self,
        backbone: AttentiveViT,
        settings: ModelSettings,
        classes: tuple[str, ...],
        options: Section | None = None,
    ) -> None:
        super().__init__(settings, classes, options)
        self.backbone = backbone
        self.head = nn.Linear(backbone.width, len(classes))
        nn.init.trunc_normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)
        self.normalisation = Normalisation(backbone.mean, backbone.std)

    @classmethod
    def build(cls, settings: ModelSettings, classes: tuple[str, ...], options: Section | None = None) -> Self:
        """See `Method.build`."""
        backbone = create_attentive(cls.name, settings, class_tokens=1, tokens="normalised")
        return cls(backbone, settings, classes, options)

    def logits(self, images: Tensor) -> Tensor:
        """Those of the class token; see `Method.logits`."""
        logits: Tensor = self.head(self.backbone(self.normalisation(images))[-1].classes[:, 0])
        return logits

    def losses(self, batch: Batch, *, epoch: float) -> dict[str, Tensor]:
        """The classification loss."""
        return {"cls": classification_loss(self.logits(batch.images).float(), batch.present)}

    def has_idle_parameters(self) -> bool:
        """See `Method.has_idle_parameters`."""
        return False

    def maps(self, images: Tensor, present: Tensor | None, *, settings: LocalizeSettings) -> Maps:
        """Roll-out of all views, summed; see `Method.maps`."""
        wanted = list(range(len(self.classes)))
        if present is not None:
            wanted = present.any(0).nonzero()[:, 0].tolist()

        def look(view: Tensor) -> tuple[Tensor, Tensor]:
            if self.options.rollout == "attention":
                return self.rolled_out(view)
            return self.relevant(view, wanted)

        return summed_cams(look, images, present, settings=settings, norm=self.options.norm)

    def rolled_out(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, C), and attention that reaches the class token (B, C, h, w), one map for all classes.

        Args:
            images: (B, 3, H, W) RGB, uint8 or floats in [0, 1], of at least 32×32 px.
        """
        fused = []
        for tokens, attention in self.backbone.attended(self.normalisation(images)):
            one = fused_heads(attention, heads=self.options.heads)
            fused.append(without_weakest(one, discard=self.options.discard).float())
            last = tokens
        logits = self.head(last.classes[:, 0])
        with torch.autocast(logits.device.type, enabled=False):
            row = attention_rollout(fused)
        maps = self._on_patches(row, last.patches.shape[-2:])
        return logits, maps.expand(-1, len(self.classes), -1, -1)

    def relevant(self, images: Tensor, wanted: list[int]) -> tuple[Tensor, Tensor]:
        """Logits (B, C), and the relevance of patches (B, C, h, w), 0 for classes that are not wanted.

        In float32, as small gradients vanish in half precision.

        Args:
            images: as in `rolled_out`.
            wanted: indices of classes.
        """
        device = images.device.type
        with torch.inference_mode(mode=False), torch.enable_grad(), torch.autocast(device, enabled=False):
            # Without a gradient of the images there would be none at all where the weights are frozen.
            seen = self.normalisation(images.clone()).requires_grad_()
            layers = list(self.backbone.attended(seen))
            tokens, attentions = layers[-1][0], [attention for _, attention in layers]
            logits = self.head(tokens.classes[:, 0])
            maps = torch.zeros(*logits.shape, *tokens.patches.shape[-2:], device=logits.device)
            for index in wanted:
                gradients = torch.autograd.grad(logits[:, index].sum(), attentions, retain_graph=True)
                with torch.no_grad():
                    row = relevance_rollout(list(map(head_relevance, attentions, gradients)))
                    maps[:, index] = self._on_patches(row, maps.shape[-2:])[:, 0]
        return logits.detach(), maps

    def _on_patches(self, row: Tensor, grid: torch.Size) -> Tensor:
        """(B, 1, h, w) values of the patches in (B, T) of all tokens, divided by their maximum."""
        patches = row[:, self.backbone.first_patch :]
        patches = patches / patches.amax(1, keepdim=True).clamp_min(torch.finfo(patches.dtype).tiny)
        return patches.reshape(-1, 1, *grid)
