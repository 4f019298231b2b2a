"""Folders of saved models: where one lies, and what its two files hold, which cannot run code.

Light enough for the command line to look before it imports torch.
"""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from swtformer.errors import CheckpointError, SwtformerError
from swtformer.settings import Section
from swtformer.store.files import read_json, write_json, write_with
from swtformer.store.notes import network_notes
from swtformer.store.run import Run

if TYPE_CHECKING:
    from torch import nn

CONFIG = "config.json"
"""File of a saved model that says what it is."""
WEIGHTS = "model.safetensors"
"""File that holds its tensors."""
MODEL = "model"
"""Key of config.json that only models that make maps have: their settings."""
NETWORK = "network"
"""Key of config.json that only segmentation networks have: their settings."""
LOADERS = {MODEL: "Method.from_pretrained", NETWORK: "SegmentationNetwork.from_pretrained"}
"""What loads a folder, by the key of its settings."""
FORMAT = 1
"""Layout of config.json; a change that older versions of the package would misread raises it."""

SettingsT = TypeVar("SettingsT", bound=Section)

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def holds_model(run: Path) -> bool:
    """Whether a folder with the layout of a run has a finished model."""
    return (run / "model" / CONFIG).is_file()


def finished_networks(run: Run) -> list[Run]:
    """The trainings of a run's segmentation networks that are finished, the newest last.

    They lie in the run's folder `segmentation` and in others whose names start with that, such as
    `segmentation-corrected`. Of a training and its copy, which are equally new, `segmentation` comes last.
    """

    def age(network: Run) -> tuple[str, bool, Path]:
        return network_notes(network).finished or "", network.path == run.segmentation, network.path

    found = [Run(file.parents[1]) for file in run.path.glob(f"{run.segmentation.name}*/model/{CONFIG}")]
    return sorted(found, key=age)


def newest_network(run: Run) -> Run | None:
    """The training of the network that represents a run, its newest; None where none is finished."""
    networks = finished_networks(run)
    return networks[-1] if networks else None


def local_model_folder(source: str | os.PathLike[str]) -> Path | None:
    """The folder on this machine that holds a model.

    Args:
        source: a model folder, a run folder (its `model` folder is meant), or a Hugging Face hub id
            "owner/name". What looks like a path is never taken for an id: one that exists or whose parent
            folder does, or that is not two names with a slash between.

    Returns:
        None where a hub id is meant.

    Raises:
        CheckpointError: there is no such folder, or it holds no model.
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
    if folder.parent.exists() or not _HUB_ID.fullmatch(str(source)):
        raise CheckpointError(f"{folder}: does not exist.{_nearest_folder(folder)}")
    return None


def write_model_folder(
    folder: str | Path, model: nn.Module, *, kind: str, settings: Section, classes: tuple[str, ...]
) -> Path:
    """Write a model's settings, class names and weights.

    Args:
        folder: created where it is missing; its files are replaced atomically.
        model: gives the tensors; its device and mode do not matter.
        kind: key of the settings in config.json: MODEL or NETWORK.
        settings: what it is built from again.
        classes: class names in order.

    Returns:
        The folder.
    """
    from safetensors.torch import save

    folder = Path(folder)
    tensors = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    payload = save(tensors, metadata={"format": "pt"})
    write_with(folder / WEIGHTS, lambda stream: stream.write(payload))
    write_json(
        folder / CONFIG,
        {"format": FORMAT, kind: settings.model_dump(mode="json"), "classes": list(classes)},
    )
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


def saved_settings(
    folder: Path, section: type[SettingsT], *, kind: str, wanted: str
) -> tuple[SettingsT, tuple[str, ...]]:
    """A saved model's settings and class names.

    Args:
        folder: where `write_model_folder` wrote.
        section: of the settings.
        kind: their key in config.json.
        wanted: what a config of this kind is called in messages.

    Raises:
        CheckpointError: config.json is missing, damaged, of another kind, or written by a newer version.
    """
    config, path = saved_config(folder), folder / CONFIG
    try:
        if config["format"] != FORMAT:
            raise CheckpointError(
                f"{path}: has the format {config['format']!r}, this version of swtformer reads the format "
                f"{FORMAT}; update swtformer, or save the {kind} again with this version."
            )
        settings = section.model_validate(config[kind])
        classes = tuple(str(name) for name in config["classes"])
    except KeyError as error:
        other = [loader for key, loader in LOADERS.items() if key in config and key != kind]
        hint = f" It is for {other[0]}." if other else ""
        raise CheckpointError(f"{path}: is not a {wanted}: {error} is missing.{hint}") from None
    except (TypeError, ValidationError) as error:
        raise CheckpointError(f"{path}: is not a {wanted}: {error}") from None
    return settings, classes


def _nearest_folder(folder: Path) -> str:
    """Ask whether a folder beside it was meant whose name is nearly the same."""
    if not folder.parent.is_dir() or not os.access(folder.parent, os.R_OK):
        return ""
    beside = [path.name for path in folder.parent.iterdir() if path.is_dir()]
    close = difflib.get_close_matches(folder.name, beside, n=1)
    return f" Did you mean {str(folder.parent / close[0])!r}?" if close else ""
