"""Methods: networks that map images and labels to logits and named maps, and know their losses."""

from __future__ import annotations

import torch

from swtformer.backbones import create_backbone
from swtformer.errors import SettingsError
from swtformer.methods.base import Encoding, Localization, Method
from swtformer.methods.classifier import Classifier
from swtformer.methods.swtformer import SWTformer
from swtformer.settings import ModelSettings

__all__ = ["METHODS", "Encoding", "Localization", "Method", "create_model"]

METHODS: dict[str, type[Method]] = {"swtformer_v1": Classifier, "swtformer_v2": SWTformer}
"""Every method by the name that settings give it; add one file and one entry."""


def create_model(settings: ModelSettings, classes: tuple[str, ...]) -> Method:
    """Build a method on its backbone.

    Args:
        settings: the model section; `weights` says where the backbone's weights come from.
        classes: class names in order, at least one.

    Raises:
        SettingsError: no class was given, or the backbone is unknown.
        CheckpointError: the weights file is damaged or made for another network.
    """
    if not classes:
        raise SettingsError("A model needs at least one class; the data set names none.")
    backbone = create_backbone(settings.backbone, weights=settings.weights, drop_path=settings.drop_path)
    model = METHODS[settings.method](backbone, settings, tuple(classes))
    # Convolutions, in bf16 above all, run several times faster on this layout (CPU and GPU).
    return model.to(memory_format=torch.channels_last)
