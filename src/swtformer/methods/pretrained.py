"""Models on disk: a folder with config.json and model.safetensors, nothing that can run code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from swtformer.errors import CheckpointError, SwtformerError
from swtformer.methods import Method, create_model
from swtformer.model_folders import CONFIG as CONFIG
from swtformer.model_folders import local_model_folder
from swtformer.run import read_json, write_json, write_with
from swtformer.settings import ModelSettings

WEIGHTS = "model.safetensors"
FORMAT = 1
"""Layout of config.json; a change that older versions of the package would misread raises it."""


def save_pretrained(model: Method, folder: str | Path) -> Path:
    """Write a model's settings, class names and weights.

    Args:
        model: the model; its device and mode do not matter.
        folder: created where it is missing; its files are replaced atomically.

    Returns:
        The folder.
    """
    folder = Path(folder)
    tensors = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    payload = save(tensors, metadata={"format": "pt"})
    write_with(folder / WEIGHTS, lambda stream: stream.write(payload))
    write_json(
        folder / CONFIG,
        {
            "format": FORMAT,
            "model": model.settings.model_dump(mode="json"),
            "classes": list(model.classes),
        },
    )
    return folder


def from_pretrained(source: str | Path) -> Method:
    """Load a model that `save_pretrained` wrote, in eval mode on the CPU.

    Args:
        source: as for `model_folder`.

    Raises:
        CheckpointError: a file is missing, damaged, of a newer version or does not fit its config.
    """
    folder = model_folder(source)
    settings, classes = read_config(folder)
    model = create_model(settings, classes)
    load_weights(model, read_weights(folder / WEIGHTS), source=folder / WEIGHTS)
    return model.eval()


def model_folder(source: str | Path) -> Path:
    """The folder that holds a model.

    Args:
        source: a model folder, a run folder (its `model` folder is meant), or a Hugging Face hub id
            "owner/name", which is downloaded. What looks like a path is never asked for on the hub: one that
            exists or whose parent folder does, or that is no two names with a slash between.

    Raises:
        CheckpointError: there is no such folder, or it holds no model.
        SwtformerError: the hub cannot be asked or knows no such model.
    """
    folder = local_model_folder(source)
    return _downloaded(str(source)) if folder is None else folder


def read_config(folder: Path) -> tuple[ModelSettings, tuple[str, ...]]:
    """A saved model's settings, with `weights` none, and its class names.

    Raises:
        CheckpointError: config.json is missing, damaged, no model's, or written by a newer version.
    """
    path = folder / CONFIG
    try:
        config = read_json(path)
    except SwtformerError as error:
        raise CheckpointError(str(error)) from None
    try:
        if config["format"] != FORMAT:
            raise CheckpointError(
                f"{path}: has the format {config['format']!r}, this version of swtformer reads the format "
                f"{FORMAT}; update swtformer, or save the model anew with this version."
            )
        settings = ModelSettings.model_validate({**config["model"], "weights": "none"})
        classes = tuple(str(name) for name in config["classes"])
    except KeyError as error:
        raise CheckpointError(f"{path}: is no swtformer model config: {error} is missing.") from None
    except (TypeError, ValidationError) as error:
        raise CheckpointError(f"{path}: is no swtformer model config: {error}") from None
    return settings, classes


def read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors of a safetensors file.

    Raises:
        CheckpointError: the file is missing, truncated or no safetensors file.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: does not exist; a model folder holds {CONFIG} and {WEIGHTS}.")
    try:
        return dict(load_file(path))
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path}: is damaged or no safetensors file: {error}") from None


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
        CheckpointError: a tensor is missing, unknown or of another shape.
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


def _downloaded(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=[CONFIG, WEIGHTS], etag_timeout=5))
    except (HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise SwtformerError(
            f"{name}: is no folder here and cannot be downloaded from the hub: {reason}"
        ) from None
