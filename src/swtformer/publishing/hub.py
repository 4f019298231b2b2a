"""Models to the Hugging Face hub and back, through huggingface_hub; credentials are its business alone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from swtformer.backbones.weights import PROBE_SECONDS, answers
from swtformer.errors import SwtformerError
from swtformer.model_folders import CONFIG, WEIGHTS
from swtformer.publishing.card import model_card
from swtformer.publishing.saved import Network, SavedModel, find_model
from swtformer.run import write_text, write_with

CARD = "README.md"


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
    source: str | Path,
    name: str,
    *,
    network: Network = "auto",
    private: bool = False,
    license: str | None = None,
    dry_run: Path | None = None,
) -> Publication:
    """Publish a model with a model card written from its run.

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
    _check_name(name)
    saved = find_model(source, network)
    card = model_card(saved, saved.load(), name=name, license=license)
    files = (CARD, CONFIG, WEIGHTS)
    if dry_run is not None:
        _copy(saved.folder / CONFIG, dry_run / CONFIG)
        _copy(saved.folder / WEIGHTS, dry_run / WEIGHTS)
        write_text(dry_run / CARD, card)
        return Publication(str(dry_run), files, saved)
    with _hub_errors(f"{name} cannot be published"):
        from huggingface_hub import CommitOperationAdd, HfApi, constants

        api = HfApi(endpoint=constants.ENDPOINT)
        page = api.create_repo(name, private=private or None, exist_ok=True)
        api.create_commit(
            name,
            operations=[
                CommitOperationAdd(CARD, card.encode()),
                *(CommitOperationAdd(file, str(saved.folder / file)) for file in (CONFIG, WEIGHTS)),
            ],
            commit_message="Publish a swtformer model",
        )
    return Publication(str(page), files, saved)


def pull(name: str, out: Path) -> SavedModel:
    """Fetch a published model into a folder.

    Args:
        name: "owner/name".
        out: folder; its files of the same names are replaced atomically, once all have arrived and the
            config is one that this version reads.

    Raises:
        SwtformerError: the name is none, or the hub cannot be reached or refuses.
        CheckpointError: what is there is no model of this package.
    """
    _check_name(name)
    with _hub_errors(f"{name} cannot be fetched"):
        from huggingface_hub import constants, hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError

        def fetch(file: str) -> Path:
            path = hf_hub_download(
                name,
                file,
                endpoint=constants.ENDPOINT,
                cache_dir=constants.HF_HUB_CACHE,
                etag_timeout=PROBE_SECONDS,
            )
            return Path(path)

        fetched = {file: fetch(file) for file in (CONFIG, WEIGHTS)}
        with suppress(EntryNotFoundError):  # not every publisher writes one
            fetched[CARD] = fetch(CARD)
    find_model(fetched[CONFIG].parent).load()
    for file, path in fetched.items():
        _copy(path, out / file)
    return find_model(out)


def _check_name(name: str) -> None:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise SwtformerError(f"{name!r} is no name on the hub: {error}") from None
    if name.count("/") != 1:
        raise SwtformerError(
            f"{name!r} is no name on the hub: expected owner/name, such as anna/farm-animals."
        )


def _copy(source: Path, target: Path) -> None:
    if source.resolve() == target.resolve():
        return
    with source.open("rb") as stream:
        write_with(target, lambda copy: shutil.copyfileobj(stream, copy))


@contextmanager
def _hub_errors(what: str) -> Iterator[None]:
    """One clear message for whatever the hub or the way to it answers; nothing is tried for long.

    Raises:
        SwtformerError: the hub does not answer within some seconds, or refuses.
    """
    from huggingface_hub import constants
    from huggingface_hub.errors import HfHubHTTPError

    if constants.HF_HUB_OFFLINE or not answers(constants.ENDPOINT):
        raise SwtformerError(f"{what}: {constants.ENDPOINT} cannot be reached from this machine.")
    try:
        yield
    except HfHubHTTPError as error:
        status = getattr(error.response, "status_code", None)
        login = " Log in with `hf auth login`, or set HF_TOKEN." if status in (401, 403) else ""
        raise SwtformerError(f"{what}: {str(error).strip().splitlines()[0]}{login}") from None
    except (OSError, ValueError) as error:
        raise SwtformerError(f"{what}: {str(error).strip().splitlines()[0]}") from None
