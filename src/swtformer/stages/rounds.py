"""Later rounds: a segmentation network makes the maps that the next one's pseudo-masks come from.

A round is a run of its own, in a folder of the first run, whose model is the network of the round before. All
stages from `localize` on work on it as on any run.
"""

from __future__ import annotations

import shutil

from swtformer.errors import SwtformerError
from swtformer.exporters.base import new_folder
from swtformer.review.decisions import add_rejections, rejected_ids
from swtformer.settings import Settings
from swtformer.store.corrections import Corrections, read_corrections, write_corrections
from swtformer.store.files import sha256
from swtformer.store.mask_folders import mask_ids
from swtformer.store.models import WEIGHTS, holds_model, own_networks
from swtformer.store.pseudo_masks import version_of
from swtformer.store.run import Run


def begin_round(before: Run, after: Run, *, settings: Settings) -> None:
    """Make the folder of a round, or bring its model up to date.

    Args:
        before: run of the round before, which has trained a segmentation network; its newest is taken.
        after: the round's own run.
        settings: written into the round's folder.

    Raises:
        SwtformerError: the round before has no network.
    """
    networks = own_networks(before)
    if not networks:
        raise SwtformerError(
            f"{before.path} has no segmentation network; train one with `swtformer segment`."
        )
    model = networks[-1].model
    if not holds_model(after.path) or sha256(after.model / WEIGHTS) != sha256(model / WEIGHTS):
        shutil.rmtree(after.model, ignore_errors=True)
        with new_folder(after.model, replaces=lambda folder: True) as folder:
            shutil.copytree(model, folder, dirs_exist_ok=True)
    for file in (before.classes_file, before.labels_file, before.environment_file):
        if file.is_file():
            shutil.copyfile(file, after.path / file.name)
    after.write_settings(settings)


def carry_over(before: Run, after: Run) -> None:
    """Let what people decided about the masks of the round before hold for those of the next.

    Corrected masks take the place of the new pseudo-masks, in the folder of corrected masks; what was
    rejected, and not corrected, stays rejected.

    Args:
        before: run of the round before.
        after: run of the round, whose pseudo-masks are made.
    """
    ids = mask_ids(after.pseudo_masks)
    corrections = read_corrections(before.corrected_masks)
    rejected = rejected_ids(before, before.pseudo_masks if corrections is None else before.corrected_masks)
    add_rejections(after, rejected.intersection(ids))
    if corrections is None:
        return
    kept = {id: print_ for id, print_ in corrections.corrected.items() if id in ids}
    with new_folder(
        after.corrected_masks, replaces=lambda folder: read_corrections(folder) is not None
    ) as folder:
        for id in ids:
            source = before.corrected_masks if id in kept else after.pseudo_masks
            (folder / f"{id}.png").parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / f"{id}.png", folder / f"{id}.png")
        write_corrections(
            folder,
            Corrections(base=after.pseudo_masks, corrected=kept, version=version_of(after.pseudo_masks)),
        )
