"""Tensors of saved models: read from a file and loaded into a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from swtformer.errors import CheckpointError, NonFiniteError
from swtformer.store.files import sha256
from swtformer.store.models import CHECKSUM, CONFIG, WEIGHTS, saved_config


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
    """Load tensors into a model.

    Args:
        model: receives the weights.
        tensors: by name.
        source: the file that they were read from; it must match the SHA-256 in the config.json beside it.
        partly: accept a file that lacks some of the model's tensors (a V1 file for a V2).

    Returns:
        Names of the model's tensors that the file does not hold.

    Raises:
        CheckpointError: a tensor is missing, unknown or of another shape, or the file has changed since it
            was written.
        NonFiniteError: a weight is nan or infinite.
    """
    own = model.state_dict()
    lines = [
        f"{name} is {tuple(tensors[name].shape)} in the file and {tuple(own[name].shape)} in the model"
        for name in own
        if name in tensors and tensors[name].shape != own[name].shape
    ][:5]
    missing = [name for name in own if name not in tensors]
    unknown = [name for name in tensors if name not in own]
    if missing and not partly:
        lines.append(_counted(missing, "missing"))
    if unknown:
        lines.append(_counted(unknown, "unknown"))
    if lines:
        raise CheckpointError(f"{source}: does not fit the model: {'; '.join(lines)}.")
    for name, value in tensors.items():
        if value.is_floating_point() and not value.isfinite().all():
            raise NonFiniteError(f"{source}: the weights {name} are not finite (nan or infinite).")
    _require_checksum(source)
    with torch.no_grad():
        for name, value in tensors.items():
            own[name].copy_(value)
    return missing


def _counted(names: Sequence[str], what: str) -> str:
    if len(names) == 1:
        return f"1 tensor is {what}: {names[0]}"
    return f"{len(names)} tensors are {what}, the first is {names[0]}"


def _require_checksum(file: Path) -> None:
    config = file.with_name(CONFIG)
    noted = saved_config(file.parent).get(CHECKSUM) if config.is_file() else None
    if noted is not None and noted != sha256(file):
        raise CheckpointError(f"{file}: is damaged (its SHA-256 is not the one in {CONFIG}).")
