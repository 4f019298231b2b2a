"""Methods: networks that are trained on image-level labels and make maps.

To add one: a file with a `Method` (or `PyramidMethod`) that registers itself, and its test. The contract
tests in tests/methods run over every method that is registered.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from swtformer.errors import SettingsError
from swtformer.methods.base import Batch, CamHead, Maps, Method, TrainingImages
from swtformer.methods.pyramid import Encoding, Localization, PyramidMethod, PyramidSettings
from swtformer.settings import METHODS, ModelSettings, Section

__all__ = [
    "METHODS",
    "Batch",
    "CamHead",
    "Encoding",
    "Localization",
    "Maps",
    "Method",
    "PyramidMethod",
    "PyramidSettings",
    "TrainingImages",
    "create_model",
]


def create_model(
    settings: ModelSettings, classes: tuple[str, ...], options: Section | Mapping[str, Any] | None = None
) -> Method:
    """Build a method with the weights that the settings name.

    Args:
        settings: the model section; `weights` says where the backbone's weights come from.
        classes: class names in order, at least one.
        options: options of the method, its defaults where None.

    Raises:
        SettingsError: no class was given, the method or an option of it is unknown, or the backbone is.
        CheckpointError: the weights file is damaged or made for another network.
    """
    if not classes:
        raise SettingsError("A model needs at least one class; the data set names none.")
    if not isinstance(options, Section):
        options = METHODS.options(settings.method, options or {})
    model: Method = METHODS[settings.method].build(settings, tuple(classes), options)
    # Convolutions, in bf16 above all, run several times faster on this layout (CPU and GPU).
    return model.to(memory_format=torch.channels_last)
