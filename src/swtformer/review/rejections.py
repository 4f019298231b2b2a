"""Masks that a training leaves out because they were rejected in the review."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from swtformer.engine.training_folder import holds_weights
from swtformer.review.decisions import rejected_ids
from swtformer.store.corrections import free_folder, origin
from swtformer.store.notes import network_notes
from swtformer.store.run import Run


@dataclass(frozen=True)
class Rejections:
    """What the review says about the masks of a training.

    Attributes:
        ids: of the masks that are left out.
        since: of the masks that were rejected since the training began, and are used all the same.
        readmitted: of the masks that are left out, although they are no longer rejected.
    """

    ids: frozenset[str]
    since: frozenset[str] = frozenset()
    readmitted: frozenset[str] = frozenset()

    def notice(self, run: Run, trained: Run) -> str | None:
        """What has changed since the training began, and the command to retrain; None if nothing has."""
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
    """Which masks a training leaves out: those rejected now, or if it is resumed, when it began.

    Args:
        run: whose review counts; it does not count for masks from elsewhere.
        masks: folder that is trained on.
        trained: folder of the training.
        resume: whether an existing training is resumed.

    Raises:
        SwtformerError: decisions.csv or corrections.json is damaged.
    """
    is_own = origin(masks).resolve() == run.pseudo_masks.resolve()
    now = rejected_ids(run, masks) if is_own else frozenset()
    if not resume or not holds_weights(trained):
        return Rejections(now)
    began = frozenset(network_notes(trained).rejected_ids)
    return Rejections(began, since=now - began, readmitted=began - now)
