"""Finding a saved model, here or on the hub, and one clear message for whatever the hub answers.

Credentials are left to huggingface_hub.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Any, Literal

import huggingface_hub
from huggingface_hub import constants
from huggingface_hub.errors import HTTPError, LocalEntryNotFoundError  # type: ignore[attr-defined]

from swtformer.backbones.weights import answers
from swtformer.errors import CheckpointError, SwtformerError
from swtformer.store.models import (
    CARD,
    CONFIG,
    HUB_ID,
    WEIGHTS,
    Kind,
    kind_of,
    local_model_folder,
    newest_network,
)
from swtformer.store.run import Run

Network = Literal["auto", "cam", "segmentation"]
"""Which of a run's two networks; auto is the newest segmentation network if there is one."""

_HELD = {
    "cam": "a model that makes maps (from `swtformer train`)",
    "segmentation": "a segmentation network (from `swtformer segment`)",
}


@dataclass(frozen=True)
class SavedModel:
    """A model on disk.

    Attributes:
        folder: holds config.json and model.safetensors.
        kind: of the model.
        trained: folder of its training, laid out as a run; None if the model folder is not in one.
    """

    folder: Path
    kind: Kind
    trained: Run | None


def find_model(source: str | os.PathLike[str], network: Network = "auto", **download: Any) -> SavedModel:
    """Find a saved model.

    Args:
        source: a run, a model folder, or a hub id "owner/name" (see `local_model_folder`).
        network: which of a run's networks; for other sources, the kind that is expected.
        download: options of `huggingface_hub.snapshot_download`: revision, token and others.

    Raises:
        CheckpointError: there is no such model, or it is of the other kind.
        SwtformerError: the hub cannot be reached or has no such model.
        TypeError: an option is unknown.
    """
    signature(huggingface_hub.snapshot_download).bind(str(source), **download)  # for folders as well
    newest = None if network == "cam" else newest_network(Run(source))
    folder = local_model_folder(source if newest is None else newest.path)
    if folder is None:
        with hub_errors(f"{source}: is not a folder here and cannot be downloaded from the hub"):
            folder = fetch(str(source), **download)
    kind = kind_of(folder)
    if network not in ("auto", kind):
        raise CheckpointError(f"{folder}: holds {_HELD[kind]}, not {_HELD[network]}.")
    trained = Run(folder.parent)
    return SavedModel(folder, kind, trained if trained.settings_file.is_file() else None)


def fetch(name: str, **download: Any) -> Path:
    """Download the model "owner/name" into huggingface_hub's cache; options as for `find_model`."""
    # huggingface_hub itself would wait for minutes.
    is_online = not constants.HF_HUB_OFFLINE and answers(constants.ENDPOINT)
    options = {"allow_patterns": [CONFIG, WEIGHTS, CARD], "local_files_only": not is_online, **download}
    try:
        return Path(huggingface_hub.snapshot_download(name, **options))
    except LocalEntryNotFoundError as error:
        raise error if is_online else OSError(f"{constants.ENDPOINT} cannot be reached") from None


def require_hub_id(name: str) -> None:
    """Check a name before anything is done with it.

    Raises:
        SwtformerError: it is not "owner/name".
    """
    if not HUB_ID.fullmatch(name):
        raise SwtformerError(f"{name!r} is not a hub id: expected owner/name, such as anna/farm-animals.")


@contextmanager
def hub_errors(failure: str) -> Iterator[None]:
    """Turn whatever goes wrong on the way to the hub into one clear message.

    Args:
        failure: what could not be done; starts the message.

    Raises:
        SwtformerError: the hub refuses, or cannot be reached.
    """
    try:
        yield
    except (HTTPError, OSError, ValueError) as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        status = getattr(getattr(error, "response", None), "status_code", None)
        login = " Log in with `hf auth login`, or set HF_TOKEN." if status in (401, 403) else ""
        raise SwtformerError(f"{failure}: {reason}{login}") from None
