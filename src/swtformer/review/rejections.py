"""Masks that a training leaves out because the review rejected them; a training keeps those of its start."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from swtformer.engine.training_folder import holds_weights
from swtformer.review.decisions import rejected_corrections, rejected_ids
from swtformer.store.corrections import free_folder, origin, read_corrections
from swtformer.store.notes import network_notes
from swtformer.store.pseudo_masks import making_of
from swtformer.store.run import Run


@dataclass(frozen=True)
class Rejections:
    """What the review says about the masks of a training.

    Attributes:
        ids: of the masks that are left out.
        since: of the masks that were rejected after the training began, which goes on with them.
        readmitted: of the masks that are left out, though the review rejects them no more.
    """

    ids: frozenset[str]
    since: frozenset[str] = frozenset()
    readmitted: frozenset[str] = frozenset()

    def notice(self, run: Run, trained: Run) -> str | None:
        """What to tell the user, and the command of a training that follows the review; None for nothing."""
        said = [f"{len(self.since)} masks were rejected since the training began"] if self.since else []
        if self.readmitted:
            said.append(f"{len(self.readmitted)} masks that it leaves out are no longer rejected")
        if not said:
            return None
        out = free_folder(run, "reviewed")
        words = ["swtformer", "segment", str(run.path), "--config", str(trained.settings_file)]
        command = shlex.join([*words, "--out", str(out)])
        return f"{' and '.join(said)}; to train by the review as it is now: {command}"


def rejections(run: Run, masks: Path, trained: Run, *, resume: bool) -> Rejections:
    """Which masks a training leaves out.

    Decisions hold for the making of the pseudo-masks that was looked at, and for corrected masks of that
    making as far as nobody corrected them; about what was corrected, the review of the corrected masks
    decides. Of other folders, nothing is rejected.

    Args:
        run: whose review it is.
        masks: folder that is trained on.
        trained: folder of the training.
        resume: whether a training that is there goes on.

    Raises:
        SwtformerError: decisions.csv or corrections.json is damaged.
    """
    now = _rejected(run, masks)
    began = frozenset(network_notes(trained).rejected_ids) if resume and holds_weights(trained) else None
    if began is None:
        return Rejections(now)
    there = frozenset(id for id in now ^ began if (masks / f"{id}.png").is_file())
    return Rejections(began, since=there & now, readmitted=there & began)


def _rejected(run: Run, masks: Path) -> frozenset[str]:
    """Ids of the masks of a folder that the review rejects now."""
    if origin(masks).resolve() != run.pseudo_masks.resolve():
        return frozenset()
    corrections = read_corrections(masks)
    # Imports did not always note the making that they were made for.
    making = making_of(masks) or making_of(run.pseudo_masks)
    rejected = rejected_ids(run, making)
    if corrections is None:
        return rejected
    return rejected.difference(corrections.corrected) | rejected_corrections(run, corrections.stamps)
