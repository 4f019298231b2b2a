"""Make masks to train on from a run's maps: 255 where the evidence is weak, and a queue for review."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from swtformer.errors import SettingsError, SwtformerError
from swtformer.functional.pseudo_labels import (
    STEPS,
    Evidence,
    agreement,
    certainty,
    evidence,
    labels_by_margin,
    labels_by_thresholds,
    margin_histogram,
    margins_to_keep,
    support,
)
from swtformer.in_order import in_order
from swtformer.label_values import IGNORED
from swtformer.labelling.mask_rule import ids_with_maps, without_maps
from swtformer.labelling.start_maps import all_channels, label_free_power, source_of
from swtformer.progress import Progress, shown
from swtformer.progress_view import shows_progress
from swtformer.settings import REFINERS, PseudoLabelSettings, shaping
from swtformer.short_repr import ShortRepr
from swtformer.store.failures import Failure, write_failures
from swtformer.store.files import digest
from swtformer.store.maps import Source
from swtformer.store.masks import remove_other_masks, write_mask
from swtformer.store.notes import (
    DataNotes,
    MapNotes,
    PseudoMaskNotes,
    RefinedNotes,
    map_notes,
    read_notes,
    write_notes,
)
from swtformer.store.refined_maps import load_current, refined_notes, require_refined_from_maps
from swtformer.store.review_queue import Review, read_reviews, write_reviews
from swtformer.store.run import RefinedRun, Run
from swtformer.store.sole_writer import sole_maker


@dataclass(frozen=True, repr=False)
class PseudoLabelResult(ShortRepr):
    """Outcome of `pseudo_label`.

    Attributes:
        source: "refined" for the maps that `refine` made, "maps" for those of `localize`.
        done: number of masks written.
        unrefined: number of images with maps and without refined maps; they get no pseudo-mask.
        undecided: mean part of the pixels that are 255.
        reviews: every mask, the least sure first.
        failures: images whose maps are missing or could not be used.
    """

    source: Literal["refined", "maps"]
    done: int
    unrefined: int
    undecided: float
    reviews: tuple[Review, ...]
    failures: tuple[Failure, ...]


@dataclass(frozen=True)
class _Maps:
    """The maps that masks are made from.

    Attributes:
        run: where they lie.
        ids: images that have maps.
        source: which maps of a file.
        power: of the background behind CAMs.
        made_by: fingerprint that all of them must carry.
        judge: maps of the same images that say how sure the labels are; None where these maps say it.
    """

    run: Run
    ids: list[str]
    source: Source
    power: float
    made_by: str
    judge: _Maps | None = None

    def evidence(self, id: str) -> tuple[Evidence, Tensor]:
        """Evidence for the best labels of an image, and the (K,) labels of its classes.

        Raises:
            SwtformerError: its maps are damaged or stale.
        """
        maps, values, size = self._load(id)
        pixels = evidence(maps, values, size)
        if self.judge is not None:
            pixels = support(pixels.labels, *self.judge._load(id))
        return pixels, values

    def _load(self, id: str) -> tuple[Tensor, Tensor, tuple[int, int]]:
        """(K+1, h, w) maps of an image, the (K,) labels of its classes, and its size."""
        maps = load_current(self.run, id, made_by=self.made_by)
        values = torch.from_numpy(maps.values).long()
        return all_channels(maps, self.source, power=self.power), values, maps.size


@shows_progress
@sole_maker
def pseudo_label(
    run: Run, *, settings: PseudoLabelSettings | None = None, progress: Progress = shown
) -> PseudoLabelResult:
    """Write pseudo_masks/<id>.png, pseudo_masks.json, and review.csv with the least sure image first.

    Ground truth is never used. Every call makes all masks again and removes those of images without maps;
    pseudo_masks.json and review.csv exist only while all masks follow the same rule. An image without a
    present class is all background.

    Refined maps give each pixel its label, and their shares say how sure that is. Some refiners leave nearly
    every pixel near 0 or 1 (`Refiner.tells_how_sure`). For these, the maps before refinement say how sure a
    label is: by their share for it less their best other share, at the image's size. That margin is negative
    where they prefer another label; the pixel then becomes 255, unless the keep rule needs it.

    An image's confidence is the mean of two figures in [0, 1]. Certainty is the mean margin (best share less
    second share, at least 0) of each label's pixels, averaged over the background and the image's classes; a
    class that wins no pixel counts with 0. Agreement is the mean IoU between the best labels before and after
    refinement: where they differ, one of them is wrong. Without refinement, confidence is certainty.

    Args:
        run: a run with maps, refined or not.
        settings: those of the run where None.
        progress: called for every image.

    Raises:
        SettingsError: the low threshold is above the high one.
        SwtformerError: the run has no usable maps, none of the wanted source, or its refined maps are stale.
    """
    settings = run.settings().pseudo_label if settings is None else settings
    if settings.low > settings.high:
        raise SettingsError(
            f"pseudo_label.low ({settings.low:g}) must not be above pseudo_label.high ({settings.high:g})."
        )
    source, maps, start = _maps(run, settings)
    made_from = _made_from(run)
    noted = refined_notes(run) if source == "refined" else map_notes(run)
    own = _own(settings, source)
    made_with = map_notes(run).settings | noted.settings | own
    decide = _rule(maps, settings, progress)
    run.pseudo_masks_file.unlink(missing_ok=True)
    run.review_file.unlink(missing_ok=True)
    run.pseudo_mask_scores_file.unlink(missing_ok=True)
    remove_other_masks(run.pseudo_masks, maps.ids)

    def make(id: str) -> Review | Failure:
        try:
            pixels, values = maps.evidence(id)
            agreed = None if start is None else agreement(start.evidence(id)[0].labels, pixels.labels, values)
        except SwtformerError as error:
            run.pseudo_mask_file(id).unlink(missing_ok=True)
            return Failure(id, "pseudo-label", str(maps.run.map_file(id)), str(error))
        labels = decide(pixels)
        write_mask(run.pseudo_mask_file(id), labels.numpy())
        sure = certainty(pixels, values)
        return Review(
            id,
            confidence=round(sure if agreed is None else (sure + agreed) / 2, 4),
            certainty=round(sure, 4),
            agreement=None if agreed is None else round(agreed, 4),
            undecided=round(float((labels == IGNORED).float().mean()), 4),
        )

    results = list(in_order("pseudo-label", make, maps.ids, progress))
    failures = (
        *(item for item in results if isinstance(item, Failure)),
        *without_maps(run, "pseudo-label"),
    )
    reviews = tuple(
        sorted(
            (item for item in results if isinstance(item, Review)),
            key=lambda item: (item.confidence, item.id),
        )
    )
    undecided = sum(item.undecided for item in reviews) / max(len(reviews), 1)
    write_failures(run, "pseudo-label", failures)
    write_reviews(run, reviews)
    notes = PseudoMaskNotes(
        **noted.model_dump(include=set(DataNotes.model_fields)),
        made_by=noted.made_by,
        method=noted.method if isinstance(noted, RefinedNotes) else None,
        source=source,
        rule=settings.rule,
        images=len(reviews),
        undecided=round(undecided, 4),
        made_from=made_from,
        settings=own,
        made_with=made_with,
    )
    write_notes(run.pseudo_masks_file, notes)
    unrefined = len(set(run.map_ids()) - set(maps.ids))
    return PseudoLabelResult(source, len(reviews), unrefined, undecided, reviews, failures)


def current_pseudo_masks(run: Run, *, settings: PseudoLabelSettings) -> int | None:
    """Number of pseudo-masks that the run holds, if they are current; None if `pseudo_label` must run.

    Masks that were edited in place still count as current.

    Raises:
        SwtformerError: a file that says how maps or masks were made is damaged.
    """
    notes = read_notes(run.pseudo_masks_file, PseudoMaskNotes)
    if notes is None or not run.review_file.is_file():
        return None
    is_same = (
        notes.made_from == _made_from(run)
        and notes.settings == _own(settings, _source(run, settings))
        and all(run.pseudo_mask_file(review.id).is_file() for review in read_reviews(run))
    )
    return notes.images if is_same else None


def _source(run: Run, settings: PseudoLabelSettings) -> Literal["refined", "maps"]:
    """The maps that the settings mean; `auto` takes refined ones where there are any."""
    if settings.source == "auto":
        return "refined" if run.refined_file.is_file() else "maps"
    return settings.source


def _own(settings: PseudoLabelSettings, source: str) -> dict[str, Any]:
    """The settings that shape the masks, with the source that they mean."""
    return shaping(settings.model_copy(update={"source": source}), "pseudo_label")


def _made_from(run: Run) -> str:
    """Fingerprint of the files of maps and refined maps; it stays the same when the run is moved."""
    files = sorted([*run.maps.rglob("*.npz"), *run.refined.rglob("*.npz")])
    facts = [(file.relative_to(run.path).as_posix(), file.stat()) for file in files]
    stamps = [f"{name} {stat.st_size} {stat.st_mtime_ns}" for name, stat in facts]
    makers = [read_notes(file, MapNotes) for file in (run.maps_file, run.refined_file)]
    return digest(*(notes.made_by for notes in makers if notes), *stamps)


def _maps(run: Run, settings: PseudoLabelSettings) -> tuple[Literal["refined", "maps"], _Maps, _Maps | None]:
    """The maps that the settings mean and, if they are refined, those before refinement."""
    if _source(run, settings) == "refined":
        refined = RefinedRun(run.path)
        notes = refined_notes(run)
        ids = ids_with_maps(refined)
        require_refined_from_maps(run)
        start = _Maps(run, ids, notes.source, notes.background_power or 1.0, map_notes(run).made_by)
        judge = None if REFINERS[notes.method].tells_how_sure else start
        return "refined", _Maps(refined, ids, "refined", 1.0, notes.made_by, judge), start
    ids = ids_with_maps(run)
    source = source_of(run, ids, "auto")
    power = label_free_power(run, ids) if source == "cam" else 1.0
    return "maps", _Maps(run, ids, source, power, map_notes(run).made_by), None


def _rule(maps: _Maps, settings: PseudoLabelSettings, progress: Progress) -> Callable[[Evidence], Tensor]:
    """What turns evidence into labels; with the keep rule, after a first pass over all images."""
    if settings.rule == "thresholds":
        return lambda pixels: labels_by_thresholds(pixels, low=settings.low, high=settings.high)
    smallest = torch.full((256,), settings.margin)
    if settings.rule == "keep":
        total = torch.zeros(256, 2 * STEPS, dtype=torch.int64)
        for histogram in in_order("weigh", lambda id: _histogram(maps, id), maps.ids, progress):
            total += histogram
        smallest = margins_to_keep(total, settings.keep)
    return lambda pixels: labels_by_margin(pixels, smallest)


def _histogram(maps: _Maps, id: str) -> Tensor:
    try:
        return margin_histogram(maps.evidence(id)[0])
    except SwtformerError:
        return torch.zeros(1, 1, dtype=torch.int64)  # recorded as a failure when its mask is made
