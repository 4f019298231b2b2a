"""Methods with one class token per class in a plain vision transformer: MCTformer V1, V2 and Plus.

V1 and V2: Xu et al., Multi-class Token Transformer for Weakly Supervised Semantic Segmentation, CVPR 2022,
doi:10.1109/CVPR52688.2022.00427. Plus: Xu et al., MCTformer+: Multi-Class Token Transformer for Weakly
Supervised Semantic Segmentation, TPAMI 2024, arXiv:2308.03005. Where paper and public code differ,
this follows the code: tokens are read without the network's final norm, and maps are scaled by minimum and
maximum.

Departures from the code:

- it drops up to 15 px at the right and lower border and stretches the maps over them; here images are resized
  to whole patches;
- V1 and V2 resize positional embeddings to a grid that is a tenth of a patch too large, and cut it; Plus does
  not, nor is it done here;
- for Plus, positional embeddings of 224 px are repeated 2×2 once for training at 448 px; here they are
  interpolated at every step, at any size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self

import torch
from torch import Tensor, nn

from swtformer.backbones.attentive_vit import AttentiveViT, Tokens
from swtformer.backbones.base import Normalisation
from swtformer.backbones.vit import is_plain
from swtformer.errors import SettingsError
from swtformer.functional.activation import class_logits
from swtformer.functional.attention import class_token_contrast, spread_by_affinity
from swtformer.functional.losses import classification_loss
from swtformer.methods.base import Batch, Maps, Method
from swtformer.methods.summed_views import summed_cams
from swtformer.settings import LocalizeSettings, ModelSettings, Section
from swtformer.settings.numbers import Count, NonNegative


class ClassTokenSettings(Section):
    """Options of every method with class tokens."""

    attention_layers: Count = 3
    """Last layers whose class attention is summed; all where the network has fewer."""
    affinity: Literal["patch", "off"] = "patch"
    """Spread maps by the attention between patches, summed over all layers, or leave them as they are."""
    norm: Literal["minmax", "max"] = "minmax"
    """How each map is scaled to [0, 1]: by its minimum and maximum, or by its maximum."""
    contrast: NonNegative = 0.0
    """Weight of the contrast between class tokens, which Plus has."""
    contrast_layers: Count = 12
    """Last layers whose class tokens are contrasted; all where the network has fewer."""


class PatchCamSettings(ClassTokenSettings):
    """Options of a method with class tokens and a CAM head on the patch tokens."""

    kernel: Literal[3, 1] = 3
    """Kernel size of the CAM head."""
    pooling: Literal["gap", "gmp", "gwrp"] = "gap"
    """Pooling from the head's output to class logits: mean, maximum, or globally weighted rank pooling."""
    fusion: Literal["product", "geometric", "class_attention", "patch_cam"] = "product"
    """Maps: class attention times positive patch CAM, the square root of that, or one of the two alone."""
    cls: NonNegative = 1.0
    """Weight of the classification loss of the class tokens."""
    patch_cls: NonNegative = 1.0
    """Weight of the classification loss of the patch tokens."""


@dataclass(frozen=True)
class Attended:
    """What a transformer with class tokens sees in images.

    Attributes:
        tokens: after the last layer.
        class_attention: (B, C, h, w) attention of class tokens to patches, mean over heads, summed over the
            last layers.
        affinity: (B, hw, hw) attention between patches, mean over heads, summed over all layers; None where
            it is not used.
    """

    tokens: Tokens
    class_attention: Tensor
    affinity: Tensor | None


class ClassTokenMethod(Method):
    """A plain vision transformer with a token per class; the mean over a token's channels is its logit."""

    settings_type = ClassTokenSettings
    loss_names: tuple[str, ...] = ("cls",)
    options: ClassTokenSettings

    def __init__(
        self,
        backbone: AttentiveViT,
        settings: ModelSettings,
        classes: tuple[str, ...],
        options: Section | None = None,
    ) -> None:
        super().__init__(settings, classes, options)
        if self.options.contrast > 0:
            self.loss_names = (*self.loss_names, "contrast")
        self.backbone = backbone
        self.normalisation = Normalisation(backbone.mean, backbone.std)

    @classmethod
    def build(cls, settings: ModelSettings, classes: tuple[str, ...], options: Section | None = None) -> Self:
        """See `Method.build`."""
        backbone = create_attentive(cls.name, settings, class_tokens=len(classes), tokens="raw")
        return cls(backbone, settings, classes, options)

    def logits(self, images: Tensor) -> Tensor:
        """Those of the class tokens; see `Method.logits`."""
        return token_logits(self.tokens(images)[-1])

    def losses(self, batch: Batch, *, epoch: float) -> dict[str, Tensor]:
        """The classification losses, and the contrast of class tokens unless its weight is 0."""
        layers = self.tokens(batch.images)
        losses = self.classification(layers[-1], batch.present)
        if self.options.contrast > 0:
            tokens = torch.stack([each.classes for each in layers[-self.options.contrast_layers :]])
            with torch.autocast(tokens.device.type, enabled=False):
                losses["contrast"] = class_token_contrast(tokens.float(), batch.present)
        return losses

    def loss_weights(self, epoch: float) -> dict[str, float]:
        """See `Method.loss_weights`."""
        return {"contrast": self.options.contrast} if "contrast" in self.loss_names else {}

    def classification(self, last: Tokens, present: Tensor) -> dict[str, Tensor]:
        """The classification loss of the last layer's class tokens."""
        return {"cls": classification_loss(token_logits(last).float(), present)}

    def has_idle_parameters(self) -> bool:
        """See `Method.has_idle_parameters`."""
        return False

    def learning_rate_multipliers(self) -> dict[str, float]:
        """One learning rate for everything, as in the public code."""
        return {"head": 1.0}

    def tokens(self, images: Tensor) -> list[Tokens]:
        """Tokens after each layer of (B, 3, H, W) RGB images, uint8 or floats in [0, 1]."""
        tokens: list[Tokens] = self.backbone(self.normalisation(images))
        return tokens

    def attended(self, images: Tensor) -> Attended:
        """Tokens, class attention and patch affinity; layers are summed one by one, which saves memory.

        Args:
            images: (B, 3, H, W) RGB, uint8 or floats in [0, 1], of at least 32×32 px.
        """
        count, first = len(self.classes), self.backbone.first_patch
        to_patches: list[Tensor] = []
        affinity: Tensor | None = None
        for tokens, heads in self.backbone.attended(self.normalisation(images)):
            attention = heads.mean(1)
            to_patches.append(attention[:, :count, first:].clone())  # not a view, which would keep it all
            if self.options.affinity == "patch":
                own = attention[:, first:, first:]
                affinity = own if affinity is None else affinity + own
            last = tokens
        class_attention = torch.stack(to_patches[-self.options.attention_layers :]).sum(0)
        return Attended(last, class_attention.unflatten(2, last.patches.shape[-2:]), affinity)

    def localized(self, attended: Attended) -> tuple[Tensor, Tensor]:
        """Class logits (B, C) and maps (B, C, h, w), at least 0, before they are spread by affinity."""
        return token_logits(attended.tokens), attended.class_attention

    def maps(self, images: Tensor, present: Tensor | None, *, settings: LocalizeSettings) -> Maps:
        """Sum of all views' maps, each spread by its patch affinity; see `Method.maps`.

        Attention to a patch is of the order of 1 / number of patches. It is multiplied by the number of an
        image's patches at scale 1, so that no small constant of the scaling matters.
        """
        stride = self.backbone.stride_px
        patches = (-(-images.shape[-2] // stride)) * (-(-images.shape[-1] // stride))

        def look(view: Tensor) -> tuple[Tensor, Tensor]:
            attended = self.attended(view)
            logits, maps = self.localized(attended)
            if attended.affinity is not None:
                maps = spread_by_affinity(maps, attended.affinity)
            return logits, maps * patches

        return summed_cams(look, images, present, settings=settings, norm=self.options.norm)


class PatchCamMethod(ClassTokenMethod):
    """Class tokens, and a CAM head on the patch tokens; both are trained to classify."""

    settings_type = PatchCamSettings
    loss_names = ("cls", "patch_cls")
    options: PatchCamSettings

    def __init__(
        self,
        backbone: AttentiveViT,
        settings: ModelSettings,
        classes: tuple[str, ...],
        options: Section | None = None,
    ) -> None:
        super().__init__(backbone, settings, classes, options)
        kernel = self.options.kernel
        self.head = nn.Conv2d(backbone.width, len(classes), kernel, padding=kernel // 2)

    def loss_weights(self, epoch: float) -> dict[str, float]:
        """See `Method.loss_weights`."""
        own = {"cls": self.options.cls, "patch_cls": self.options.patch_cls}
        return {**super().loss_weights(epoch), **own}

    def classification(self, last: Tokens, present: Tensor) -> dict[str, Tensor]:
        """The classification losses of class tokens and of pooled patch CAMs."""
        patches = classification_loss(self.patch_logits(self.head(last.patches)).float(), present)
        return {**super().classification(last, present), "patch_cls": patches}

    def patch_logits(self, activations: Tensor) -> Tensor:
        """(B, C) logits of the CAM head's output (B, C, h, w)."""
        return class_logits(activations, pooling=self.options.pooling)

    def localized(self, attended: Attended) -> tuple[Tensor, Tensor]:
        """Class logits and fused maps; see `ClassTokenMethod.localized`."""
        activations = self.head(attended.tokens.patches)
        logits = self.class_logits(attended.tokens, activations)
        cam, attention = activations.float().relu(), attended.class_attention.float()
        fusion = self.options.fusion
        if fusion == "class_attention":
            return logits, attention
        if fusion == "patch_cam":
            return logits, cam
        product = attention * cam
        return logits, product if fusion == "product" else product.sqrt()

    def class_logits(self, last: Tokens, activations: Tensor) -> Tensor:
        """(B, C) logits that say which classes an image shows: those of the class tokens.

        Args:
            last: tokens of the last layer.
            activations: (B, C, h, w) output of the CAM head.
        """
        return token_logits(last)


def token_logits(last: Tokens) -> Tensor:
    """(B, C) logits: the mean over the channels of each class token."""
    return last.classes.mean(-1)


def create_attentive(
    method: str, settings: ModelSettings, *, class_tokens: int, tokens: Literal["raw", "normalised"]
) -> AttentiveViT:
    """The backbone of a method that needs a plain vision transformer.

    Args:
        method: its name, for messages.
        settings: the model section.
        class_tokens, tokens: see `AttentiveViT`.

    Raises:
        SettingsError: the backbone is no plain vision transformer.
        SwtformerError, CheckpointError: see `AttentiveViT`.
    """
    if not is_plain(settings.backbone):
        raise SettingsError(
            f"The method {method!r} takes a plain vision transformer of timm, such as `model.backbone` "
            f"deit_small_patch16_224, not {settings.backbone!r}."
        )
    return AttentiveViT(
        settings.backbone,
        weights=settings.weights,
        class_tokens=class_tokens,
        tokens=tokens,
        drop_path=settings.drop_path,
        bands=settings.bands,
    )
