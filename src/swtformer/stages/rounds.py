"""Later rounds: a segmentation network makes the maps that the next one's pseudo-masks come from.

A round is a run of its own, in a folder of the first run, whose model is the network of the round before. All
stages from `localize` on work on it as on any run.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from swtformer.engine.training_folder import holds_weights
from swtformer.errors import SettingsError, SwtformerError
from swtformer.review.decisions import add_rejections, rejected_ids
from swtformer.settings import Settings, differing
from swtformer.store.corrections import Corrections, read_corrections, write_corrections
from swtformer.store.files import new_folder, sha256
from swtformer.store.mask_folders import mask_ids
from swtformer.store.models import WEIGHTS, holds_model, own_networks
from swtformer.store.pseudo_masks import version_of
from swtformer.store.run import Run
from swtformer.training.resume import stored
from swtformer.training.same_network import SECTIONS


def begin_round(before: Run, after: Run, *, settings: Settings) -> None:
    """Make the folder of a round, or bring its model up to date.

    Args:
        before: run of the round before, which has trained a segmentation network; its newest is taken.
        after: the round's own run.
        settings: of the run.

    Raises:
        SwtformerError: the round before has no network, or the round was made from another one.
    """
    networks = own_networks(before)
    if not networks:
        raise SwtformerError(
            f"{before.path} has no segmentation network; train one with `swtformer segment`."
        )
    require_current(before, after, settings=settings)
    model = networks[-1].model
    if not _is_from(before, after):
        with new_folder(after.model, replaces=lambda folder: True) as folder:
            shutil.copytree(model, folder, dirs_exist_ok=True)
    for file in (before.classes_file, before.labels_file, before.environment_file):
        own = after.path / file.name
        if file.is_file() and not own.is_file():
            shutil.copyfile(file, own)
    settled = settings.model_copy(update={"data": before.settings().data})
    after.write_settings(stored(settings_of_round(settled, after)))


def settings_of_round(settings: Settings, after: Run) -> Settings:
    """The settings of a round's training: half the epochs, as training continues from the previous
    round's network; on the round's corrected masks if some were carried over when it began.
    """
    trained = Run(after.segmentation)
    masks: Path | None = after.corrected_masks.resolve()
    if holds_weights(trained):
        masks = trained.settings().segment.masks
    elif not after.corrected_masks.is_dir():
        masks = None
    update = {"epochs": -(-settings.segment.epochs // 2), "masks": masks}
    return settings.model_copy(update={"segment": settings.segment.model_copy(update=update)})


def _follow_masks(after: Run) -> None:
    """Let a round's training know where its corrected masks lie now, as they move and are copied with it."""
    trained, own = Run(after.segmentation), after.corrected_masks.resolve()
    settings = trained.settings()
    noted = settings.segment.masks
    if noted not in (None, own) and noted.parts[-2:] == own.parts[-2:] and own.is_dir():
        masks = settings.segment.model_copy(update={"masks": own})
        trained.write_settings(settings.model_copy(update={"segment": masks}))


def require_current(before: Run, after: Run, *, settings: Settings) -> None:
    """Refuse a round that is stale: its network started from an older one, or had other settings.

    The training of a round that was moved or copied is first told where its corrected masks lie now.

    Args:
        before: run of the round before.
        after: run of the round; nothing is refused before its network has a checkpoint.
        settings: of the run.

    Raises:
        SettingsError: it started from another network, or with other settings.
    """
    trained = Run(after.segmentation)
    if not holds_weights(trained):
        return
    _follow_masks(after)
    own = settings_of_round(settings, after).shaping(*SECTIONS)
    changed = differing(trained.settings().shaping(*SECTIONS), own)
    if not changed and _is_from(before, after):
        return
    why = f"with other settings: {', '.join(changed)}" if changed else "from another network"
    raise SettingsError(
        f"{after.path} was made {why}. Remove this folder, or move it elsewhere to keep it, and the same "
        "command makes the round again."
    )


def _is_from(before: Run, after: Run) -> bool:
    """Whether a round's model is the newest network of the round before."""
    networks = own_networks(before)
    if not networks or not holds_model(after.path):
        return False
    return sha256(after.model / WEIGHTS) == sha256(networks[-1].model / WEIGHTS)


def carry_over(before: Run, after: Run) -> None:
    """Keep what people decided about the previous round's masks.

    Corrected masks take the place of the new pseudo-masks, in the folder of corrected masks; what was
    rejected stays rejected.

    Args:
        before: run of the round before.
        after: run of the round, whose pseudo-masks are made.

    Raises:
        SettingsError: masks were corrected in this round, and its pseudo-masks are others now; or masks that
            somebody put there are in the way of corrections.
    """
    ids = set(mask_ids(after.pseudo_masks))
    version = version_of(after.pseudo_masks)
    existing = read_corrections(after.corrected_masks)
    corrections = read_corrections(before.corrected_masks)
    kept = {} if corrections is None else corrections.corrected
    kept = {id: digest for id, digest in kept.items() if id in ids}
    versions, own = {id: kept.get(id, version) for id in ids}, dict[str, str]()
    if existing is not None and existing.version == version:
        own = existing.corrected  # carried over before, or corrected in this round by now
        kept |= own
    elif existing is not None and not existing.corrected.items() <= kept.items():
        raise SettingsError(
            f"{after.corrected_masks} holds corrections of pseudo-masks that have been replaced by others. "
            "Move this folder elsewhere to keep it, and the same command goes on."
        )
    rejected = rejected_ids(before, before.pseudo_masks if corrections is None else before.corrected_masks)
    same = {id for id in rejected & ids if own.get(id, versions[id]) == versions[id]}
    add_rejections(after, {id: versions[id] for id in same})
    if not kept and existing is not None:
        shutil.rmtree(after.corrected_masks)
    if kept == own:
        return
    if existing is None and after.corrected_masks.is_dir():
        raise SettingsError(
            f"{after.corrected_masks} holds masks that `swtformer import` did not make, where corrections of "
            "the round before would go. Move this folder elsewhere, and the same command goes on."
        )
    with new_folder(after.corrected_masks, replaces=_is_of_corrections) as folder:
        for id in sorted(ids):
            source = before.corrected_masks if id in kept else after.pseudo_masks
            if id in own:
                source = after.corrected_masks
            (folder / f"{id}.png").parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / f"{id}.png", folder / f"{id}.png")
        write_corrections(folder, Corrections(base=after.pseudo_masks, corrected=kept, version=version))


def _is_of_corrections(folder: Path) -> bool:
    return read_corrections(folder) is not None
