"""Models to the Hugging Face hub and back: what `swtformer push` and `swtformer pull` do."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import constants

from swtformer.errors import CheckpointError
from swtformer.hub.access import check_name, check_reachable, download, hub_errors
from swtformer.hub.card import CARD
from swtformer.publishing.saved import Network, SavedModel, find_model
from swtformer.store.files import write_text, write_with
from swtformer.store.models import CONFIG, WEIGHTS


@dataclass(frozen=True)
class Publication:
    """What was published.

    Attributes:
        place: address of the model's page, or the folder of a dry run.
        files: names of the files there.
        saved: the model.
    """

    place: str
    files: tuple[str, ...]
    saved: SavedModel


def push(
    source: str | os.PathLike[str],
    name: str,
    *,
    network: Network = "auto",
    private: bool = False,
    license: str | None = None,
    dry_run: str | os.PathLike[str] | None = None,
) -> Publication:
    """Publish a saved model by its `push_to_hub`, with a model card written from its run.

    Args:
        source: as for `find_model`.
        name: "owner/name"; made on the hub where it is missing.
        network: which of a run's networks.
        private: make a new repository private.
        license: identifier of the weights' licence.
        dry_run: write the files into this folder instead; the network is not touched.

    Raises:
        SwtformerError: the name is none, or the hub cannot be reached or refuses.
        CheckpointError: there is no such model, or it is damaged.
    """
    check_name(name)
    saved = find_model(source, network)
    model = saved.load()
    run = None if saved.trained is None else saved.trained.path
    files = (CARD, CONFIG, WEIGHTS)
    if dry_run is not None:
        folder = Path(dry_run)
        write_text(folder / CARD, str(model.generate_model_card(name=name, license=license, run=run)))
        model.save_pretrained(folder)
        return Publication(str(folder), files, saved)
    model.push_to_hub(name, private=private or None, model_card_kwargs={"license": license, "run": run})
    return Publication(f"{constants.ENDPOINT}/{name}", files, saved)


def pull(name: str, out: str | os.PathLike[str]) -> SavedModel:
    """Fetch a published model into a folder.

    Args:
        name: "owner/name".
        out: folder; its files of the same names are replaced atomically, once all have arrived and the
            model could be loaded.

    Raises:
        SwtformerError: the name is none, or the hub cannot be reached or refuses.
        CheckpointError: what is there is no model of this package.
    """
    check_name(name)
    what = f"{name} cannot be fetched"
    check_reachable(what)
    with hub_errors(what):
        fetched = download(name)
    if not (fetched / CONFIG).is_file():
        raise CheckpointError(f"{name}: holds no model ({CONFIG} is missing).")
    find_model(fetched).load()
    folder = Path(out)
    for file in (WEIGHTS, CONFIG, CARD):
        if (fetched / file).is_file():  # not every publisher writes a card
            _copy(fetched / file, folder / file)
    return find_model(folder)


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as stream:
        write_with(target, lambda copy: shutil.copyfileobj(stream, copy))
