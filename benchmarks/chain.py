"""From labels to a network, scored on photographs that nothing was trained on: ours beside true masks.

    python benchmarks/chain.py DATA/labels.csv --split benchmarks/splits/msrc.csv --out runs/chain-msrc \\
        --config chain.yaml [--rounds 2] [--part compare | final] [--true-masks] [--seed 1] \\
        [--classes dog cat] [--rest]

The split file gives each image a part: the images of `train` are trained on by their labels, with
`swtformer run`; recipes are compared on `compare`; `final` is scored once a recipe is chosen. DATA's masks
(`data.masks` in the configuration) score and do nothing else, but for the row of true masks: the same
network, started from the same classifier and trained on them. Differences between networks come with the
95 % interval of a paired bootstrap over the images. What is finished in OUT is kept, but for predictions.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor

from swtformer.datasets import open_dataset
from swtformer.datasets.label_images import read_truth
from swtformer.datasets.mask_images import read_mask
from swtformer.datasets.records import ImageSet
from swtformer.functional.scores import confusion_matrix, label_areas, mean_iou
from swtformer.machine import machine_line
from swtformer.precision import pick_precision
from swtformer.scoring.measures import scored_labels
from swtformer.scoring.paired_bootstrap import paired_bootstrap
from swtformer.settings import Settings, merge, read_settings, validate
from swtformer.stages.chain import run_stages
from swtformer.stages.predict import predict
from swtformer.stages.segment import segment
from swtformer.store.masks import write_mask
from swtformer.store.run import Run


def parts(split: Path) -> dict[str, list[str]]:
    """Ids of the images of each part."""
    found: dict[str, list[str]] = {}
    with split.open(newline="") as stream:
        for row in csv.DictReader(stream):
            found.setdefault(row["part"], []).append(row["id"])
    return found


def part_of(data: ImageSet, ids: Sequence[str]) -> ImageSet:
    """The images of a part; a set's ids may have folders before the names of the split file."""
    wanted = set(ids)
    names = [Path(record.id).name for record in data.records]
    if len(set(names)) < len(names):
        raise SystemExit("Two images have one name, so a split by names cannot tell them apart.")
    return data.subset([place for place, record in enumerate(data.records) if Path(record.id).name in wanted])


def unseen(network: Path, images: ImageSet, settings: Settings, out: Path) -> Tensor:
    """(I, N, N+1) counts of a network's masks of images, which it made without their labels."""
    predict(network, images, out, settings=settings.predict)
    counts = []
    for record in images.records:
        truth = torch.from_numpy(read_truth(record, images.classes))
        labels = torch.from_numpy(read_mask(out / "masks" / f"{record.id}.png"))
        counts.append(confusion_matrix(labels, truth, labels=len(images.classes) + 1))
    return torch.stack(counts)


def train_on_truth(run: Run, train: ImageSet, settings: Settings, out: Path) -> Run:
    """The same network from the same classifier, on the true masks of the same images."""
    masks = out / "masks"
    for record in train.records:
        if record.mask is not None and not (masks / f"{record.id}.png").is_file():
            write_mask(masks / f"{record.id}.png", read_truth(record, train.classes))
    options = settings.segment.model_copy(update={"masks": masks})
    settings = settings.model_copy(update={"segment": options})
    network = out / "network"
    segment(run, train, settings=settings, out=network, resume=(network / "settings.yaml").is_file())
    return Run(network)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--split", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--part", choices=("compare", "final"), default="compare")
    parser.add_argument("--true-masks", action="store_true")
    parser.add_argument("--true-epochs", type=int, help="epochs on true masks; by default those of segment")
    parser.add_argument("--rest", action="store_true", help="also train on images that the split leaves out")
    parser.add_argument("--seed", type=int, help="by default the configuration's")
    parser.add_argument("--classes", nargs="*", help="classes that are scored; by default all")
    options = parser.parse_args()
    settings = validate(Settings, read_settings(options.config), where=str(options.config))
    chosen: dict[str, object] = {}
    if options.classes:
        chosen["evaluate"] = {"score_classes": options.classes}
    if options.seed is not None:
        chosen["seed"] = options.seed
    settings = validate(Settings, merge(settings.model_dump(), chosen), where="--classes, --seed")
    data = open_dataset(options.data, settings.data, reader=settings.reader)
    ids = parts(options.split)
    if options.rest:
        named = {name for names in ids.values() for name in names}
        ids["train"] += [
            name for name in (Path(record.id).name for record in data.records) if name not in named
        ]
    train, other = part_of(data, ids["train"]), part_of(data, ids[options.part])
    result = run_stages(train, settings=settings, out=options.out / "run", rounds=options.rounds)
    assert result.scores is not None
    precision = pick_precision(settings.segment.precision, "cpu")
    print(machine_line(threads=torch.get_num_threads(), torch_version=torch.__version__, precision=precision))
    over = scored_labels(data, settings.evaluate.score_classes)
    print(f"{len(train)} images trained on, {len(other)} of `{options.part}`, seed {settings.seed}, ", end="")
    print(f"mIoU in % over {len(over)} labels\n")
    print("| what | of | mIoU |\n|---|---|---|")
    for step in result.scores.steps:
        if step.knows_labels and step.miou is not None:
            share = "" if step.coverage == 1 else f", {100 * step.coverage:.1f} % of the pixels"
            print(
                f"| {step.masks} ({step.background}){share} | train, labels known | {100 * step.miou:.1f} |"
            )
    networks = {
        f"network of round {number}": result.run.round(number).segmentation
        for number in range(1, max(2, options.rounds))
    }
    if options.true_masks:
        place = "true"
        if options.true_epochs is not None:
            place = f"true-{options.true_epochs}"
            longer = settings.segment.model_copy(update={"epochs": options.true_epochs})
            settings = settings.model_copy(update={"segment": longer})
        truth = train_on_truth(result.run, train, settings, options.out / place)
        networks["network trained on true masks"] = truth.path
    found = {}
    for number, (name, network) in enumerate(networks.items(), start=1):
        found[name] = unseen(network, other, settings, options.out / f"unseen-{options.part}-{number}")
        miou = float(mean_iou(found[name].sum(0), over=over))
        print(f"| {name} | {options.part}, no labels | {100 * miou:.1f} |")
    for before, after in pairwise(found):
        made = paired_bootstrap(label_areas(found[after]), label_areas(found[before]), over=over)
        interval = f"{100 * made.low:+.1f} to {100 * made.high:+.1f}"
        print(f"| {after} minus {before} | {options.part} | {100 * made.value:+.1f} ({interval}) |")


if __name__ == "__main__":
    main()
