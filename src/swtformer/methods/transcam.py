"""TransCAM: the attention of Conformer's transformer branch refines the CAMs of its CNN branch.

Li, Mai, Zhang, Jang and Sanner, TransCAM: Transformer Attention-based CAM Refinement for Weakly Supervised
Semantic Segmentation, Journal of Visual Communication and Image Representation 92, 2023,
doi:10.1016/j.jvcir.2023.103800 (arXiv:2203.07239). Public code: github.com/liruiwen/TransCAM.

As in the code: Conformer's last stride is taken away, so that CAMs lie on the grid of the tokens; the CAM
head is a 3×3 convolution; one loss is taken of the sum of both branches' logits; batch norm learns its
statistics; and maps of all views are summed with their signs before the positive part is taken and scaled by
its minimum and maximum.

Departures from the code:

- It resizes every image to squares of 256, 512 and 768 px, which loses the aspect, and reshapes tokens to a
  square. Here views keep the aspect; `localize.long_side_px` 512 with `localize.scales` 0.5, 1, 1.5 comes
  near.
- Its heads have an output for the background, which no loss trains and no map uses. There is none here.
- It also subtracts 1e-5 from the maps when it scales them, which makes some of them negative.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self, final

import torch
from torch import Tensor, nn

from swtformer.backbones import conformer, create_backbone
from swtformer.backbones.base import Normalisation
from swtformer.backbones.conformer import PATCH_PX, Branches, Conformer
from swtformer.errors import SettingsError
from swtformer.functional.losses import classification_loss
from swtformer.methods.base import Batch, CamHead, Maps, Method
from swtformer.methods.summed_views import summed_cams
from swtformer.settings import METHODS, LocalizeSettings, ModelSettings, Section
from swtformer.settings.numbers import CountRange

Fusion = Literal["tokens", "transposed", "class", "none"]


class TransCamSettings(Section):
    """Options of TransCAM; the defaults are those of its code."""

    layers: CountRange | None = None
    """First and last block, counted from 1, whose attention is summed; by default all."""
    fusion: Fusion = "tokens"
    """How attention and CAM are joined: tokens gives each place the activations that it attends to,
    transposed spreads its own over these; class multiplies them by the class token's attention; none is the
    CAM of the CNN branch."""
    norm: Literal["minmax", "max"] = "minmax"
    """How each map is scaled to [0, 1]: by its minimum and maximum, or by its maximum."""
    batch_statistics: Literal["learned", "kept"] = "learned"
    """Whether batch norm learns the statistics of the training images, or keeps those that come with the
    weights, as all other methods do."""


def fused(activations: Tensor, attention: Tensor, *, fusion: Fusion) -> Tensor:
    """Join the CNN branch's class activations with attention.

    With A the attention between the places of the grid, a the class token's attention to them, and F the
    activations of a class: `tokens` is A F, `transposed` Aᵀ F, `class` the product a·F at each place, and
    `none` F.

    Args:
        activations: (B, C, h, w), any sign.
        attention: (B, 1 + h·w, 1 + h·w) summed over blocks, the class token first; its row says what a token
            attends to.
        fusion: the rule.

    Returns:
        (B, C, h, w).
    """
    if fusion == "none":
        return activations
    grid = activations.shape[-2:]
    if fusion == "class":
        by_class: Tensor = attention[:, 0, 1:].unflatten(1, grid)
        return activations * by_class[:, None]
    between = attention[:, 1:, 1:]
    joined = activations.flatten(2) @ (between.mT if fusion == "tokens" else between)
    result: Tensor = joined.unflatten(2, grid)
    return result


@dataclass(frozen=True)
class Seen:
    """What the network makes of images.

    Attributes:
        branches: features and attention.
        activations: (B, C, h, w) raw output of the CAM head, on the grid of the tokens.
        conv_logits: (B, C) of the CNN branch, their mean over space.
        token_logits: (B, C) of the class token.
    """

    branches: Branches
    activations: Tensor
    conv_logits: Tensor
    token_logits: Tensor

    @property
    def logits(self) -> Tensor:
        """(B, C): the sum of both branches'."""
        return self.conv_logits + self.token_logits


@final
@METHODS.register("transcam")
class TransCAM(Method):
    """CAMs of a Conformer's CNN branch, each place with what it attends to in the transformer branch.

    The backbone is a Conformer with its last stage at stride 16, whatever `model.output_stride` says.
    """

    settings_type = TransCamSettings
    loss_names = ("cls",)
    options: TransCamSettings

    def __init__(
        self,
        backbone: Conformer,
        settings: ModelSettings,
        classes: tuple[str, ...],
        options: Section | None = None,
    ) -> None:
        super().__init__(settings, classes, options)
        first, last = self.options.layers or (1, backbone.depth)
        if last > backbone.depth:
            raise SettingsError(
                f"method.layers {first},{last}: the backbone {backbone.name!r} has blocks 1 to "
                f"{backbone.depth}; name a range of these."
            )
        self.layers = range(first, last + 1)
        self.backbone = backbone
        self.backbone.trans_norm.requires_grad_(True)
        self.head = nn.Conv2d(backbone.channels[-1], len(classes), 3, padding=1)
        nn.init.kaiming_normal_(self.head.weight, mode="fan_out", nonlinearity="relu")
        self.token_head = nn.Linear(backbone.width, len(classes))
        nn.init.trunc_normal_(self.token_head.weight, std=0.02)
        nn.init.zeros_(self.token_head.bias)
        self.normalisation = Normalisation(backbone.mean, backbone.std)
        self.keep_batch_statistics(backbone.keeps_batch_statistics)

    @classmethod
    def build(cls, settings: ModelSettings, classes: tuple[str, ...], options: Section | None = None) -> Self:
        """See `Method.build`."""
        if settings.backbone not in conformer.known_names():
            raise SettingsError(
                f"The method {settings.method!r} takes a Conformer, such as model.backbone conformer_small, "
                f"not {settings.backbone!r}."
            )
        backbone = create_backbone(
            settings.backbone,
            weights=settings.weights,
            drop_path=settings.drop_path,
            bands=settings.bands,
            output_stride=min(settings.output_stride, PATCH_PX),
        )
        assert isinstance(backbone, Conformer)
        return cls(backbone, settings, classes, options)

    def see(self, images: Tensor, *, attends: bool) -> Seen:
        """Run the network.

        Args:
            images: (B, 3, H, W) RGB, uint8 or floats in [0, 1], of at least 32×32 px.
            attends: whether to keep the attention of `layers`.
        """
        normalised = self.normalisation(images).contiguous(memory_format=torch.channels_last)
        branches = self.backbone.branches(normalised, attended=self.layers if attends else ())
        activations = self.head(branches.pyramid[-1])
        token_logits = self.token_head(branches.tokens[:, 0])
        return Seen(branches, activations, activations.mean((-2, -1)), token_logits)

    def logits(self, images: Tensor) -> Tensor:
        """The sum of both branches' logits; see `Method.logits`."""
        return self.see(images, attends=False).logits

    def losses(self, batch: Batch, *, epoch: float) -> dict[str, Tensor]:
        """The classification loss of the summed logits; attention gets no loss of its own."""
        return {"cls": classification_loss(self.logits(batch.images).float(), batch.present)}

    def maps(self, images: Tensor, present: Tensor | None, *, settings: LocalizeSettings) -> Maps:
        """Fused CAMs, summed over all views; see `Method.maps`."""

        def look(view: Tensor) -> tuple[Tensor, Tensor]:
            seen = self.see(view, attends=self.options.fusion != "none")
            return seen.logits, self.activations(seen)

        return summed_cams(look, images, present, settings=settings, summed="signed", norm=self.options.norm)

    def activations(self, seen: Seen) -> Tensor:
        """(B, C, h, w) CAMs of the CNN branch, fused with the attention of `layers`; any sign."""
        raw = seen.activations.float()
        if self.options.fusion == "none":
            return raw
        attention = torch.stack([matrix.float() for matrix in seen.branches.attention]).sum(0)
        with torch.autocast(raw.device.type, enabled=False):
            return fused(raw, attention, fusion=self.options.fusion)

    def has_idle_parameters(self) -> bool:
        """Every step trains all."""
        return False

    def keep_batch_statistics(self, keep: bool) -> None:
        """See `Method.keep_batch_statistics`; none are kept where they are `learned`."""
        super().keep_batch_statistics(keep and self.options.batch_statistics == "kept")

    def reusable_features(self) -> Conformer:
        """The CNN branch, with its last stage at stride 16."""
        return self.backbone

    def reusable_head(self) -> CamHead:
        """The CAM head of the CNN branch."""
        return CamHead(self.head, "gap")
