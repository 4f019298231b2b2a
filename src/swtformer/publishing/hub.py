"""Models to the Hugging Face hub and back: what `swtformer push` and `swtformer pull` do."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from huggingface_hub import constants

from swtformer.errors import CheckpointError
from swtformer.hub.access import Network, SavedModel, fetch, find_model, hub_errors, require_hub_id
from swtformer.hub.card import card_text
from swtformer.segmentation.pretrained import load_model
from swtformer.store.files import atomic_file, write_text
from swtformer.store.models import CARD, CONFIG, WEIGHTS


def push(
    source: str | os.PathLike[str],
    name: str,
    *,
    network: Network = "auto",
    private: bool = False,
    license: str | None = None,
    dry_run: str | os.PathLike[str] | None = None,
) -> str:
    """Publish a saved model as config.json, model.safetensors and a model card written from its run.

    Args:
        source: a run, the folder of a saved model, or a hub id.
        name: "owner/name"; created on the hub if it is missing.
        network: which of a run's networks; for other sources, the kind that is expected.
        private: make a new repository private.
        license: identifier of the weights' licence.
        dry_run: write the files into this folder instead; the network is not used.

    Returns:
        Address of the model's page, or the folder of a dry run.

    Raises:
        SwtformerError: `name` is not a hub id, or the hub cannot be reached or refuses.
        CheckpointError: there is no such model, or it is damaged.
    """
    require_hub_id(name)
    saved = find_model(source, network)
    model = load_model(saved)
    about: dict[str, Any] = {"license": license, "run": saved.trained}
    if dry_run is not None:
        write_text(Path(dry_run) / CARD, card_text(model, name=name, **about))
        return str(model.write(dry_run))
    model.push_to_hub(name, private=private or None, **about)
    return f"{constants.ENDPOINT}/{name}"


def pull(name: str, out: str | os.PathLike[str]) -> SavedModel:
    """Fetch a published model into a folder.

    Args:
        name: "owner/name".
        out: folder; its files of the same names are replaced atomically, after the model was loaded once.

    Raises:
        SwtformerError: `name` is not a hub id, or the hub cannot be reached or refuses.
        CheckpointError: the repository does not hold a model of this package.
    """
    require_hub_id(name)
    with hub_errors(f"{name} cannot be fetched"):
        fetched = fetch(name)
    if not (fetched / CONFIG).is_file():
        raise CheckpointError(f"{name}: holds no model ({CONFIG} is missing).")
    load_model(find_model(fetched))
    for file in (WEIGHTS, CONFIG, CARD):
        if (fetched / file).is_file():  # the card may be missing
            with atomic_file(Path(out) / file) as stream:
                stream.write((fetched / file).read_bytes())
    return find_model(out)
