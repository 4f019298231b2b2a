"""The way to the hub: names, downloads, and one clear message for whatever goes wrong."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import huggingface_hub
from huggingface_hub import constants
from huggingface_hub.errors import (  # type: ignore[attr-defined]
    HfHubHTTPError,
    HFValidationError,
    HTTPError,  # of the library that this version of huggingface_hub speaks HTTP with
)
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

from swtformer.backbones.weights import PROBE_SECONDS, answers
from swtformer.errors import SwtformerError
from swtformer.hub.card import CARD
from swtformer.store.models import CONFIG, WEIGHTS, local_model_folder


def model_folder(source: str | os.PathLike[str], **options: Any) -> Path:
    """The folder that holds a model.

    Args:
        source: a model folder, a run folder (its `model` folder is meant), or a Hugging Face hub id
            "owner/name", which is downloaded. What looks like a path is never asked for on the hub: one that
            exists or whose parent folder does, or that is no two names with a slash between.
        options: as for `download`.

    Raises:
        CheckpointError: there is no such folder, or it holds no model.
        SwtformerError: the hub cannot be asked or knows no such model.
    """
    folder = local_model_folder(source)
    if folder is not None:
        return folder
    with hub_errors(f"{source}: is no folder here and cannot be downloaded from the hub"):
        return download(str(source), **options)


def download(name: str, **options: Any) -> Path:
    """The folder of huggingface_hub's cache with one commit of a model: its two files, and its card if any.

    Args:
        name: "owner/name".
        options: of `huggingface_hub.snapshot_download`: revision, token, cache_dir, force_download,
            local_files_only.
    """
    return Path(
        huggingface_hub.snapshot_download(
            name, allow_patterns=[CONFIG, WEIGHTS, CARD], etag_timeout=PROBE_SECONDS, **options
        )
    )


def check_name(name: str) -> None:
    """Refuse what is no "owner/name".

    Raises:
        SwtformerError: the hub would not take it.
    """
    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise SwtformerError(f"{name!r} is no name on the hub: {error}") from None
    if name.count("/") != 1:
        raise SwtformerError(
            f"{name!r} is no name on the hub: expected owner/name, such as anna/farm-animals."
        )


def check_reachable(what: str) -> None:
    """Find out within some seconds that there is no way to the hub.

    Args:
        what: cannot be done then; starts the message.

    Raises:
        SwtformerError: the hub does not answer, or huggingface_hub was told to stay offline.
    """
    if constants.HF_HUB_OFFLINE or not answers(constants.ENDPOINT):
        raise SwtformerError(f"{what}: {constants.ENDPOINT} cannot be reached from this machine.")


@contextmanager
def hub_errors(what: str) -> Iterator[None]:
    """One clear message for whatever the hub answers.

    Args:
        what: cannot be done then; starts the message.

    Raises:
        SwtformerError: the hub refuses, or something failed on the way.
    """
    try:
        yield
    except HfHubHTTPError as error:
        status = getattr(error.response, "status_code", None)
        login = " Log in with `hf auth login`, or set HF_TOKEN." if status in (401, 403) else ""
        raise SwtformerError(f"{what}: {_first_line(error)}{login}") from None
    except (HTTPError, OSError, ValueError) as error:
        raise SwtformerError(f"{what}: {_first_line(error)}") from None


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
