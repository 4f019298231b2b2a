"""What the training of a segmentation network notes in its folder, against what it is asked to go on with."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from swtformer.datasets.records import ImageSet
from swtformer.engine.training_folder import holds_weights
from swtformer.errors import SettingsError
from swtformer.settings import SegmentSettings
from swtformer.store.corrections import origin
from swtformer.store.files import read_json, write_json
from swtformer.store.models import holds_model
from swtformer.store.run import Run
from swtformer.training.pairs import CorrectedPart, Pairs, Supervision
from swtformer.training.same_data import require_same_data, require_unbroken


def note_place(trained: Run, data: ImageSet, masks: Path) -> None:
    """Write down where images and masks lie."""
    trained.update_environment(data=str(data.root.resolve()), masks=str(masks.resolve()))


def changed_conditions(trained: Run, data: ImageSet, options: SegmentSettings) -> list[str]:
    """As `require_unbroken`; image files are compared where the training was given the same images."""
    is_same = trained.environment().get("data_fingerprint") == data.fingerprint()
    if is_same:
        require_same_data(trained, data)
    return require_unbroken(trained, options, section="segment", data=data if is_same else None)


def changed_masks(trained: Run, pairs: Pairs, options: SegmentSettings) -> list[str]:
    """What is otherwise than when a training that is there began, and `options.resume_anyway` lets pass.

    A finished network that was kept past a change is not asked about it again.

    Raises:
        SettingsError: something is, and that is not set.
    """
    facts = trained.environment() if holds_weights(trained) else {}
    changed = []
    if facts.get("masks_fingerprint", pairs.fingerprint) != pairs.fingerprint:
        changed.append("masks or images were changed")
    elif facts.get("present_fingerprint") not in (None, pairs.present_fingerprint):
        changed.append("image-level labels were changed")
    is_known = (facts.get("passed_over") or {}).get("masks") == pairs.fingerprint
    if changed and not options.resume_anyway and not (is_known and holds_model(trained.path)):
        raise SettingsError(
            f"{trained.path}: since this training began, {' and '.join(changed)}. Remove the folder to train "
            "anew, or go on with what it is by --segment.resume_anyway."
        )
    return changed


def known_supervision(trained: Run, pairs: Pairs) -> Supervision:
    """What the masks are; that they are the ground truth is not forgotten when it is not named again."""
    known = trained.environment().get("supervision") if holds_weights(trained) else None
    return "ground_truth" if known == "ground_truth" else pairs.supervision


def made_with(run: Run, masks: Path) -> dict[str, Any] | None:
    """The settings behind a run's own pseudo-masks, by dotted name; None for other masks."""
    if origin(masks).resolve() != run.pseudo_masks.resolve() or not run.pseudo_masks_file.is_file():
        return None
    return dict(read_json(run.pseudo_masks_file)["made_with"])


def write_scores(trained: Run, validation_miou: float | None) -> None:
    """Write what the training measured, beside what it noted."""
    facts = trained.environment()
    names = ("masks", "supervision", "training_images", "validation_images")
    against = {"validation_miou": validation_miou, "against": "held-out masks of the same folder"}
    write_json(trained.scores_file, against | {name: facts[name] for name in names})


def kept_score(trained: Run, settings: SegmentSettings) -> float | None:
    """Validation mIoU of the weights that are kept, from metrics.csv; None where that was removed."""
    if not trained.metrics_file.is_file():
        return read_json(trained.scores_file)["validation_miou"] if trained.scores_file.is_file() else None
    with trained.metrics_file.open(encoding="utf-8", newline="") as stream:
        values = [float(row["validation_miou"]) for row in csv.DictReader(stream) if row["validation_miou"]]
    if not values:
        return None
    return max(values) if settings.keep == "best" else values[-1]


def noted_corrections(facts: Mapping[str, Any]) -> CorrectedPart | None:
    """How much of the masks had been corrected when the training began."""
    part = facts.get("corrections")
    return None if part is None else CorrectedPart(base=Path(part["base"]), count=part["count"])
