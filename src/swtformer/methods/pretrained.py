"""Models on disk: a folder with config.json and model.safetensors, nothing that can run code."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from swtformer.errors import CheckpointError
from swtformer.hub.access import model_folder
from swtformer.methods import Method, create_model
from swtformer.settings import ModelSettings
from swtformer.store.models import CONFIG, MODEL, WEIGHTS, saved_settings, write_model_folder


class ModelConfig(ModelSettings):
    """What a saved model is built from again: the model section, and the method's own options."""

    options: dict[str, Any] = {}  # noqa: RUF012 - pydantic copies defaults
    """Options of the method."""

    def model_settings(self) -> ModelSettings:
        """The model section."""
        return ModelSettings.model_validate(self.model_dump(exclude={"options"}))


def save_pretrained(model: Method, folder: str | Path) -> Path:
    """Write a model's settings, class names and weights; `Method.save_pretrained` adds a model card.

    Args:
        model: the model; its device and mode do not matter.
        folder: created where it is missing; its files are replaced atomically.

    Returns:
        The folder.
    """
    # The weights lie beside the config; where the first ones came from can be a path of this machine.
    values = model.settings.model_dump() | {
        "weights": "none",
        "options": model.options.model_dump(mode="json"),
    }
    config = ModelConfig.model_validate(values)
    return write_model_folder(folder, model, kind=MODEL, settings=config, classes=model.classes)


def from_pretrained(source: str | os.PathLike[str]) -> Method:
    """Load a model that `save_pretrained` wrote, in eval mode on the CPU.

    Args:
        source: as for `model_folder`.

    Raises:
        CheckpointError: a file is missing, damaged, of a newer version or does not fit its config.
        SwtformerError: the hub cannot be asked or knows no such model.
    """
    return load_method(model_folder(source))


def load_method(folder: Path) -> Method:
    """Load the model of a folder with config.json and model.safetensors, in eval mode on the CPU.

    Raises:
        CheckpointError: a file is missing, damaged, of a newer version or does not fit its config.
    """
    config, classes = read_config(folder)
    model = create_model(config.model_settings(), classes, config.options)
    load_weights(model, read_weights(folder / WEIGHTS), source=folder / WEIGHTS)
    return model.eval()


def read_config(folder: Path) -> tuple[ModelConfig, tuple[str, ...]]:
    """What a saved model is built from, and its class names.

    Raises:
        CheckpointError: config.json is missing, damaged, not a model's, or written by a newer version.
    """
    return saved_settings(folder, ModelConfig, kind=MODEL, wanted="swtformer model config")


def read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors of a safetensors file.

    Raises:
        CheckpointError: the file is missing, truncated or not a safetensors file.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: does not exist; a model folder holds {CONFIG} and {WEIGHTS}.")
    try:
        return dict(load_file(path))
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path}: is damaged or not a safetensors file: {error}") from None


def load_weights(
    model: nn.Module, tensors: Mapping[str, Tensor], *, source: Path, partly: bool = False
) -> list[str]:
    """Put tensors into a model.

    Args:
        model: receives the weights.
        tensors: by name.
        source: named in the message.
        partly: accept that the file lacks some of the model's tensors (a V1 file for a V2).

    Returns:
        Names of the model's tensors that the file does not hold.

    Raises:
        CheckpointError: a tensor is missing, unknown or has another shape.
    """
    own: dict[str, Any] = model.state_dict()
    shapes = [
        f"{name} is {tuple(tensors[name].shape)} in the file and {tuple(own[name].shape)} in the model"
        for name in own
        if name in tensors and tensors[name].shape != own[name].shape
    ]
    missing = [name for name in own if name not in tensors]
    unknown = [name for name in tensors if name not in own]
    if shapes or unknown or (missing and not partly):
        lines = shapes[:5]
        if "head.bias" in tensors and tensors["head.bias"].shape != own["head.bias"].shape:
            counts = len(tensors["head.bias"]), len(own["head.bias"])
            lines.insert(0, f"the file was made for {counts[0]} classes, the model has {counts[1]}")
        if missing and not partly:
            lines.append(f"{len(missing)} tensors are missing, the first is {missing[0]}")
        if unknown:
            lines.append(f"{len(unknown)} tensors are unknown, the first is {unknown[0]}")
        raise CheckpointError(f"{source}: does not fit the model: " + "; ".join(lines) + ".")
    with torch.no_grad():
        for name, value in tensors.items():
            own[name].copy_(value)
    return missing
