"""Scores and checks as tables for the terminal, with everything that is needed to understand a figure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.table import Table

if TYPE_CHECKING:
    from swtformer.datasets.check import CheckReport
    from swtformer.reproduction.sheets import Sheet
    from swtformer.stages.chain_scores import ChainScores
    from swtformer.store.scores import ClassificationScore, Scores, SegmentationScore


def score_tables(scores: Scores) -> list[RenderableType]:
    """Captions and tables of what `evaluate` measured; all figures in percent."""
    shown: list[RenderableType] = [_about(scores)]
    if scores.segmentation:
        shown += ["\nMeans of the masks, in %:", _means_table(scores)]
        for measure, values in (
            ("IoU", [entry.iou for entry in scores.segmentation]),
            ("Dice coefficient", [entry.dice for entry in scores.segmentation]),
        ):
            shown += [f"\n{measure} per class, in %:", _class_table(scores, values)]
    partial = [entry.coverage for entry in scores.segmentation if entry.coverage < 1]
    if partial:
        shown.append(
            "given: undecided pixels (255) count as misses. decided: without them, "
            f"{_percent(partial[0])} % of the pixels; not a score of whole masks."
        )
    if any(entry.uses_ground_truth for entry in scores.segmentation):
        shown.append("* oracle: the threshold was chosen with the ground truth.")
    if scores.classification is not None:
        shown += _classification(scores.classification)
    return shown


def chain_tables(scores: ChainScores) -> list[RenderableType]:
    """Scores of what every stage of `run` made, over the same images; all figures in percent."""
    table = Table("scored", "image labels", "background by")
    table.add_column("mIoU", justify="right")
    for step in scores.steps:
        part = "" if step.coverage == 1 else f", {_percent(step.coverage)} % of the pixels"
        flag = "*" if step.caution else ""
        labels = "known" if step.knows_labels else "not known"
        table.add_row(f"{step.masks}{part}{flag}", labels, step.background, _percent(step.miou))
    cautions = dict.fromkeys(f"* {step.masks}: {step.caution}" for step in scores.steps if step.caution)
    lines = [scores.note, *cautions]
    images = "1 image" if scores.images == 1 else f"{scores.images} images"
    caption = f"mIoU in %, against the masks of {images} in {scores.ground_truth}:"
    return [caption, table, "\n".join(lines)]


def sheet_table(sheet: Sheet) -> list[RenderableType]:
    """A sheet of a reproduced table, with its notes."""
    table = Table(*sheet.columns)
    for row in sheet.rows:
        table.add_row(*row)
    return [f"{sheet.title}:", table, "\n".join(sheet.notes)]


def check_tables(report: CheckReport) -> list[RenderableType]:
    """Facts about a data set, its classes, and every problem under its kind."""
    facts = Table(show_header=False)
    for row in report.rows():
        facts.add_row(*row)
    classes = Table("class")
    classes.add_column("images", justify="right")
    for name, count in report.images_per_class.items():
        classes.add_row(name, f"{count:,}")
    kinds: dict[str, list[str]] = defaultdict(list)
    for problem in report.problems:
        kinds[problem.kind].append(problem.message)
    lines = ["No problems found."] if not kinds else []
    for kind, messages in kinds.items():
        lines.append(f"{kind.replace('_', ' ')}: {len(messages)}")
        lines += [f"  {message}" for message in messages]
    return [facts, classes, "\n".join(lines)]


def _about(scores: Scores) -> str:
    lines = [f"Split {scores.split}, {scores.images} images, number of seeds: {scores.seeds}."]
    if scores.ground_truth:
        lines.append(f"Masks: {scores.ground_truth}")
    if scores.labels_from:
        lines.append(f"Image labels: {scores.labels_from}")
    if scores.scales:
        each, in_turn = ", each with its mirror image", ", every second one mirrored"
        mirrored = {True: each, "in_turn": in_turn}.get(scores.flip, "")
        lines.append(f"Scales: {', '.join(f'{scale:g}' for scale in scores.scales)}{mirrored}.")
    count = len(scores.scored_classes)
    if count < len(scores.classes):
        lines.append(f"Means over {count} of {len(scores.classes)} classes; the others in brackets.")
    if scores.skipped:
        lines.append(f"{scores.skipped} images have no ground truth and were not scored.")
    if scores.missing:
        lines.append(f"{scores.missing} images have no prediction and were scored as all background.")
    if scores.known_groups:
        lines.append(scores.about_groups())
    return "\n".join(lines)


def _means_table(scores: Scores) -> Table:
    table = Table("maps", "background by", "threshold")
    for name in ("mIoU", "mIoU\nper image", "frequency-\nweighted IoU", "mean\nDice"):
        table.add_column(name, justify="right")
    for entry in scores.segmentation:
        threshold = "" if entry.threshold is None else f"{entry.threshold:.3g}"
        means = (entry.miou, entry.miou_per_image, entry.frequency_weighted_iou, entry.mean_dice)
        table.add_row(entry.source, _policy(entry), threshold, *map(_percent, means))
    return table


def _class_table(scores: Scores, values: Sequence[Mapping[str, float | None]]) -> Table:
    table = Table("class")
    for entry in scores.segmentation:
        table.add_column(f"{entry.source}\n{_policy(entry)}", justify="right")
    for name in scores.classes:
        label = name if name in scores.scored_classes else f"({name})"
        table.add_row(label, *(_percent(own.get(name)) for own in values))
    return table


def _classification(score: ClassificationScore) -> list[RenderableType]:
    table = Table("class")
    table.add_column("AP", justify="right")
    for name, value in score.ap.items():
        table.add_row(name, _percent(value))
    per_class, per_image = _percent(score.map_per_class), _percent(score.map_per_image)
    caption = "\nAverage precision (AP) of the classifier on image labels, in %:"
    means = f"mAP per class {per_class} %, mAP per image {per_image} % ({score.images} images)"
    return [caption, table, means]


def _policy(entry: SegmentationScore) -> str:
    return f"{entry.policy}*" if entry.uses_ground_truth else entry.policy


def _percent(value: float | None) -> str:
    return "n/a" if value is None else f"{100 * value:.2f}"
