"""The contract of a method: a network that maps images and their labels to logits and named maps."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn

from swtformer.backbones.base import Backbone, Normalisation
from swtformer.errors import CheckpointError
from swtformer.functional.activation import class_logits
from swtformer.hub.card import Subject
from swtformer.hub.model import HubModel
from swtformer.settings import LossSettings, ModelSettings


@dataclass(frozen=True)
class Encoding:
    """What the backbone and the CAM head make of images, before any label is used.

    Attributes:
        pyramid: four (B, Dk, hk, wk) feature maps at strides of about 4, 8, 16 and 32.
        activations: (B, C, h, w) raw output of the CAM head on the last grid.
        logits: (B, C) class logits.
    """

    pyramid: tuple[Tensor, ...]
    activations: Tensor
    logits: Tensor


@dataclass(frozen=True)
class Localization:
    """Maps of a batch on one grid; index 0 is background, absent classes are 0.

    Attributes:
        cam: (B, C+1, h, w) in [0, 1], the class activation maps.
        refined: (B, C+1, h, w) in [0, 1), the R-CAMs; None where the method makes none.
        similarities: (B, C+1, h, w) in [0, 1], the R-CAMs before scaling, which several views can be summed
            from; None where `refined` is.
        seeds: (B, C+1, h', w') one-hot seeds that the prototypes came from; None where `refined` is.
    """

    cam: Tensor
    refined: Tensor | None = None
    similarities: Tensor | None = None
    seeds: Tensor | None = None


class Method(nn.Module, HubModel):
    """A backbone with a CAM head; subclasses say how maps are made and what is trained.

    `Method.from_pretrained` builds the method that config.json names.

    Attributes:
        settings: the model section that it was built from.
        classes: class names in order; channel k+1 of a map is class k.
    """

    def __init__(self, backbone: Backbone, settings: ModelSettings, classes: tuple[str, ...]) -> None:
        super().__init__()
        self.settings = settings
        self.classes = classes
        self.backbone = backbone
        self.head = nn.Conv2d(
            backbone.channels[-1], len(classes), settings.kernel, padding=settings.kernel // 2
        )
        nn.init.trunc_normal_(self.head.weight, std=0.02)
        assert self.head.bias is not None
        nn.init.zeros_(self.head.bias)
        self.normalisation = Normalisation(backbone.mean, backbone.std)

    def encode(self, images: Tensor) -> Encoding:
        """Features, raw class activations and logits.

        Args:
            images: (B, 3, H, W) RGB, uint8 or floats in [0, 1]; the backbone's own mean and
                standard deviation are applied here. H and W are at least 32.
        """
        normalised = self.normalisation(images)
        pyramid = tuple(self.backbone(normalised.contiguous(memory_format=torch.channels_last)))
        activations = self.head(pyramid[-1])
        return Encoding(pyramid, activations, class_logits(activations, pooling=self.settings.pooling))

    def forward(self, images: Tensor, present: Tensor) -> tuple[Tensor, Localization]:
        """Logits (B, C) and maps of images (B, 3, H, W) with labels `present` (B, C)."""
        encoding = self.encode(images)
        return encoding.logits, self.localize(encoding, present)

    @abstractmethod
    def localize(self, encoding: Encoding, present: Tensor, *, maps: Tensor | None = None) -> Localization:
        """Make the method's maps.

        Args:
            encoding: of the images.
            present: (B, C) 0/1 image-level labels.
            maps: (B, C, h, w) normalised foreground maps in [0, 1] to use in place of the encoding's own,
                such as maps summed over several views.
        """

    @abstractmethod
    def losses(
        self, encoding: Encoding, present: Tensor, *, settings: LossSettings, valid: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Unweighted losses by name ("cls", …), each a scalar; weights are the trainer's.

        Args:
            encoding: of the images.
            present: (B, C) 0/1 image-level labels.
            settings: readings of the losses; losses of weight 0 may be left out.
            valid: (B, 1, H, W) 0/1, 0 on padded pixels of the crop.
        """

    def new_modules(self) -> dict[str, nn.Module]:
        """Modules that start untrained, by learning-rate group ("head", "fusion")."""
        return {"head": self.head}

    @classmethod
    def _load(cls, folder: Path) -> Self:
        # Imported late: it builds subclasses of this class.
        from swtformer.methods.pretrained import load_method

        model = load_method(folder)
        if not isinstance(model, cls):
            raise CheckpointError(
                f"{folder}: holds the method {type(model).__name__}, no {cls.__name__}; "
                "Method.from_pretrained loads every method."
            )
        return model

    def _save_pretrained(self, save_directory: Path) -> None:
        from swtformer.methods.pretrained import save_pretrained

        save_pretrained(self, save_directory)

    def _card_subject(self) -> Subject:
        refined = " and refined maps" if "fusion" in self.new_modules() else ""
        return Subject(
            "cam",
            f"Says which of {len(self.classes)} classes a photograph shows and makes class activation "
            f"maps{refined} that say where. Trained on image-level labels alone. "
            f"Method `{self.settings.method}` on `{self.settings.backbone}`.",
            classes=self.classes,
            parameters=sum(parameter.numel() for parameter in self.parameters()),
        )
