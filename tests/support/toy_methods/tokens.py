"""Class tokens inside a plain transformer, and two logits, after MCTformer (Xu et al., CVPR 2022)."""

from __future__ import annotations

from typing import Self, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from swtformer.backbones.base import IMAGENET_MEAN, IMAGENET_STD, Normalisation
from swtformer.functional.losses import classification_loss
from swtformer.methods import Batch, Maps, Method, summed_cams
from swtformer.settings import LocalizeSettings, ModelSettings, Section
from swtformer.settings.numbers import NonNegative

PATCH_PX, WIDTH, DEPTH, GRID = 8, 16, 2, 8


class TokensSettings(Section):
    """Options of the toy."""

    patch_cls: NonNegative = 1.0
    """Weight of the loss of the patch CAM's logits."""


class Layer(nn.Module):
    """Attention of one head and a linear layer, each behind a norm and added to its input."""

    def __init__(self) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(2))
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
        self.mix = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.GELU(), nn.Linear(WIDTH, WIDTH))

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens (B, N, D) to tokens and attention (B, N, N)."""
        query, key, value = self.qkv(self.norms[0](tokens)).chunk(3, dim=-1)
        attention = (query @ key.mT / WIDTH**0.5).softmax(-1)
        tokens = tokens + attention @ value
        return tokens + self.mix(self.norms[1](tokens)), attention


@final
class Tokens(Method):
    """A transformer with one token per class; maps are class attention times patch CAM.

    There is no backbone, so `model.backbone` and `model.weights` do not matter.
    """

    settings_type = TokensSettings
    loss_names = ("cls", "patch_cls")
    options: TokensSettings

    def __init__(self, settings: ModelSettings, classes: tuple[str, ...], options: Section | None) -> None:
        super().__init__(settings, classes, options)
        self.normalisation = Normalisation(IMAGENET_MEAN, IMAGENET_STD)
        self.patches = nn.Conv2d(3, WIDTH, PATCH_PX, PATCH_PX)
        self.class_tokens = nn.Parameter(torch.randn(1, len(classes), WIDTH) / 4)
        self.positions = nn.Parameter(torch.randn(1, WIDTH, GRID, GRID) / 4)
        self.layers = nn.ModuleList(Layer() for _ in range(DEPTH))
        self.head = nn.Conv2d(WIDTH, len(classes), 3, padding=1)

    @classmethod
    def build(cls, settings: ModelSettings, classes: tuple[str, ...], options: Section | None = None) -> Self:
        """See `Method.build`."""
        return cls(settings, classes, options)

    def _look(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Logits of class tokens and of patches (B, C); class attention and patch CAM (B, C, h, w)."""
        patches = self.patches(self.normalisation(images))
        patches = patches + F.interpolate(self.positions, patches.shape[-2:], mode="bilinear")
        count, grid = len(self.classes), patches.shape[-2:]
        tokens = torch.cat([self.class_tokens.expand(len(images), -1, -1), patches.flatten(2).mT], dim=1)
        attended = []
        for layer in self.layers:
            tokens, attention = layer(tokens)
            attended.append(attention[:, :count, count:])
        cam = self.head(tokens[:, count:].mT.unflatten(2, grid))
        attention = torch.stack(attended).mean(0).unflatten(2, grid)
        return tokens[:, :count].mean(-1), cam.mean((-2, -1)), attention, cam

    def logits(self, images: Tensor) -> Tensor:
        """Mean of both logits."""
        from_tokens, from_patches, _, _ = self._look(images)
        return (from_tokens + from_patches) / 2

    def losses(self, batch: Batch, *, epoch: float) -> dict[str, Tensor]:
        """Classification by class tokens and by patches."""
        from_tokens, from_patches, _, _ = self._look(batch.images)
        return {
            "cls": classification_loss(from_tokens.float(), batch.present),
            "patch_cls": classification_loss(from_patches.float(), batch.present),
        }

    def loss_weights(self, epoch: float) -> dict[str, float]:
        """Weights of the settings."""
        return {"patch_cls": self.options.patch_cls}

    def has_idle_parameters(self) -> bool:
        """Every step trains all."""
        return False

    def maps(self, images: Tensor, present: Tensor | None, *, settings: LocalizeSettings) -> Maps:
        """See `Method.maps`."""

        def look(view: Tensor) -> tuple[Tensor, Tensor]:
            from_tokens, from_patches, attention, cam = self._look(view)
            return (from_tokens + from_patches) / 2, attention * cam.relu()

        return summed_cams(look, images, present, settings=settings)
