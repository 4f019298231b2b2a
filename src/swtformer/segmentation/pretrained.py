"""Segmentation networks on disk: a folder with config.json and model.safetensors, no code in either."""

from __future__ import annotations

import os
from pathlib import Path

from swtformer.errors import CheckpointError
from swtformer.hub.access import model_folder
from swtformer.methods.pretrained import load_weights, read_weights
from swtformer.segmentation.encoders import bare_encoder
from swtformer.segmentation.network import NetworkSettings, SegmentationNetwork, assemble
from swtformer.store.models import (
    CONFIG,
    NETWORK,
    WEIGHTS,
    newest_network,
    saved_config,
    saved_settings,
    write_model_folder,
)
from swtformer.store.run import Run


def save_network(network: SegmentationNetwork, folder: str | Path) -> Path:
    """Write a network's settings, class names and weights; `SegmentationNetwork.save_pretrained` adds a card.

    Args:
        network: the network; its device and mode do not matter.
        folder: created where it is missing; its files are replaced atomically.

    Returns:
        The folder.
    """
    return write_model_folder(
        folder, network, kind=NETWORK, settings=network.settings, classes=network.classes
    )


def is_network(folder: Path) -> bool:
    """Whether a folder holds a segmentation network, rather than a model that makes maps.

    Raises:
        CheckpointError: its config.json is missing or damaged.
    """
    return NETWORK in saved_config(folder)


def load_network(source: str | os.PathLike[str]) -> SegmentationNetwork:
    """Load a network that `save_network` wrote, in eval mode on the CPU.

    Args:
        source: a run (its newest segmentation network is meant), the folder of a training or of a saved
            network, or a hub id "owner/name".

    Raises:
        CheckpointError: there is no such network, or a file of it is missing, damaged, of a newer version or
            does not fit its config.
        SwtformerError: segmentation-models-pytorch is not installed, or the hub cannot be asked or knows no
            such model.
    """
    newest = newest_network(Run(source))
    folder = model_folder(source if newest is None else newest.path)
    settings, classes = saved_settings(folder, NetworkSettings, kind=NETWORK, wanted="segmentation network")
    tensors = read_weights(folder / WEIGHTS)
    made_for = len(tensors["head.bias"]) - 1 if "head.bias" in tensors else len(classes)
    if made_for != len(classes):
        raise CheckpointError(
            f"{folder / WEIGHTS}: was made for {made_for} classes, {CONFIG} beside it names {len(classes)}."
        )
    encoder = bare_encoder(
        settings.encoder, family=settings.family, dilated=settings.decoder == "deeplabv3plus"
    )
    network = assemble(settings, encoder, classes)
    load_weights(network, tensors, source=folder / WEIGHTS)
    return network.eval()
