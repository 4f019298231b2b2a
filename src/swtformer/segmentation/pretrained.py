"""Segmentation networks on disk: a folder with config.json and model.safetensors, no code in either."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError
from safetensors.torch import save

from swtformer.errors import CheckpointError, SwtformerError
from swtformer.methods.pretrained import CONFIG, FORMAT, WEIGHTS, load_weights, read_weights
from swtformer.run import read_json, write_json, write_with
from swtformer.segmentation.encoders import create_encoder
from swtformer.segmentation.network import NetworkSettings, SegmentationNetwork, assemble

NETWORK = "network"
"""Key of config.json that only segmentation networks have."""


def save_network(network: SegmentationNetwork, folder: str | Path) -> Path:
    """Write a network's settings, class names and weights.

    Args:
        network: the network; its device and mode do not matter.
        folder: created where it is missing; its files are replaced atomically.

    Returns:
        The folder.
    """
    folder = Path(folder)
    tensors = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    payload = save(tensors, metadata={"format": "pt"})
    write_with(folder / WEIGHTS, lambda stream: stream.write(payload))
    write_json(
        folder / CONFIG,
        {
            "format": FORMAT,
            NETWORK: network.settings.model_dump(mode="json"),
            "classes": list(network.classes),
        },
    )
    return folder


def is_network(folder: Path) -> bool:
    """Whether a folder holds a segmentation network, rather than a model that makes maps.

    Raises:
        CheckpointError: its config.json is missing or damaged.
    """
    return NETWORK in _config(folder)


def load_network(folder: str | Path) -> SegmentationNetwork:
    """Load a network that `save_network` wrote, in eval mode on the CPU.

    Args:
        folder: with config.json and model.safetensors.

    Raises:
        CheckpointError: a file is missing, damaged, of a newer version or does not fit its config.
        SwtformerError: segmentation-models-pytorch is not installed.
    """
    folder = Path(folder)
    config = _config(folder)
    try:
        if config["format"] != FORMAT:
            raise CheckpointError(
                f"{folder / CONFIG}: has the format {config['format']!r}, this version of swtformer reads "
                f"{FORMAT}; update swtformer, or save the network anew with this version."
            )
        settings = NetworkSettings.model_validate(config[NETWORK])
        classes = tuple(str(name) for name in config["classes"])
    except KeyError as error:
        raise CheckpointError(f"{folder / CONFIG}: is no segmentation network: {error} is missing.") from None
    except (TypeError, ValidationError) as error:
        raise CheckpointError(f"{folder / CONFIG}: is no segmentation network: {error}") from None
    tensors = read_weights(folder / WEIGHTS)
    made_for = len(tensors["head.bias"]) - 1 if "head.bias" in tensors else len(classes)
    if made_for != len(classes):
        raise CheckpointError(
            f"{folder / WEIGHTS}: was made for {made_for} classes, {CONFIG} beside it names {len(classes)}."
        )
    encoder = create_encoder(
        settings.encoder,
        family=settings.family,
        weights="none",
        dilated=settings.decoder == "deeplabv3plus",
    )
    network = assemble(settings, encoder, classes)
    load_weights(network, tensors, source=folder / WEIGHTS)
    return network.eval()


def _config(folder: Path) -> dict[str, Any]:
    try:
        config = read_json(folder / CONFIG)
    except SwtformerError as error:
        raise CheckpointError(str(error)) from None
    if not isinstance(config, dict):
        raise CheckpointError(f"{folder / CONFIG}: expected an object, got {type(config).__name__}.")
    return config
