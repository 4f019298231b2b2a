"""The model card: what a model is, what it was made from, how it scored, and what it is not good for.

Written from the run alone. Paths and command lines of the machine stay out of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCardData

from swtformer.methods import Method
from swtformer.publishing.saved import SavedModel
from swtformer.run import read_json
from swtformer.segmentation.network import SegmentationNetwork

_LOAD_CAM = """import swtformer
model = swtformer.from_pretrained("{name}")
logits, maps = model(images, present)  # images (B, 3, H, W) uint8 RGB, present (B, {count}) 0/1"""

_LOAD_NETWORK = """from swtformer.methods.pretrained import model_folder
from swtformer.segmentation.pretrained import load_network
logits = load_network(model_folder("{name}"))(images)  # (B, 3, H, W) uint8 RGB to (B, {channels}, H, W)"""

_SUPERVISION = {
    "pseudo_masks": "pseudo-masks made from image-level labels; no drawn mask was used",
    "ground_truth": "**true masks**: a supervised comparison, no weakly supervised result",
    "corrected": "pseudo-masks, some of them **corrected by hand**",
    "given": "masks of a folder; whether they are drawn by hand is not recorded",
}

_HELD_OUT = {
    "pseudo_masks": "pseudo-masks, **not** true masks",
    "ground_truth": "true masks",
    "corrected": "pseudo-masks, some of them corrected by hand, **not** true masks",
}


def model_card(
    saved: SavedModel, model: Method | SegmentationNetwork, *, name: str, license: str | None
) -> str:
    """The card as Markdown with the hub's metadata on top.

    Args:
        saved: where the model lies; what is known of its training comes from the run around it.
        model: the model itself.
        name: "owner/name" on the hub.
        license: identifier of the weights' licence ("apache-2.0"); None says that there is none.
    """
    data = ModelCardData(
        library_name="swtformer",
        pipeline_tag="image-segmentation",
        license=license,
        tags=["weakly-supervised-semantic-segmentation", "class-activation-map", "swtformer"],
    )
    parts = [
        f"---\n{data.to_yaml()}\n---",
        f"# {name.split('/')[1]}",
        _task(saved, model),
        "## Use",
        _use(saved, model, name),
        f"## Classes\n\nA mask holds 0 for background and these values:\n\n{_classes(model.classes)}",
        f"## How it was made\n\n{_rows(_origin(saved, model))}",
        f"## Scores\n\n{_scores(saved)}",
        f"## Limits\n\n{_limits(saved)}",
        f"## Licence\n\n{_licence(license)}",
    ]
    return "\n\n".join(parts) + "\n"


def _task(saved: SavedModel, model: Method | SegmentationNetwork) -> str:
    if isinstance(model, SegmentationNetwork):
        return (
            f"Segments photographs into background and {len(model.classes)} classes; no labels are needed. "
            f"Decoder {model.settings.decoder} on the encoder `{model.settings.encoder}`."
        )
    refined = " and refined maps" if "fusion" in model.new_modules() else ""
    return (
        f"Says which of {len(model.classes)} classes a photograph shows and makes class activation "
        f"maps{refined} that say where. Trained on image-level labels alone. "
        f"Method `{model.settings.method}` on "
        f"`{model.settings.backbone}`."
    )


def _use(saved: SavedModel, model: Method | SegmentationNetwork, name: str) -> str:
    code = _LOAD_NETWORK if saved.kind == "segmentation" else _LOAD_CAM
    package = "swtformer[seg]" if saved.kind == "segmentation" else "swtformer"
    count = len(model.classes)
    lines = code.format(name=name, count=count, channels=count + 1)
    return (
        f"```sh\npip install '{package}'\nswtformer predict {name} PHOTOS --out FOLDER\n```\n\n"
        f"```python\n{lines}\n```"
    )


def _classes(classes: tuple[str, ...]) -> str:
    rows = [f"| {value} | {_cell(name)} |" for value, name in enumerate(classes, start=1)]
    return "\n".join(["| value | class |", "|---|---|", *rows])


def _origin(saved: SavedModel, model: Method | SegmentationNetwork) -> Iterator[tuple[str, Any]]:
    parameters = sum(parameter.numel() for parameter in model.parameters())
    yield "parameters", f"{parameters / 1e6:.1f} million"
    if saved.trained is None:
        yield "training", "not recorded: the model was published without its run"
        return
    facts, settings = saved.trained.environment(), saved.trained.settings()
    if saved.kind == "segmentation":
        yield "supervision", _SUPERVISION.get(facts.get("supervision", ""), "not recorded")
        corrections = facts.get("corrections")
        if corrections is not None:
            base = Path(corrections["base"]).name
            yield "masks corrected by hand", f"{corrections['count']}; the others as in `{_cell(base)}`"
        yield "encoder's first weights", Path(settings.segment.weights).name
        yield "epochs", settings.segment.epochs
        yield "fingerprint of the masks", facts.get("masks_fingerprint")
    else:
        yield "supervision", "image-level labels"
        yield "backbone's first weights", Path(settings.model.weights).name
        yield "epochs", settings.train.epochs
        yield "fingerprint of the data", facts.get("data_fingerprint")
    yield "data", facts.get("data_name")
    yield "training images", facts.get("training_images")
    yield "images held out", facts.get("validation_images")
    yield "seed", facts.get("seed")
    packages: Mapping[str, str] = facts.get("packages", {})
    shown = [
        f"{package} {packages[package]}" for package in ("swtformer", "torch", "timm") if package in packages
    ]
    yield "made with", ", ".join(shown) or None


def _scores(saved: SavedModel) -> str:
    run = saved.trained
    if run is None or not run.scores_file.is_file():
        return "None recorded."
    scores = read_json(run.scores_file)
    return _network_score(scores) if saved.kind == "segmentation" else _map_scores(scores)


def _network_score(scores: Mapping[str, Any]) -> str:
    miou = scores.get("validation_miou")
    if miou is None:
        return "None recorded."
    truth = _HELD_OUT.get(scores.get("supervision", ""), "whether they are true masks is not recorded")
    return (
        f"mIoU {100 * miou:.2f} % against {scores.get('validation_images')} held-out masks of the kind that "
        f"it was trained on ({truth})."
    )


def _map_scores(scores: Mapping[str, Any]) -> str:
    scales = ", ".join(f"{scale:g}" for scale in scores["scales"]) or "as given"
    lines = [
        f"Split {_cell(scores['split'])}, {scores['images']} images; ground truth from the folder "
        f"`{Path(scores['ground_truth']).name or 'none'}`; mean over {len(scores['scored_classes'])} labels "
        f"with background; scales {scales}{', mirrored as well' if scores['flip'] else ''}; training seeds: "
        f"{scores['seeds']}.",
    ]
    if scores["segmentation"]:
        rows = [
            f"| {row['source']} | {row['policy']} | {_number(row['threshold'], 1)} | "
            f"{_number(row['miou'], 100)} | {'**yes**' if row['uses_ground_truth'] else 'no'} |"
            for row in scores["segmentation"]
        ]
        head = "| maps | background policy | threshold | mIoU, % | threshold chosen on the ground truth |"
        lines.append("\n".join([head, "|---|---|---|---|---|", *rows]))
    classification = scores["classification"]
    if classification:
        lines.append(
            f"Classification over {classification['images']} images: mAP "
            f"{_number(classification['map_per_class'], 100)} % (mean over classes), "
            f"{_number(classification['map_per_image'], 100)} % (mean over images)."
        )
    return "\n\n".join(lines)


def _limits(saved: SavedModel) -> str:
    lines = [
        "- It knows the classes above and calls everything else background or one of them.",
        "- Photographs unlike its training data (other cameras, scenes, seasons) can be segmented wrongly "
        "without any sign of it: look at results before decisions rest on them.",
    ]
    if saved.kind == "cam":
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
    return "–" if value is None else f"{factor * value:.2f}"


def _cell(text: str) -> str:
    """Text that cannot break a table."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")
