"""Convolutions and a transformer side by side, after TransCAM (Li et al., JVCIR 2023)."""

from __future__ import annotations

from typing import Self, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from swtformer.backbones.base import FeatureExtractor, Normalisation
from swtformer.functional.losses import classification_loss
from swtformer.methods import Batch, Maps, Method, summed_cams
from swtformer.settings import LocalizeSettings, ModelSettings, NoSettings, Section

WIDTH, STRIDE = 16, 8


class Trunk(FeatureExtractor):
    """Normalised images to features at stride 8, which both branches start from; no pyramid."""

    keeps_batch_statistics = False

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, WIDTH, STRIDE, STRIDE)
        self.norm = nn.BatchNorm2d(WIDTH)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, D, h, w)."""
        return F.relu(self.norm(self.stem(images)))


@final
class TwoBranches(Method):
    """The attention of the transformer spreads the CAM of the convolutions over places that look alike."""

    settings_type = NoSettings
    loss_names = ("cls_convolution", "cls_transformer")

    def __init__(self, settings: ModelSettings, classes: tuple[str, ...], options: Section | None) -> None:
        super().__init__(settings, classes, options)
        self.trunk = Trunk()
        self.normalisation = Normalisation(self.trunk.mean, self.trunk.std)
        self.convolution = nn.Conv2d(WIDTH, WIDTH, 3, padding=1)
        self.qkv = nn.ModuleList(nn.Linear(WIDTH, 3 * WIDTH, bias=False) for _ in range(2))
        self.cam_head = nn.Conv2d(WIDTH, len(classes), 1)
        self.token_head = nn.Linear(WIDTH, len(classes))

    @classmethod
    def build(cls, settings: ModelSettings, classes: tuple[str, ...], options: Section | None = None) -> Self:
        """See `Method.build`."""
        return cls(settings, classes, options)

    def _look(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits of both branches (B, C), and the CAM (B, C, h, w) after attention."""
        features = self.trunk(self.normalisation(images))
        cam = self.cam_head(F.relu(self.convolution(features)))
        tokens, attended = features.flatten(2).mT, []
        for layer in self.qkv:
            query, key, value = layer(tokens).chunk(3, dim=-1)
            attended.append((query @ key.mT / WIDTH**0.5).softmax(-1))
            tokens = tokens + attended[-1] @ value
        spread = (torch.stack(attended).mean(0) @ cam.flatten(2).mT).mT.reshape(cam.shape)
        return cam.mean((-2, -1)), self.token_head(tokens.mean(1)), spread

    def logits(self, images: Tensor) -> Tensor:
        """Mean of both branches."""
        convolution, transformer, _ = self._look(images)
        return (convolution + transformer) / 2

    def losses(self, batch: Batch, *, epoch: float) -> dict[str, Tensor]:
        """Classification by each branch."""
        both = self._look(batch.images)[:2]
        values = [classification_loss(logits.float(), batch.present) for logits in both]
        return dict(zip(self.loss_names, values, strict=True))

    def has_idle_parameters(self) -> bool:
        """Every step trains all."""
        return False

    def maps(self, images: Tensor, present: Tensor | None, *, settings: LocalizeSettings) -> Maps:
        """See `Method.maps`."""

        def look(view: Tensor) -> tuple[Tensor, Tensor]:
            convolution, transformer, cam = self._look(view)
            return (convolution + transformer) / 2, cam

        return summed_cams(look, images, present, settings=settings)
