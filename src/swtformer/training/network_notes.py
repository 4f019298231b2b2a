"""What the training of a segmentation network notes, and what has changed since it started."""

from __future__ import annotations

from pathlib import Path

from swtformer.engine.training_folder import holds_weights
from swtformer.errors import SwtformerError
from swtformer.settings import SegmentSettings
from swtformer.store.corrections import origin
from swtformer.store.files import read_rows
from swtformer.store.notes import PseudoMaskNotes, Shaping, Supervision, network_notes, read_notes
from swtformer.store.run import Run
from swtformer.store.scores import HeldOutScores, read_held_out_scores, write_held_out_scores
from swtformer.training.pairs import Pairs


def changed_masks(trained: Run, pairs: Pairs) -> list[str]:
    """Says whether masks, images or image-level labels have changed since an existing training started."""
    if not holds_weights(trained):
        return []
    notes = network_notes(trained)
    if notes.masks_fingerprint not in (None, pairs.fingerprint):
        return ["masks or images were changed"]
    if notes.present_fingerprint not in (None, pairs.present_fingerprint):
        return ["image-level labels were changed"]
    return []


def known_supervision(trained: Run, pairs: Pairs) -> Supervision:
    """What the masks are; ground truth stays ground truth when it is not named again."""
    is_truth = holds_weights(trained) and network_notes(trained).supervision == "ground_truth"
    return "ground_truth" if is_truth else pairs.supervision


def made_with(run: Run, masks: Path) -> Shaping | None:
    """The settings behind a run's own pseudo-masks; None for other masks."""
    if origin(masks).resolve() != run.pseudo_masks.resolve():
        return None
    notes = read_notes(run.pseudo_masks_file, PseudoMaskNotes)
    return None if notes is None else notes.made_with


def write_validation_score(trained: Run, validation_miou: float | None) -> None:
    """Write scores.json: mIoU against held-out masks, and what these masks are."""
    notes = network_notes(trained)
    scores = HeldOutScores(
        validation_miou,
        masks=str(notes.masks),
        supervision=notes.supervision,
        training_images=notes.training_images,
        validation_images=notes.validation_images,
    )
    write_held_out_scores(trained, scores)


def kept_score(trained: Run, settings: SegmentSettings) -> float | None:
    """Validation mIoU of the weights that are kept, from metrics.csv; None where that was removed."""
    if not trained.metrics_file.is_file():
        scores = read_held_out_scores(trained)
        return None if scores is None else scores.validation_miou
    try:
        rows = read_rows(trained.metrics_file)[1]
        values = [float(row["validation_miou"]) for row in rows if row["validation_miou"]]
    except (KeyError, ValueError) as error:
        raise SwtformerError(
            f"{trained.metrics_file}: expected validation_miou, a number ({error})."
        ) from None
    if not values:
        return None
    return max(values) if settings.keep == "best" else values[-1]
