"""Score a run's maps under all background policies in one pass, or a folder of masks (METHOD 5)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, NoReturn, TypeVar

import torch
from torch import Tensor

from swtformer.datasets.label_images import read_labels, read_truth, require_same_size
from swtformer.datasets.of_run import groups_also_trained_on
from swtformer.datasets.records import ImageSet, Record
from swtformer.datasets.truth import (
    ground_truth_folder,
    records_with_mask,
    require_classes,
    require_other_files,
)
from swtformer.errors import DataError, some
from swtformer.functional.scores import ImageMean, confusion_matrix, mean_iou
from swtformer.functional.thresholds import threshold_grid
from swtformer.in_order import thread_count, work_ahead
from swtformer.label_values import BACKGROUND, IGNORED
from swtformer.labelling.mask_rule import first_whole, ids_with_maps, rule_for, source_and_policy
from swtformer.progress import Progress, shown
from swtformer.progress_view import shows_progress
from swtformer.scoring.map_scores import MapCounter, MapTotals
from swtformer.scoring.measures import (
    classification_score,
    require_same_classes,
    scored_labels,
    segmentation_score,
)
from swtformer.settings import EvaluateSettings, MaskSettings
from swtformer.sharing import Work, open_team
from swtformer.store.maps import Source
from swtformer.store.mask_folders import masks_in, require_same_numbers
from swtformer.store.masks import MaskRule, read_rule
from swtformer.store.notes import map_notes
from swtformer.store.refined_maps import require_refined_from_maps
from swtformer.store.run import RefinedRun, Run
from swtformer.store.scores import (
    ClassificationScore,
    ImageScore,
    Scores,
    SegmentationScore,
    write_scores,
)

Counted = TypeVar("Counted")


@shows_progress
def evaluate(
    run: Run,
    data: ImageSet,
    *,
    settings: EvaluateSettings | None = None,
    ray: str | None = None,
    progress: Progress = shown,
) -> Scores:
    """Score a run's maps against a data set and write scores.json.

    The processes of torchrun or srun divide the images; the scores are the same to the last digit.

    Every source of maps is scored under every policy of the settings. The sources are "cam" and, where the
    method makes R-CAMs, "rcam". With `settings.maps` refined they are "cam" and "refined", and the scores go
    to refined/scores.json. The policies:

    - `fixed`: the threshold of the settings for the foreground channels;
    - `argmax`: the background map competes. R-CAMs and refined maps bring it as their first channel; for CAMs
      it is 1 − max (Eq. 3);
    - `label_free`: the threshold that `mask` would choose, from the maps of all the run's images;
    - `oracle`: the best threshold of the sweep, flagged `uses_ground_truth`.

    Confusion is always counted over all labels; the mean runs over the background and
    `settings.score_classes`. Where the maps were made for given image labels, only classes that are present
    can be predicted.

    Args:
        run: a run with maps.
        data: images with masks, image-level labels, or both.
        settings: the run's own where None.
        ray: address of a Ray cluster whose workers divide the images (`open_team`).
        progress: called for every image.

    Raises:
        DataError: maps are missing (unless they count as background), sizes or classes don't match, a mask is
            not a label image, or the set has neither masks nor labels.
        SwtformerError: the run has no maps, the maps come from different models or settings, the refined
            ones are stale, or another process has ended.
    """
    team = open_team(ray)
    own = run.settings()
    settings = own.evaluate if settings is None else settings
    if settings.maps == "refined":
        run = RefinedRun(run.path)
        require_refined_from_maps(run)
    require_same_classes(run.classes(), data)
    over = scored_labels(data, settings.score_classes)
    ids = ids_with_maps(run)
    masked = records_with_mask(data)
    missing = {record.id for record, _ in masked} - set(ids)
    if missing and settings.missing == "error":
        _refuse_missing(missing, len(masked), f"maps in {run.maps}", "Make them with `swtformer localize`")
    best = first_whole(run, sorted({record.id for record in data.records} & set(ids)) or ids).best
    sources: list[Source] = ["cam"] if best == "cam" else ["cam", best]
    rule = read_rule(run)
    if rule is not None and rule.source not in sources:
        rule = None  # of maps that the run had before
    known = [settings.threshold, own.mask.threshold if rule is None else rule.threshold]
    made = map_notes(run)
    counter = MapCounter(
        run=run,
        records={record.id: record for record in data.records},
        classes=data.classes,
        sources=sources,
        thresholds=threshold_grid(value for value in known if value is not None),
        masks_by=source_and_policy(best, own.mask) if rule is None else (rule.source, rule.policy),
        over=over,
        made_by=made.made_by,
        missing=settings.missing,
    )
    totals = MapTotals(sources, counter.thresholds, len(data.classes) + 1)
    scored = sorted({*ids, *missing})
    for image in team.divided(
        Counting(counter), scored, lambda done: progress("evaluate", done, len(scored))
    ):
        totals.add(image)

    def end() -> Scores:
        scores = _scores(run, data, settings, counter, totals, rule)
        write_scores(run.scores_file, scores)
        return scores

    return team.agreed(end)


@dataclass(frozen=True)
class Counting(Work[str, Counted]):
    """Counts images in threads, as decoding and counting release the interpreter.

    Attributes:
        count: what one image adds; it changes nothing.
    """

    gathered: ClassVar[int] = 2**6
    """Counts hold every threshold for every pair of an image's labels, 0.6 MB for 20 labels."""
    count: Callable[[str], Counted]

    def __call__(self, items: Sequence[str]) -> Iterator[Counted]:
        """See `Work`."""
        return work_ahead(self.count, items, threads=thread_count())


def _scores(
    run: Run,
    data: ImageSet,
    settings: EvaluateSettings,
    counter: MapCounter,
    totals: MapTotals,
    rule: MaskRule | None,
) -> Scores:
    sources, over, made, own = counter.sources, counter.over, map_notes(run), Run(run.path).settings()
    best = sources[-1]
    masked = records_with_mask(data)
    folder = ground_truth_folder(masked)
    require_classes(totals.truth(), totals.ignored, folder, data.classes)
    classification = _classification(totals, data)
    if not masked and classification is None:
        raise DataError(f"{data.name} has neither masks nor image-level labels: there is nothing to score.")
    names = (BACKGROUND, *data.classes)
    segmentation = []
    for source in sources if masked else []:
        for policy in settings.policies:
            threshold = _threshold(totals, source, policy, settings.threshold, over)
            confusion = totals.confusion(source, threshold)
            per_image = totals.miou_per_image(source, threshold)
            segmentation.append(
                segmentation_score(
                    confusion, names, over, source, policy, threshold, miou_per_image=per_image
                )
            )
    rule = rule or rule_for(best, own.mask, label_free=totals.label_free)
    return Scores(
        split=data.split or data.name,
        images=len(masked) or (classification.images if classification else 0),
        ground_truth=folder,
        labels_from=data.labels_from,
        predictions=str(run.maps),
        classes=names,
        scored_classes=tuple(names[label] for label in over),
        scales=made.scales,
        flip=made.flip,
        segmentation=tuple(segmentation),
        classification=classification,
        per_image=_image_scores(totals.miou_of_images(rule.source, rule.threshold)),
        skipped=len(data) - len(masked),
        missing=totals.missing,
        known_groups=tuple(groups_also_trained_on(run, data)),
    )


@shows_progress
def evaluate_folder(
    predictions: Path,
    data: ImageSet,
    *,
    settings: EvaluateSettings | None = None,
    ray: str | None = None,
    progress: Progress = shown,
) -> Scores:
    """Score a folder of label images `<id>.png`, wherever they come from; nothing is written.

    A predicted 255 ("undecided") counts as a miss of the true label under the policy "given". Where there are
    such pixels, a second score, "decided", leaves them out and says what part of the pixels was decided.
    Images of the folder that are not in the set are not looked at.

    Args:
        predictions: folder of label images with the values of the data set, or what `predict` made.
        data: images with masks.
        settings: `score_classes` and `missing` are used.
        ray: address of a Ray cluster whose workers divide the images (`open_team`).
        progress: called for every image.

    Raises:
        DataError: the set has no masks or no classes, the folder is known to number its classes otherwise,
            predictions are missing (unless they count as background) or are the ground truth itself, sizes
            differ, or a file is not a label image.
    """
    team = open_team(ray)
    settings = settings or EvaluateSettings()
    over = scored_labels(data, settings.score_classes)
    masked = records_with_mask(data)
    if not masked:
        raise DataError(f"{data.name} has no masks to score against; name their folder with data.masks.")
    if not data.classes:
        raise DataError(f"{data.name} has masks but no class names; name them in order with data.classes.")
    if not predictions.is_dir():
        raise DataError(f"{predictions} is not a folder; name the folder that holds the predicted masks.")
    predictions = masks_in(predictions)
    require_same_numbers(predictions, data.classes)
    folder = ground_truth_folder(masked)
    pairs = {record.id: (predictions / f"{record.id}.png", mask) for record, mask in masked}
    records = {record.id: record for record, _ in masked}
    require_other_files(predictions, list(pairs.values()))
    missing = {id for id, (prediction, _) in pairs.items() if not prediction.is_file()}
    if missing and settings.missing == "error":
        _refuse_missing(missing, len(masked), f"masks <id>.png in {predictions}", "Add them")

    total = torch.zeros(len(data.classes) + 1, len(data.classes) + 2, dtype=torch.int64)
    ignored = 0
    per_image = {}
    image_means = ImageMean(2)
    counting = Counting(_FolderCounter(records, pairs, frozenset(missing), data.classes))
    for id, counts, unscored in team.divided(
        counting, list(pairs), lambda done: progress("evaluate", done, len(pairs))
    ):
        total += counts
        given_and_decided = torch.stack([mean_iou(part, over=over) for part in (counts, counts[:, :-1])])
        image_means.update(given_and_decided)
        per_image[id] = float(given_and_decided[0])
        ignored += unscored

    def end() -> Scores:
        require_classes(total.sum(1), ignored, folder, data.classes)
        names = (BACKGROUND, *data.classes)
        return Scores(
            split=data.split or data.name,
            images=len(masked),
            ground_truth=folder,
            labels_from=data.labels_from,
            predictions=str(predictions),
            classes=names,
            scored_classes=tuple(names[label] for label in over),
            scales=(),
            flip=False,
            segmentation=_folder_scores(total, image_means.means(), names, over),
            classification=None,
            per_image=_image_scores(per_image),
            skipped=len(data) - len(masked),
            missing=len(missing),
        )

    return team.agreed(end)


@dataclass(frozen=True)
class _FolderCounter:
    """Compares a mask of a folder with its ground truth."""

    records: Mapping[str, Record]
    pairs: Mapping[str, tuple[Path, Path]]
    missing: frozenset[str]
    classes: tuple[str, ...]

    def __call__(self, id: str) -> tuple[str, Tensor, int]:
        prediction, mask = self.pairs[id]
        truth = torch.from_numpy(read_truth(self.records[id], self.classes))
        if id in self.missing:
            predicted = torch.zeros_like(truth)
        else:
            predicted = torch.from_numpy(read_labels(prediction, self.classes))
            require_same_size(predicted.shape, prediction, truth.shape, f"its ground truth {mask}")
        counts = confusion_matrix(predicted, truth, labels=len(self.classes) + 1)
        return id, counts, int((truth == IGNORED).count_nonzero())


def _folder_scores(
    counts: Tensor, per_image: Tensor, names: tuple[str, ...], over: Sequence[int]
) -> tuple[SegmentationScore, ...]:
    """The score of all pixels and, where masks leave some undecided, that of the decided ones."""
    of_images = per_image.tolist()
    given = segmentation_score(counts, names, over, "folder", "given", None, miou_per_image=of_images[0])
    decided = counts[:, :-1]
    coverage = float(decided.sum() / counts.sum().clamp(min=1))
    if coverage == 1:
        return (given,)
    sure = segmentation_score(decided, names, over, "folder", "decided", None, miou_per_image=of_images[1])
    return (given, replace(sure, coverage=coverage))


def _refuse_missing(ids: Iterable[str], total: int, what: str, remedy: str) -> NoReturn:
    """Name the images without a prediction: leaving them out would flatter the score."""
    ids = sorted(ids)
    raise DataError(
        f"{len(ids)} of {total} images with ground truth have no {what}: {some(ids)}. {remedy}, or score "
        "them as all background with evaluate.missing background."
    )


def _threshold(
    totals: MapTotals, source: Source, policy: str, fixed: float, over: Sequence[int]
) -> float | None:
    """The background's score under a policy of `evaluate`; None where the maps' own background competes."""
    if policy == "oracle":
        return totals.oracle(source, over)
    wanted = MaskSettings.model_validate({"policy": policy, "threshold": fixed})
    return rule_for(source, wanted, label_free=totals.label_free).threshold


def _classification(totals: MapTotals, data: ImageSet) -> ClassificationScore | None:
    rows = [row for row, record in enumerate(data.records) if record.id in totals.probabilities]
    if not rows:
        return None
    probabilities = torch.stack([totals.probabilities[data.records[row].id] for row in rows])
    return classification_score(probabilities, torch.from_numpy(data.labels())[rows], data.classes)


def _image_scores(miou: Mapping[str, float]) -> tuple[ImageScore, ...]:
    """Leaves out images whose ground truth is ignored everywhere: they have no score."""
    return tuple(ImageScore(id, value) for id, value in miou.items() if not math.isnan(value))
