"""How far a segmentation network trained on pseudo-masks is from the same network trained on true masks.

    swtformer localize RUN VOC_SUBSET --data.split trainaug
    swtformer refine RUN && swtformer pseudo-label RUN
    python benchmarks/segmentation.py --run RUN --data VOC_SUBSET --out runs/distance --steps 2000 \\
        --classes cat cow dog horse sheep person > benchmarks/segmentation.md

The images that have true masks (`--masked`, VOC's train.txt) are split into two halves of about equal
class counts, A and B. All networks start from the same weights, take the same number of steps with the same
settings (`--config`), and are scored on the true masks of B, which none of them is trained on in any form:

- `true A`       the true masks of A. The supervised network.
- `pseudo A`     the pseudo-masks of the same images: what the masks' quality alone costs.
- `pseudo all`   the pseudo-masks of all images with labels (`--labelled`, VOC's trainaug) but those of B:
                 what weak supervision is for, many images with cheap labels against few with dear ones.
- `no network`   the maps of B themselves by argmax, before and after the refiner, and the pseudo-masks, all
                 made with B's image-level labels known. To compare, each network is also scored when it may
                 only name the classes of these labels (instead of what its image-level head sees);
                 `predict` does not know them.

What is not independent of B: the run's CAM model, as a rule, was trained with the image-level labels of all
images, B's included, so where the encoder is the run's, the networks start from a backbone and a classifier
that have seen them. For a figure without that, train another run on a list without B (`--print-half` writes
B's ids to stdout) and name it as `--start`. No choice is made by looking at B: no validation, the last
weights are kept.

Experiments that are done are kept in OUT; stopped, the same command goes on.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import torch

from swtformer.datasets import open_dataset, split_off
from swtformer.datasets.images import read_image
from swtformer.datasets.label_images import read_labels
from swtformer.datasets.records import ImageSet
from swtformer.datasets.truth import records_with_mask
from swtformer.functional.scores import ConfusionMatrix, mean_iou
from swtformer.functional.views import resized
from swtformer.inference.windows import class_probabilities, seen_size
from swtformer.machine import machine_line
from swtformer.precision import pick_device, pick_precision
from swtformer.scoring.measures import scored_labels
from swtformer.segmentation import SegmentationNetwork
from swtformer.segmentation.pretrained import load_network
from swtformer.settings import Settings, merge, read_settings, validate
from swtformer.stages.evaluate import evaluate, evaluate_folder
from swtformer.stages.predict import predict
from swtformer.stages.segment import segment
from swtformer.store.files import read_json, sha256, write_json
from swtformer.store.models import WEIGHTS
from swtformer.store.run import Run

EXPERIMENTS = ("true A", "pseudo A", "pseudo all")


@dataclass(frozen=True)
class Experiment:
    """One network: what it is trained on."""

    name: str
    note: str
    images: ImageSet
    masks: Path


def _settings(arguments: argparse.Namespace, run: Run) -> Settings:
    """The run's settings below those of the file and the classes that are scored."""
    values = run.settings().model_dump(mode="json")
    if arguments.config is not None:
        values = merge(values, read_settings(arguments.config))
    if arguments.classes:
        values = merge(values, {"evaluate": {"score_classes": arguments.classes}})
    return validate(Settings, values, where="benchmark")


def _for(settings: Settings, experiment: Experiment, *, steps: int, seed: int) -> Settings:
    """The settings of one network: as many epochs as the steps take."""
    segment_values = {
        "masks": str(experiment.masks),
        "epochs": max(1, round(steps * settings.segment.batch_size / len(experiment.images))),
        "validation_fraction": 0.0,
        "keep": "last",
        "early_stopping_patience": 0,
    }
    values = merge(settings.model_dump(mode="json"), {"seed": seed, "segment": segment_values})
    return validate(Settings, values, where="benchmark")


def _note(stage: str, done: int, total: int, note: str = "") -> None:
    if done == total or done % 100 == 0:
        print(f"  {stage} {done}/{total} {note}", file=sys.stderr, flush=True)


def _halves(data: ImageSet, seed: int) -> tuple[ImageSet, ImageSet]:
    masked = data.subset([place for place, record in enumerate(data.records) if record.mask is not None])
    return split_off(masked, 0.5, seed)


def _without(data: ImageSet, other: ImageSet, masks: Path) -> ImageSet:
    """The images of a set that have a mask and are not of the other set."""
    left_out = {record.id for record in other.records}
    return data.subset(
        [
            place
            for place, record in enumerate(data.records)
            if record.id not in left_out and (masks / f"{record.id}.png").is_file()
        ]
    )


def _result(
    start: Run, experiment: Experiment, scored: ImageSet, *, settings: Settings, folder: Path
) -> dict[str, Any]:
    """Train, predict and score, unless that is done."""
    file = folder / "result.json"
    begun_from = _weights(start, settings)
    noted = folder / "start.json"
    is_there = noted.is_file() or (folder / "network").is_dir()
    if is_there and (read_json(noted) if noted.is_file() else None) != begun_from:
        raise SystemExit(f"{folder}: begun from another model than that of {start.path}; name another --out.")
    if file.is_file():
        return dict(read_json(file))
    write_json(noted, begun_from)
    trained = Run(folder / "network")
    started = time.monotonic()
    result = segment(
        start,
        experiment.images,
        settings=settings,
        out=trained.path,
        resume=trained.settings_file.is_file(),
        progress=_note,
    )
    seconds = time.monotonic() - started
    made = predict(trained.path, scored, folder / "predicted", settings=settings.predict, progress=_note)
    scores = evaluate_folder(made.masks, scored, settings=settings.evaluate)
    row = {
        "supervision": result.supervision,
        "images": result.images,
        "epochs": settings.segment.epochs,
        "seconds": seconds,
        "miou": scores.segmentation[0].miou,
        **_without_head(load_network(trained.model), scored, settings),
    }
    write_json(file, row)
    return row


@torch.inference_mode()
def _without_head(network: SegmentationNetwork, scored: ImageSet, settings: Settings) -> dict[str, float]:
    """mIoU without the image-level head.

    "miou_without_head" of all classes, "miou_labels_known" where the network may only name classes of the
    image-level labels, as maps and seeds do.
    """
    options = settings.predict
    free, known = (ConfusionMatrix(len(scored.classes) + 1) for _ in range(2))
    for record in scored.records:
        image = torch.from_numpy(read_image(record.image, settings.data)).permute(2, 0, 1)
        seen = resized(image[None].float(), seen_size(network, image.shape[1:]), antialias=True)
        shares = class_probabilities(network, seen, scales=options.scales, flip=options.flip, presence=0)
        shares = resized(shares, image.shape[1:])[0]
        truth = torch.from_numpy(read_labels(record.mask, scored.classes))
        free.update(shares.argmax(0).to(torch.uint8), truth)
        named = [0, *(index + 1 for index in record.present or ())]
        known.update(torch.tensor(named)[shares[named].argmax(0)].to(torch.uint8), truth)
    over = scored_labels(scored, settings.evaluate.score_classes)
    return {
        "miou_without_head": float(mean_iou(free.counts, over=over)),
        "miou_labels_known": float(mean_iou(known.counts, over=over)),
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Run what is missing and print the Markdown page."""
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, required=True, help="run with pseudo-masks of the labelled split")
    parser.add_argument(
        "--start",
        type=Path,
        help="run whose model the networks start from where their encoder is `run` (default: --run)",
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--masked", default="train", help="split whose images have true masks")
    parser.add_argument("--labelled", default="trainaug", help="split whose images have pseudo-masks")
    parser.add_argument(
        "--classes", nargs="*", help="classes that the mean runs over, besides the background"
    )
    parser.add_argument("--steps", type=int, default=2000, help="optimiser steps of every network")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    parser.add_argument(
        "--only", nargs="*", choices=EXPERIMENTS, default=EXPERIMENTS, help="networks to train (default: all)"
    )
    parser.add_argument("--config", type=Path, help="YAML file of settings above the run's")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--print-half", action="store_true", help="print the ids of half B and stop")
    arguments = parser.parse_args(argv)
    torch.set_num_threads(arguments.threads)
    run = Run(arguments.run)
    start = run if arguments.start is None else Run(arguments.start)
    settings = _settings(arguments, run)
    data = settings.data.model_copy(update={"split": None, "format": "auto", "classes": run.classes()})
    masked = open_dataset(arguments.data, data, split=arguments.masked)
    half_a, half_b = _halves(masked, seed=0)
    if arguments.print_half:
        print("\n".join(record.id for record in half_b.records))
        return
    first, mask = records_with_mask(masked)[0]
    truth = mask.parents[len(Path(first.id).parts) - 1]
    labelled = _without(
        open_dataset(arguments.data, data, split=arguments.labelled), half_b, run.pseudo_masks
    )
    same = _without(half_a, half_b, run.pseudo_masks)
    experiments = [
        Experiment("true A", "true masks of half A", half_a, truth),
        Experiment("pseudo A", "pseudo-masks of the same images", same, run.pseudo_masks),
        Experiment("pseudo all", "pseudo-masks of all labelled images but B's", labelled, run.pseudo_masks),
    ]
    results = [
        (
            experiment,
            seed,
            _result(
                start,
                experiment,
                half_b,
                settings=_for(settings, experiment, steps=arguments.steps, seed=seed),
                folder=arguments.out / f"{experiment.name.replace(' ', '-')}-seed{seed}",
            ),
        )
        for experiment in experiments
        if experiment.name in arguments.only
        for seed in arguments.seeds
    ]
    _print(argv, arguments, run, start, settings, half_a, half_b, results)


def _print(
    argv: Sequence[str],
    arguments: argparse.Namespace,
    run: Run,
    start: Run,
    settings: Settings,
    half_a: ImageSet,
    half_b: ImageSet,
    results: list[tuple[Experiment, int, dict[str, Any]]],
) -> None:
    over = ", ".join(settings.evaluate.score_classes or half_b.classes)
    print("# Distance of pseudo-masks to full supervision\n")
    print(f"    python benchmarks/segmentation.py {shlex.join(argv)}\n")
    if arguments.config is not None:
        print(f"`{arguments.config.name}`:\n\n```yaml\n{arguments.config.read_text().strip()}\n```\n")
    options = settings.segment
    machine = machine_line(
        threads=torch.get_num_threads(),
        torch_version=torch.__version__,
        precision=pick_precision(options.precision, pick_device(options.accelerator)),
    )
    print(
        f"{machine}; {date.today().isoformat()}; seeds {', '.join(map(str, arguments.seeds))}.\n"
        "Scored: half B of "
        f"`{half_b.name}`, {len(half_b)} images (half A: {len(half_a)}), true masks, "
        f"mean over background, {over}.\n"
        f"{options.decoder} on {_encoder(run, start, settings)}, about {arguments.steps} steps (whole "
        f"epochs) of {options.batch_size}, crop {options.crop_px}, learning rate {options.learning_rate:g}; "
        f"pseudo-masks by {read_json(run.pseudo_masks_file)['method']}; prediction at scales "
        f"{', '.join(f'{scale:g}' for scale in settings.predict.scales)}"
        f"{' with mirror image' if settings.predict.flip else ''}.\n"
    )
    print(
        "| trained on | seed | images | epochs | steps | mIoU of B, % | without the image-level head "
        "| image labels known | training, s |\n"
        "|---|---|---|---|---|---|---|---|---|"
    )
    for experiment, seed, row in results:
        steps = row["epochs"] * -(-row["images"] // options.batch_size)
        print(
            f"| {experiment.note} | {seed} | {row['images']} | {row['epochs']} | {steps} "
            f"| {100 * row['miou']:.2f} | {100 * row['miou_without_head']:.2f} "
            f"| {100 * row['miou_labels_known']:.2f} | {row['seconds']:.0f} |"
        )
    for note, miou in _without_network(run, half_b, settings):
        print(f"| no network: {note} | | | | | | | {100 * miou:.2f} | |")
    print(
        "\nPseudo-masks hold 255 where the evidence is weak, which counts as a miss here. "
        "What the columns leave out is in the docstring of the script."
    )


def _weights(start: Run, settings: Settings) -> str | None:
    """SHA-256 of the model that networks start from; None where their encoder is another."""
    return sha256(start.model / WEIGHTS) if settings.segment.encoder == "run" else None


def _encoder(run: Run, start: Run, settings: Settings) -> str:
    if settings.segment.encoder != "run":
        return settings.segment.encoder
    whose = "the run's own" if start == run else f"`{start.path.name}`'s"
    return f"{whose} {start.settings().model.backbone}"


def _without_network(run: Run, half_b: ImageSet, settings: Settings) -> Iterator[tuple[str, float]]:
    """What B's maps and pseudo-masks score as they are."""
    chosen = settings.evaluate.model_copy(update={"policies": ["argmax"]})
    kinds = (("maps", "rcam", "R-CAM of B by argmax"), ("refined", "refined", "refined maps of B by argmax"))
    for maps, source, note in kinds:
        scores = evaluate(run, half_b, settings=chosen.model_copy(update={"maps": maps}))
        yield note, next(row.miou for row in scores.segmentation if row.source == source)
    masks = evaluate_folder(run.pseudo_masks, half_b, settings=settings.evaluate)
    yield "pseudo-masks of B", masks.segmentation[0].miou


if __name__ == "__main__":
    main()
