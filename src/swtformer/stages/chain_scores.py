"""Scores of everything that one run makes, from maps to network, on its images that have ground truth."""

from __future__ import annotations

from dataclasses import dataclass, replace

from swtformer.datasets.images import check_readable
from swtformer.datasets.records import ImageSet
from swtformer.errors import SwtformerError
from swtformer.progress import Progress, silent
from swtformer.scoring.supervision import caution, trained_on_note
from swtformer.settings import PredictSettings, Settings, shaping
from swtformer.short_repr import ShortRepr
from swtformer.stages.evaluate import evaluate, evaluate_folder
from swtformer.stages.predict import predict
from swtformer.store.failures import read_failures
from swtformer.store.files import read_json_as, sha256
from swtformer.store.models import WEIGHTS, own_networks, saved_images
from swtformer.store.notes import PredictionNotes, read_notes
from swtformer.store.run import Run
from swtformer.store.scores import SegmentationScore, read_held_out_scores, write_scores


@dataclass(frozen=True)
class StepScore:
    """mIoU of what one stage made.

    Attributes:
        masks: what was scored: "CAM", "refined by par", "pseudo-masks" …
        knows_labels: whether the classes of each image were given from its labels.
        background: how background, or undecided pixels, were decided.
        miou: mean over the scored labels; None where there is nothing to score.
        coverage: part of the pixels with ground truth that were scored.
        caution: what ground truth or hand-drawn masks had to do with it, in words; empty where nothing.
    """

    masks: str
    knows_labels: bool
    background: str
    miou: float | None
    coverage: float = 1.0
    caution: str = ""


@dataclass(frozen=True, repr=False)
class ChainScores(ShortRepr):
    """All figures of a run, over the same images.

    Attributes:
        steps: in the order of work.
        images: number of images with ground truth; all of them are scored.
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
    rounds: int = 1,
    progress: Progress = silent,
) -> ChainScores:
    """Score maps, refined maps, pseudo-masks and the segmentation network's masks against the ground truth.

    Writes scores.json, refined/scores.json, pseudo_masks/scores.json, and segmentation/predictions with the
    network's masks and their scores; for a later round, the same in its folder. The network of a round is its
    newest, and the last round may have none. It sees the photographs alone, at the scales of
    `settings.predict`. Its earlier masks are kept while its weights and these settings are the same. Images
    that an earlier stage skipped count as background.

    Args:
        run: a run that went through all stages up to `segment`.
        data: the images that it made maps for; some must have masks.
        settings: localize, refine, predict, data and evaluate are used.
        rounds: how many rounds it has.
        progress: called for every image.

    Raises:
        DataError: masks do not match images or classes.
        SwtformerError: a stage's result is missing or damaged.
    """
    masked = data.subset([place for place, record in enumerate(data.records) if record.mask is not None])
    steps: list[StepScore] = []
    networks: list[Run] = []
    for number in range(1, rounds + 1):
        own = own_networks(run.round(number))
        networks += own
        if not networks:
            raise SwtformerError(
                f"{run.path} has no segmentation network; train one with `swtformer segment`."
            )
        found, ground_truth, note = _score_round(
            run.round(number),
            data,
            masked,
            newest=networks[-1],
            is_own=bool(own),
            number=number,
            settings=settings,
            progress=progress,
        )
        steps += found
    return ChainScores(tuple(steps), images=len(masked), ground_truth=ground_truth, note=note)


def _score_round(
    run: Run,
    data: ImageSet,
    masked: ImageSet,
    *,
    newest: Run,
    is_own: bool,
    number: int,
    settings: Settings,
    progress: Progress,
) -> tuple[list[StepScore], str, str]:
    """Scores of a round, the folder of the ground truth, and what they and the training have in common.

    Args:
        newest: training of the newest network up to this round.
        is_own: whether it is this round's, and so to be scored with it.
    """
    network = newest
    predictions = Run(network.predictions)
    if is_own:
        _segment_again(network, masked, settings, progress)
    options = settings.evaluate
    if read_failures(run) or read_failures(predictions):
        options = options.model_copy(update={"missing": "background"})
    first, before = number == 1, "" if number == 1 else f"round {number}: "
    maps, *refined = (
        evaluate(run, data, settings=options.model_copy(update={"maps": kind}), progress=progress)
        for kind in (("maps", "refined") if first else ("maps",))
    )
    count = _trained_on(network, masked)
    held_out = read_held_out_scores(network)
    supervision = "given" if held_out is None else held_out.supervision
    remark = caution(supervision)
    pseudo_masks = evaluate_folder(run.pseudo_masks, masked, settings=options, progress=progress)
    write_scores(run.pseudo_mask_scores_file, replace(pseudo_masks, trained_on=count))
    given = settings.localize.classes == "given"
    name = f"{before}segmentation network"
    if network.path != run.segmentation:
        name += f" in {network.path.name}"
    steps = [
        *(
            _of_maps(entry, entry.source_name if first else f"{before}maps of the network before", given)
            for entry in maps.quoted()
            if first or entry.source != "cam"
        ),
        *(
            _of_maps(entry, f"refined by {settings.refine.method}", given)
            for scores in refined
            for entry in scores.quoted()
            if entry.source == "refined"
        ),
        *(
            StepScore(f"{before}pseudo-masks", given, _undecided(entry), entry.miou, entry.coverage)
            for entry in pseudo_masks.segmentation
        ),
    ]
    if is_own:
        own = evaluate_folder(predictions.masks, masked, settings=options, progress=progress)
        own = replace(own, trained_on=count, supervision=supervision, caution=remark)
        write_scores(predictions.scores_file, own)
        steps.append(StepScore(name, False, "highest class", own.segmentation[0].miou, caution=remark))
    return steps, maps.ground_truth, trained_on_note(count, len(masked), supervision)


def _trained_on(network: Run, data: ImageSet) -> int | None:
    """How many of the images a network was trained on; None where the list of its training is gone."""
    file = network.training_ids_file
    if not file.is_file():
        return None
    return len({record.id for record in data.records}.intersection(read_json_as(file, list[str])))


def _segment_again(network: Run, data: ImageSet, settings: Settings, progress: Progress) -> None:
    """Let the network segment the photographs, unless its current masks of all of them exist."""
    fixed = {"network": "segmentation", "overlays": False, "probabilities": False, "strict": False}
    as_trained = saved_images(network.model).model_dump()
    options = settings.predict.model_copy(update=fixed | as_trained)
    target = Run(network.predictions)
    failed = {failure.id for failure in read_failures(target)}
    failed -= {
        record.id
        for record in data.records
        if record.id in failed and check_readable(record.image, settings.data) is None  # it was repaired
    }
    is_whole = all(record.id in failed or target.mask_file(record.id).is_file() for record in data.records)
    if not (is_whole and _is_current(network, target, options)):
        predict(network.path, data, target.path, settings=options, progress=progress)


def _is_current(network: Run, target: Run, options: PredictSettings) -> bool:
    """Whether predictions were made by these weights and settings."""
    notes = read_notes(target.predictions_file, PredictionNotes)
    if notes is None or notes.weights != sha256(network.model / WEIGHTS):
        return False
    return shaping(options, "predict").items() <= shaping(notes, "predict").items()


def _of_maps(entry: SegmentationScore, name: str, given: bool) -> StepScore:
    remark = "its threshold was chosen with the ground truth." if entry.uses_ground_truth else ""
    return StepScore(name, given, entry.policy_name.lower(), entry.miou, caution=remark)


def _undecided(entry: SegmentationScore) -> str:
    """What became of undecided pixels."""
    return "255 left out" if entry.policy == "decided" else "255 counts as a miss"
