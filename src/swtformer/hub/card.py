"""The model card: what a model is, what it was made from, how it scored, and what it is not good for.

Written from the run alone. Paths and command lines of the machine stay out of it.
"""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from swtformer.errors import CheckpointError
from swtformer.label_sources import are_of_masks, are_of_outlines
from swtformer.settings import SegmentSettings, TrainSettings
from swtformer.store.files import read_json
from swtformer.store.models import NETWORK, newest_network, saved_config
from swtformer.store.run import Run

CARD = "README.md"
"""File of a model card."""

_LOAD_CAM = """import swtformer
model = swtformer.from_pretrained("{name}")
logits, maps = model(images, present)  # images (B, 3, H, W) uint8 RGB, present (B, {count}) 0/1"""

_LOAD_NETWORK = """import swtformer
network = swtformer.load_network("{name}")
logits = network(images)  # (B, 3, H, W) uint8 RGB to (B, {channels}, H, W)
masks = logits.argmax(1)  # (B, H, W), values as below"""

_SUPERVISION = {
    "pseudo_masks": "pseudo-masks made from image-level labels",
    "ground_truth": "**true masks**: a supervised comparison, no weakly supervised result",
    "corrected": "pseudo-masks, some of them **corrected by hand**",
    "given": "masks of a folder; whether they are drawn by hand is not recorded",
}

_HELD_OUT = {
    "pseudo_masks": "pseudo-masks, **not** true masks",
    "ground_truth": "true masks",
    "corrected": "pseudo-masks, some of them corrected by hand, **not** true masks",
}


@dataclass(frozen=True)
class Subject:
    """What a card says of the network itself.

    Attributes:
        kind: "cam" for a model that makes maps, "segmentation" for a segmentation network.
        task: what it does, in a sentence or two.
        classes: class names in order.
        parameters: their number.
    """

    kind: Literal["cam", "segmentation"]
    task: str
    classes: tuple[str, ...]
    parameters: int


def card_text(subject: Subject, *, name: str, license: str | None, run: str | os.PathLike[str] | None) -> str:
    """The card as Markdown, without the hub's metadata.

    Args:
        subject: the network.
        name: "owner/name" on the hub.
        license: identifier of the weights' licence ("apache-2.0"); None says that there is none.
        run: the run that trained it, whose newest segmentation network is meant where it is one; None where
            it is not known.

    Raises:
        SwtformerError: `run` is no run.
        CheckpointError: the run trained another network.
    """
    trained = None if run is None else _training(subject, Path(run))
    labels_from = "" if trained is None else _labels_from(subject, trained)
    parts = [
        f"# {name.split('/')[-1]}",
        subject.task,
        "## Use",
        _use(subject, name),
        f"## Classes\n\nA mask holds 0 for background and these values:\n\n{_classes(subject.classes)}",
        f"## How it was made\n\n{_rows(_origin(subject, trained, labels_from))}",
        f"## Scores\n\n{_scores(subject, trained)}",
        f"## Limits\n\n{_limits(subject)}",
        f"## Licence\n\n{_licence(license)}",
    ]
    return "\n\n".join(parts) + "\n"


def _training(subject: Subject, folder: Path) -> Run:
    run = Run(folder)
    if subject.kind == "segmentation":
        run = newest_network(run) or run
    run.settings()
    config = saved_config(run.model)
    kind = "segmentation" if NETWORK in config else "cam"
    if kind != subject.kind or config.get("classes") != list(subject.classes):
        raise CheckpointError(
            f"{run.path}: trained another network than the one that the card is for: its kind is {kind!r} "
            f"with the classes {config.get('classes')}, not {subject.kind!r} with {list(subject.classes)}."
        )
    return run


def _use(subject: Subject, name: str) -> str:
    code = _LOAD_NETWORK if subject.kind == "segmentation" else _LOAD_CAM
    package = "swtformer[seg]" if subject.kind == "segmentation" else "swtformer"
    count = len(subject.classes)
    lines = code.format(name=name, count=count, channels=count + 1)
    return (
        f"```sh\npip install '{package}'\nswtformer predict {name} PHOTOS --out FOLDER\n```\n\n"
        f"```python\n{lines}\n```"
    )


def _classes(classes: tuple[str, ...]) -> str:
    rows = [f"| {value} | {_cell(name)} |" for value, name in enumerate(classes, start=1)]
    return "\n".join(["| value | class |", "|---|---|", *rows])


def _labels_from(subject: Subject, trained: Run) -> str:
    """Where image-level labels came from; empty where that is not known.

    A segmentation network lies in the run whose labels its pseudo-masks were made with.
    """
    run = Run(trained.path.parent) if subject.kind == "segmentation" else trained
    return str(run.environment().get("labels_from") or "")


def _supervision(kind: str, labels_from: str) -> str:
    """What a segmentation network was trained on, and whether drawn masks had to do with that."""
    told = _SUPERVISION.get(kind, "not recorded")
    if kind != "pseudo_masks":
        return told
    if are_of_masks(labels_from):
        return f"{told}, which were **read from drawn masks**"
    known = labels_from and not are_of_outlines(labels_from)
    return f"{told}; no drawn mask was used" if known else told


def _origin(subject: Subject, trained: Run | None, labels_from: str) -> Iterator[tuple[str, Any]]:
    yield "parameters", f"{subject.parameters / 1e6:.1f} million"
    if trained is None:
        yield "training", "not recorded: the model was published without its run"
        return
    facts, settings = trained.environment(), trained.settings()
    if subject.kind == "segmentation":
        yield "supervision", _supervision(facts.get("supervision", ""), labels_from)
        corrections = facts.get("corrections")
        if corrections is not None:
            base = Path(corrections["base"]).name
            yield "masks corrected by hand", f"{corrections['count']}; the others as in `{_cell(base)}`"
        yield "encoder's first weights", _encoder_start(settings.segment)
        yield "epochs", settings.segment.epochs
        yield "fingerprint of the masks", facts.get("masks_fingerprint")
    else:
        read = ", which were **read from drawn masks**" if are_of_masks(labels_from) else ""
        yield "supervision", f"image-level labels{read}"
        yield "backbone's first weights", Path(settings.model.weights).name
        yield "epochs", settings.train.epochs
        yield "fingerprint of the data", facts.get("data_fingerprint")
    yield "image-level labels from", _cell(labels_from) or "not recorded"
    yield "data", facts.get("data_name")
    yield "training images", facts.get("training_images")
    yield "images held out", facts.get("validation_images") or None
    yield "seed", facts.get("seed")
    packages: Mapping[str, str] = facts.get("packages", {})
    shown = [
        f"{package} {packages[package]}" for package in ("swtformer", "torch", "timm") if package in packages
    ]
    yield "made with", ", ".join(shown) or None


def _encoder_start(settings: SegmentSettings) -> str:
    """What the encoder started from; `weights` is no setting of the run's own encoder."""
    if settings.encoder == "run":
        return "those of the run's own model, trained on image-level labels"
    return Path(settings.weights).name


def _scores(subject: Subject, trained: Run | None) -> str:
    if trained is None:
        return "None recorded."
    scores = read_json(trained.scores_file) if trained.scores_file.is_file() else {}
    lines = (
        _network_score(scores)
        if subject.kind == "segmentation"
        else _model_scores(scores, trained, labels=len(subject.classes) + 1)
    )
    return "\n\n".join(lines) or "None recorded."


def _network_score(scores: Mapping[str, Any]) -> Iterator[str]:
    miou = scores.get("validation_miou")
    if miou is None:
        return
    truth = _HELD_OUT.get(scores.get("supervision", ""), "whether they are true masks is not recorded")
    yield (
        f"mIoU {100 * miou:.2f} % against {scores.get('validation_images')} held-out masks of the kind that "
        f"it was trained on ({truth})."
    )


def _model_scores(scores: Mapping[str, Any], trained: Run, *, labels: int) -> Iterator[str]:
    facts, settings = trained.environment(), trained.settings()
    held_out = _kept_validation(trained, settings.train)
    if held_out is not None:
        is_chosen = settings.train.keep == "best" and math.isfinite(held_out[0])
        chosen = "; the epoch was chosen by them" if is_chosen else ""
        yield (
            f"Classification of {facts.get('validation_images')} **held-out** images: {_map(*held_out)}"
            f"{chosen}."
        )
    if scores:
        # `evaluate` names the split, or the data set where it has none.
        is_own = scores["split"] == (facts.get("split") or facts.get("data_name"))
        yield from _map_scores(
            scores, labels=labels, among=", **training images among them**" if is_own else ""
        )


def _kept_validation(trained: Run, settings: TrainSettings) -> tuple[float, float] | None:
    """Validation mAP per class and per image of the weights that are kept; None where none was measured."""
    if not trained.metrics_file.is_file():
        return None
    with trained.metrics_file.open(encoding="utf-8", newline="") as stream:
        rows = [
            (float(row["validation_map_per_class"]), float(row["validation_map_per_image"]))
            for row in csv.DictReader(stream)
            if row.get("validation_map_per_class") and row.get("validation_map_per_image")
        ]
    measured = [row for row in rows if math.isfinite(row[0])]
    if settings.keep == "best" and measured:
        return max(measured, key=lambda row: row[0])
    return rows[-1] if rows else None


def _map_scores(scores: Mapping[str, Any], *, labels: int, among: str) -> Iterator[str]:
    """What `evaluate` measured, of a model with so many labels; `among` says what to know of its images."""
    scales = ", ".join(f"{scale:g}" for scale in scores["scales"]) or "as given"
    made = (
        f"scales {scales}{', mirrored as well' if scores['flip'] else ''}; training seeds: {scores['seeds']}."
    )
    if scores["segmentation"]:
        count = len(scores["scored_classes"])
        scored = (
            f"all {labels} labels" if count == labels else f"the {count} of {labels} labels that occur there"
        )
        yield (
            f"Split {_cell(scores['split'])}, {scores['images']} images{among}; ground truth from the folder "
            f"`{Path(scores['ground_truth']).name}`; mean over {scored}, background among them; "
            f"{made}"
        )
        rows = [
            f"| {row['source']} | {row['policy']} | {_number(row['threshold'], 1)} | "
            f"{_number(row['miou'], 100)} | {'**yes**' if row['uses_ground_truth'] else 'no'} |"
            for row in scores["segmentation"]
        ]
        head = "| maps | background policy | threshold | mIoU, % | threshold chosen on the ground truth |"
        yield "\n".join([head, "|---|---|---|---|---|", *rows])
    classification = scores["classification"]
    if classification:
        mean = _map(classification["map_per_class"], classification["map_per_image"])
        where = "" if scores["segmentation"] else f" of the split {_cell(scores['split'])}"
        how = "." if scores["segmentation"] else f"; {made}"
        yield f"Classification over {classification['images']} images{where}{among}: {mean}{how}"


def _map(per_class: float | None, per_image: float | None) -> str:
    return (
        f"mAP {_number(per_class, 100)} % (mean over classes), {_number(per_image, 100)} % (mean over images)"
    )


def _limits(subject: Subject) -> str:
    lines = [
        "- It knows the classes above and calls everything else background or one of them.",
        "- Photographs unlike its training data (other cameras, scenes, seasons) can be segmented wrongly "
        "without any sign of it: look at results before decisions rest on them.",
    ]
    if subject.kind == "cam":
        lines.append(
            "- Maps show what tells a class apart. They can miss parts of an object and take in what always "
            "comes with it (rails with trains); they are seeds for masks rather than outlines."
        )
    else:
        lines.append("- It repeats the systematic mistakes of the masks that it was trained on.")
    return "\n".join(lines)


def _licence(license: str | None) -> str:
    if license is None:
        return "None is stated for these weights: ask the publisher. The package swtformer is Apache-2.0."
    return f"Weights: {license}. The package swtformer is Apache-2.0."


def _rows(facts: Iterator[tuple[str, Any]]) -> str:
    return "\n".join(f"- {name}: {fact}" for name, fact in facts if fact not in (None, ""))


def _number(value: float | None, factor: float) -> str:
    return "–" if value is None or math.isnan(value) else f"{factor * value:.2f}"


def _cell(text: str) -> str:
    """Text that cannot break a table."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")
