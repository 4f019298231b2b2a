"""Folders of saved models: where they are, and how their files are written and read; none can run code.

This module does not import torch, so the command line can check a folder at once.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pydantic import ValidationError

from swtformer.errors import CheckpointError, SettingsError, SwtformerError
from swtformer.settings import ImageSettings, Section, validate
from swtformer.store.files import read_json, write_json, write_with
from swtformer.store.notes import network_notes
from swtformer.store.run import Run

if TYPE_CHECKING:
    from torch import nn

CONFIG = "config.json"
"""File of a saved model: format, settings and class names."""
WEIGHTS = "model.safetensors"
"""File of a saved model: its tensors."""
ONNX = ".onnx"
"""Ending of an exported network, which is a model in one file."""
CARD = "README.md"
"""File of a saved model: the model card, which may be missing."""
CHECKSUM = "sha256"
"""Key of config.json: SHA-256 of the weights' file."""
FORMAT = 1
"""Layout of config.json. Raise it with a change that older versions of the package would misread."""

Kind = Literal["cam", "segmentation"]
"""A model that makes maps, or a segmentation network."""
SETTINGS_OF: dict[Kind, str] = {"cam": "model", "segmentation": "network"}
"""Key of the settings in config.json by kind; a config has one of them."""

SettingsT = TypeVar("SettingsT", bound=Section)

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
"""owner/name on the Hugging Face hub, which checks the rest."""


def holds_model(run: Path) -> bool:
    """Whether a folder with the layout of a run has a finished model."""
    return (run / "model" / CONFIG).is_file()


def finished_networks(run: Run) -> list[Run]:
    """The finished trainings of a run's segmentation networks, those of later rounds included, the newest
    last.
    """
    return _by_age(run, [network for one in (run, *run.rounds()) for network in own_networks(one)])


def own_networks(run: Run) -> list[Run]:
    """The finished trainings of a run's segmentation networks without those of later rounds, the newest last.

    They are the folders in the run whose names start with `segmentation`, such as `segmentation-corrected`.
    """
    found = run.path.glob(f"{run.segmentation.name}*/model/{CONFIG}")
    return _by_age(run, [Run(file.parents[1]) for file in found])


def _by_age(run: Run, networks: list[Run]) -> list[Run]:
    """The newest last. If a training and its copy are equally new, `segmentation` comes last."""

    def age(network: Run) -> tuple[str, bool, Path]:
        return network_notes(network).finished or "", network.path == run.segmentation, network.path

    return sorted(networks, key=age)


def newest_network(run: Run) -> Run | None:
    """The training of a run's newest segmentation network; None if none is finished."""
    networks = finished_networks(run)
    return networks[-1] if networks else None


def local_model_folder(source: str | os.PathLike[str]) -> Path | None:
    """The folder on this machine that holds a model.

    Args:
        source: a model folder, a run folder (its `model` folder is used), or a Hugging Face hub id
            "owner/name". A source is an id only if it has this form and its parent folder does not exist.

    Returns:
        None for a hub id.

    Raises:
        CheckpointError: the folder does not exist, or it holds no model.
    """
    folder = Path(source)
    if holds_model(folder):
        return folder / "model"
    if (folder / CONFIG).is_file():
        return folder
    if folder.exists():
        raise CheckpointError(
            f"{folder}: holds no model ({CONFIG} is missing); name a model folder or a finished run."
        )
    if folder.parent.exists() or not HUB_ID.fullmatch(str(source)):
        raise CheckpointError(f"{folder}: does not exist.{_nearest_folder(folder)}")
    return None


def write_model_folder(
    folder: str | os.PathLike[str],
    model: nn.Module,
    *,
    kind: Kind,
    settings: Section,
    classes: tuple[str, ...],
    images: ImageSettings | None = None,
) -> Path:
    """Write a model's settings, class names and weights.

    Args:
        folder: created if it is missing; its files are replaced atomically.
        model: gives the tensors; its device and mode do not matter.
        kind: of the model.
        settings: what it is rebuilt from.
        classes: class names in order.
        images: how images become the pixels that it takes; the defaults where None.

    Returns:
        The folder.
    """
    from safetensors.torch import save

    folder = Path(folder)
    tensors = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    payload = save(tensors, metadata={"format": "pt"})
    write_with(folder / WEIGHTS, lambda stream: stream.write(payload))
    config = {
        "format": FORMAT,
        SETTINGS_OF[kind]: settings.model_dump(mode="json"),
        "classes": list(classes),
        "images": (images or ImageSettings()).model_dump(mode="json"),
        CHECKSUM: hashlib.sha256(payload).hexdigest(),
    }
    write_json(folder / CONFIG, config)
    return folder


def saved_config(folder: Path) -> dict[str, Any]:
    """A saved model's config.json.

    Raises:
        CheckpointError: it is missing or damaged.
    """
    try:
        config = read_json(folder / CONFIG)
    except SwtformerError as error:
        raise CheckpointError(str(error)) from None
    if not isinstance(config, dict):
        raise CheckpointError(f"{folder / CONFIG}: expected an object, got {type(config).__name__}.")
    return config


def kind_of(folder: Path) -> Kind:
    """Whether a folder holds a model that makes maps or a segmentation network.

    Raises:
        CheckpointError: its config.json is missing or damaged, or was not written by this package.
    """
    config = saved_config(folder)
    for kind, key in SETTINGS_OF.items():
        if key in config:
            return kind
    raise CheckpointError(f"{folder / CONFIG}: is not the config of a swtformer model.")


def saved_settings(
    folder: Path, section: type[SettingsT], *, kind: Kind
) -> tuple[SettingsT, tuple[str, ...]]:
    """A saved model's settings and class names.

    Args:
        folder: where `write_model_folder` wrote.
        section: type of the settings.
        kind: of the model.

    Raises:
        CheckpointError: config.json is missing, damaged, of another kind, or written by a newer version.
    """
    config, path = saved_config(folder), folder / CONFIG
    try:
        if config["format"] != FORMAT:
            raise CheckpointError(
                f"{path}: has the format {config['format']!r}; this version of swtformer reads format "
                f"{FORMAT}. Update swtformer, or save the model again with this version."
            )
        settings = validate(
            section,
            config[SETTINGS_OF[kind]],
            where=f"{path}: holds values that cannot be used",
            section=SETTINGS_OF[kind],
        )
        classes = tuple(str(name) for name in config["classes"])
    except KeyError as error:
        raise CheckpointError(f"{path}: {error} is missing.") from None
    except SettingsError as error:
        raise CheckpointError(str(error)) from None
    except TypeError as error:
        raise CheckpointError(f"{path}: holds values that cannot be used: {error}") from None
    return settings, classes


def saved_images(folder: Path) -> ImageSettings:
    """How images become the pixels that a saved model takes.

    Raises:
        CheckpointError: config.json is missing or damaged.
    """
    try:
        return ImageSettings.model_validate(saved_config(folder).get("images", {}))
    except ValidationError as error:
        raise CheckpointError(f"{folder / CONFIG}: holds values that cannot be used: {error}") from None


def _nearest_folder(folder: Path) -> str:
    """A question whether a neighbouring folder with nearly the same name was meant."""
    if not folder.parent.is_dir() or not os.access(folder.parent, os.R_OK):
        return ""
    beside = [path.name for path in folder.parent.iterdir() if path.is_dir()]
    close = difflib.get_close_matches(folder.name, beside, n=1)
    return f" Did you mean {str(folder.parent / close[0])!r}?" if close else ""
