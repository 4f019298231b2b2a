"""Compares ways to refine CAMs by prototypes, on a classifier that is trained already.

    python benchmarks/recipes.py RUN DATA --masks DATA/masks --json msrc.json
    python benchmarks/recipes.py --table msrc=msrc.json steel=steel.json      # the table of recipes.md

RUN was trained with any pyramid method; its backbone and CAM head are used, one scale and its mirror image.
Of the images with masks, every third (--every) was looked at when the ways were chosen; the others score the
choice. Masks choose nothing else, except for the row that says so.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from swtformer.datasets import open_dataset
from swtformer.datasets.images import read_image
from swtformer.datasets.label_images import read_truth
from swtformer.functional.activation import normalised, with_background
from swtformer.functional.scores import confusion_matrix, mean_iou
from swtformer.functional.seeds import prototype_refinement, refined_maps
from swtformer.functional.views import resized
from swtformer.methods import PyramidMethod
from swtformer.methods.fusion import side_by_side
from swtformer.methods.pretrained import from_pretrained
from swtformer.settings import DataSettings
from swtformer.store.files import write_json

WEIGHTS = (0.5, 0.6, 0.7, 0.75, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.5)
THRESHOLDS = tuple(step / 50 for step in range(5, 45))


@dataclass(frozen=True)
class Way:
    """One way to refine CAMs.

    Attributes:
        name: in the table.
        fused: seeds are located by the fused features, not by those of the last stage.
        weight: of the background; None finds it for each image.
        scaled: see `refined_maps`.
    """

    name: str
    fused: bool
    weight: float | None
    scaled: str


WAYS = (
    Way(
        "seeds by the last stage, weight 0.5, each map by its maximum (V2 without its fusion)",
        False,
        0.5,
        "each",
    ),
    Way("seeds by the fused features, weight 0.5, each map by its maximum (as SIPE)", True, 0.5, "each"),
    *(Way(f"weight {weight:g}", True, weight, "together") for weight in WEIGHTS),
    Way("weight found for each image, each map by its maximum", True, None, "each"),
    Way("weight found for each image (V3)", True, None, "together"),
)


@torch.no_grad()
def look(model: PyramidMethod, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Last stage, fused features and summed activations of an image and its mirror image."""
    one, mirrored = model.encode(image), model.encode(image.flip(-1))
    last = one.pyramid[-1] + mirrored.pyramid[-1].flip(-1)
    fused = side_by_side(one.pyramid) + side_by_side(mirrored.pyramid).flip(-1)
    return last, fused, one.activations.relu() + mirrored.activations.flip(-1).relu()


def labels_of(maps: Tensor, values: Tensor, size: tuple[int, int]) -> Tensor:
    """Label image of (1, K+1, h, w) maps by their argmax."""
    return values[resized(maps, torch.Size(size))[0].argmax(0)]


def compare(
    run: Path, data: Path, settings: DataSettings, *, every: int, scored: Sequence[str]
) -> dict[str, list[float]]:
    """mIoU in % of every way, on the images that were looked at and on the others."""
    model = from_pretrained(run)
    if not isinstance(model, PyramidMethod):
        raise SystemExit(f"{run}: expected a method with a CAM head on a pyramid.")
    images = open_dataset(data, settings)
    count = len(images.classes) + 1
    rows = [way.name for way in WAYS] + [f"CAM at {value:g}" for value in THRESHOLDS]
    sums = torch.zeros(2, len(rows), count, count + 1, dtype=torch.int64)
    records = [record for record in images.records if record.mask is not None]
    for place, record in enumerate(records):
        part = int(place % every != 0)
        truth = torch.from_numpy(read_truth(record, images.classes))
        size = (truth.shape[0], truth.shape[1])
        names = [images.classes[index] for index in record.present or ()]
        if not names:
            sums[part] += confusion_matrix(torch.zeros_like(truth), truth, labels=count)
            continue
        values = torch.tensor([0, *(images.classes.index(name) + 1 for name in names)], dtype=torch.uint8)
        pixels = torch.from_numpy(read_image(record.image, settings)).permute(2, 0, 1)[None]
        last, fused, activations = look(model, pixels)
        own = activations[:, [model.classes.index(name) for name in names]]
        present = torch.ones(1, len(names))
        maps = normalised(own, norm="max")
        for row, way in enumerate(WAYS):
            tokens = fused if way.fused else last
            cam = with_background(resized(maps, tokens.shape[-2:]), present, over="present")
            made = prototype_refinement(
                tokens,
                fused,
                cam,
                present,
                affinity="relu",
                background_weight=way.weight,
                seedless="closest",
            )
            refined = refined_maps(made.similarities, scaled=way.scaled)
            sums[part, row] += confusion_matrix(labels_of(refined, values, size), truth, labels=count)
        for row, threshold in enumerate(THRESHOLDS, start=len(WAYS)):
            background = torch.full_like(maps[:, :1], threshold)
            labels = labels_of(torch.cat([background, maps], dim=1), values, size)
            sums[part, row] += confusion_matrix(labels, truth, labels=count)
    over = [0, *(images.classes.index(name) + 1 for name in scored or images.classes)]
    scores = (100 * mean_iou(sums, over=over)).T.tolist()
    return {"images": [float(len(records[::every])), float(len(records) - len(records[::every]))]} | dict(
        zip(rows, scores, strict=True)
    )


def table(sets: dict[str, dict[str, list[float]]]) -> str:
    """Rows of the ways, columns of the sets: looked at, and others."""
    head = " | ".join(
        f"{name}, {found['images'][0]:.0f} looked at | {found['images'][1]:.0f} others"
        for name, found in sets.items()
    )
    lines = [f"| way | {head} |", "|---" * (1 + 2 * len(sets)) + "|"]
    rows: list[tuple[str, list[list[float]]]] = []
    best = []
    for found in sets.values():
        thresholds = [values for name, values in found.items() if name.startswith("CAM at")]
        best.append([max(column) for column in zip(*thresholds, strict=True)])
    rows.append(("CAM, threshold chosen on these masks*", best))
    rows += [(way.name, [found[way.name] for found in sets.values()]) for way in WAYS]
    for name, columns in rows:
        cells = " | ".join(f"{value:.1f}" for pair in columns for value in pair)
        lines.append(f"| {name} | {cells} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--every", type=int, default=3)
    parser.add_argument("--masks", type=Path)
    parser.add_argument("--format", default="auto")
    parser.add_argument("--split")
    parser.add_argument("--score", default="", help="class names, separated by commas; all by default")
    parser.add_argument("--json", type=Path, help="file to write the scores to")
    parser.add_argument("--table", nargs="*", metavar="NAME=FILE", help="print the table of such files")
    options = parser.parse_args()
    if options.table:
        files = dict(item.split("=", 1) for item in options.table)
        print(table({name: json.loads(Path(file).read_text()) for name, file in files.items()}))
        return
    settings = DataSettings(masks=options.masks, format=options.format, split=options.split)
    scored = [name for name in options.score.split(",") if name]
    found = compare(options.run, options.data, settings, every=options.every, scored=scored)
    print(table({options.run.name: found}))
    if options.json is not None:
        write_json(options.json, found)


if __name__ == "__main__":
    main()
