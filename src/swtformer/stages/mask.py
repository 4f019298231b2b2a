"""Make label images from a run's maps; the network is not needed, so thresholds can change at no cost."""

from __future__ import annotations

from dataclasses import dataclass

from swtformer.errors import SwtformerError
from swtformer.in_order import in_order
from swtformer.labelling.mask_rule import ids_with_maps, label_image, mask_rule, without_maps
from swtformer.labelling.start_maps import require_source
from swtformer.progress import Progress, shown
from swtformer.progress_view import shows_progress
from swtformer.settings import MaskSettings
from swtformer.short_repr import ShortRepr
from swtformer.store.failures import Failure, write_failures
from swtformer.store.masks import MaskRule, remove_other_masks, write_mask, write_rule
from swtformer.store.notes import map_notes
from swtformer.store.refined_maps import load_current
from swtformer.store.run import Run
from swtformer.store.sole_writer import sole_maker


@dataclass(frozen=True, repr=False)
class MaskResult(ShortRepr):
    """Outcome of `mask`.

    Attributes:
        rule: how the masks were made.
        done: number of masks written.
        failures: images whose maps are missing or could not be used.
    """

    rule: MaskRule
    done: int
    failures: tuple[Failure, ...]


@shows_progress
@sole_maker
def mask(run: Run, *, settings: MaskSettings | None = None, progress: Progress = shown) -> MaskResult:
    """Write masks/<id>.png for every image that has maps, and masks.json with the rule that made them.

    Images without a present class become all background. With the label_free policy one threshold is chosen
    from the maps of all images together (`functional.thresholds.label_free_threshold`). Every call makes all
    masks again and removes those of images without maps; masks.json exists only while all masks follow it.

    Args:
        run: a run with maps.
        settings: source, policy and threshold; those of the run where None.
        progress: called for every image.

    Raises:
        SettingsError: CAMs are wanted where there is no background.
        SwtformerError: the run has no settings.yaml or maps.json, no usable maps, or none of the wanted
            source.
    """
    settings = run.settings().mask if settings is None else settings
    require_source(settings.source, run.settings().data.background)
    ids = ids_with_maps(run)
    rule = mask_rule(run, ids, settings)
    run.masks_file.unlink(missing_ok=True)
    remove_other_masks(run.masks, ids)

    made_by = map_notes(run).made_by

    def make(id: str) -> Failure | None:
        try:
            labels = label_image(load_current(run, id, made_by=made_by), rule)
        except SwtformerError as error:
            run.mask_file(id).unlink(missing_ok=True)
            return Failure(id, "mask", str(run.map_file(id)), str(error))
        write_mask(run.mask_file(id), labels.numpy())
        return None

    failures = [failure for failure in in_order("mask", make, ids, progress) if failure is not None]
    done = len(ids) - len(failures)
    failures += without_maps(run, "mask")
    write_failures(run, "mask", failures)
    write_rule(run, rule, images=done)
    return MaskResult(rule, done, tuple(failures))
