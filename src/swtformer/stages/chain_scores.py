"""Scores of everything that one run makes, from maps to network, on its images that have ground truth."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from swtformer.datasets.records import ImageSet
from swtformer.errors import SwtformerError
from swtformer.progress import Progress, silent
from swtformer.scoring.sheet import SegmentationScore, caution, read_sheet, trained_on_note
from swtformer.settings import PredictSettings, Settings
from swtformer.stages.evaluate import evaluate, evaluate_folder
from swtformer.stages.predict import PREDICTIONS, predict
from swtformer.store.failures import read_failures
from swtformer.store.files import read_json, sha256, write_json
from swtformer.store.models import WEIGHTS, newest_network
from swtformer.store.run import RefinedRun, Run

MISS, LEFT_OUT = "255 counts as a miss", "255 left out"
"""What becomes of undecided pixels in the score of masks."""


@dataclass(frozen=True)
class StepScore:
    """mIoU of what one stage made.

    Attributes:
        masks: what was scored: "CAM", "refined by par", "pseudo-masks" …
        knows_labels: whether the classes of each image were given from its labels.
        background: how background, or undecided pixels, were decided upon.
        miou: mean over the scored labels; None where there is nothing to score.
        coverage: part of the pixels with ground truth that the score is about.
        caution: what true masks, or others that people drew, had to do with it, in words: a threshold was
            chosen by them, or they were trained on. Empty where they had no part in it.
    """

    masks: str
    knows_labels: bool
    background: str
    miou: float | None
    coverage: float = 1.0
    caution: str = ""


@dataclass(frozen=True)
class ChainScores:
    """All figures of a run, over the same images.

    Attributes:
        steps: in the order of work.
        images: images with ground truth, all of which are scored.
        ground_truth: folder of the ground truth.
        note: what training and scores have in common, in words.
    """

    steps: tuple[StepScore, ...]
    images: int
    ground_truth: str
    note: str


def score_chain(
    run: Run,
    data: ImageSet,
    *,
    settings: Settings,
    progress: Progress = silent,
) -> ChainScores:
    """Score maps, refined maps, pseudo-masks and the segmentation network's masks against the ground truth.

    The files: scores.json, refined/scores.json, pseudo_masks/scores.json, and segmentation/predictions with
    the network's masks and their scores. The network is the run's newest, as for `predict`; it sees the
    photographs alone, at the scales of `settings.predict`. Masks that it made before are kept while its
    weights and these settings are the same.
    Images that an earlier stage skipped count as background.

    Args:
        run: a run that went through all stages up to `segment`.
        data: the images that it made maps for; some must have masks.
        settings: localize, refine, predict, data and evaluate are used.
        progress: told about every image.

    Raises:
        DataError: masks do not fit images or classes.
        SwtformerError: a stage's result is missing or damaged.
    """
    masked = data.subset([place for place, record in enumerate(data.records) if record.mask is not None])
    network = newest_network(run)
    if network is None:
        raise SwtformerError(f"{run.path} has no segmentation network; train one with `swtformer segment`.")
    _segment_again(network, masked, settings, progress)
    options = settings.evaluate
    if read_failures(run) or read_failures(Run(network.predictions)):
        options = options.model_copy(update={"missing": "background"})
    for maps in ("maps", "refined"):
        evaluate(run, data, settings=options.model_copy(update={"maps": maps}), progress=progress)
    count = _trained_on(network, masked)
    supervision = read_json(network.scores_file).get("supervision", "given")
    pseudo_masks = evaluate_folder(run.pseudo_masks, masked, settings=options, progress=progress)
    write_json(run.pseudo_mask_scores_file, replace(pseudo_masks, trained_on=count).as_json())
    target = Run(network.predictions)
    own = evaluate_folder(target.masks, masked, settings=options, progress=progress)
    own = replace(own, trained_on=count, supervision=supervision, caution=caution(supervision))
    write_json(target.scores_file, own.as_json())
    return ChainScores(
        steps=(
            *_of_maps(run, settings),
            *_of_pseudo_masks(run, knows_labels=settings.localize.classes == "given"),
            _of_network(target.scores_file, _network_name(run, network), caution(supervision)),
        ),
        images=len(masked),
        ground_truth=read_sheet(run.scores_file).ground_truth,
        note=trained_on_note(count, len(masked), supervision),
    )


def _trained_on(network: Run, data: ImageSet) -> int | None:
    """How many of the images a network was trained on; None where its training did not note which."""
    file = network.training_ids_file
    if not file.is_file():
        return None
    return len({record.id for record in data.records}.intersection(read_json(file)))


def _segment_again(network: Run, data: ImageSet, settings: Settings, progress: Progress) -> None:
    """Let the network segment the photographs, unless the same masks of all of them are there."""
    fixed = {"network": "segmentation", "overlays": False, "probabilities": False, "strict": False}
    options = settings.predict.model_copy(update={**fixed, "exif": settings.data.exif})
    target = Run(network.predictions)
    failed = {failure.id for failure in read_failures(target)}
    is_there = all(record.id in failed or target.mask_file(record.id).is_file() for record in data.records)
    if not (is_there and _made_alike(network, target, options)):
        predict(network.path, data, target.path, settings=options, progress=progress)


def _made_alike(network: Run, target: Run, options: PredictSettings) -> bool:
    facts = read_json(target.path / PREDICTIONS) if (target.path / PREDICTIONS).is_file() else {}
    wanted = options.model_dump(
        mode="json", include={"scales", "flip", "presence", "window_px", "overlap_px", "exif"}
    )
    wanted["weights"] = sha256(network.model / WEIGHTS)
    return wanted.items() <= facts.items()


def _of_maps(run: Run, settings: Settings) -> list[StepScore]:
    given = settings.localize.classes == "given"
    before = read_sheet(run.scores_file).quoted()
    after = read_sheet(RefinedRun(run.path).scores_file).quoted()
    named = [(entry.source_name, entry) for entry in before]
    named += [(f"refined by {settings.refine.method}", entry) for entry in after if entry.source == "refined"]
    return [
        StepScore(name, given, entry.policy_name.lower(), entry.miou, caution=_of_threshold(entry))
        for name, entry in named
    ]


def _of_pseudo_masks(run: Run, *, knows_labels: bool) -> list[StepScore]:
    return [
        StepScore("pseudo-masks", knows_labels, _undecided(entry), entry.miou, entry.coverage)
        for entry in read_sheet(run.pseudo_mask_scores_file).segmentation
    ]


def _network_name(run: Run, network: Run) -> str:
    is_first = network.path == run.segmentation
    return "segmentation network" if is_first else f"segmentation network in {network.path.name}"


def _of_network(file: Path, name: str, caution: str) -> StepScore:
    entry = read_sheet(file).segmentation[0]
    return StepScore(name, False, "highest class", entry.miou, caution=caution)


def _of_threshold(entry: SegmentationScore) -> str:
    return "its threshold was chosen on the ground truth." if entry.uses_ground_truth else ""


def _undecided(entry: SegmentationScore) -> str:
    return LEFT_OUT if entry.policy == "decided" else MISS
