"""Draws what could choose the background weight of V3 without masks, beside what masks say.

    pip install matplotlib
    python benchmarks/criteria.py RUN [--images 100] [--classes dog cat] [--json msrc.json]
    python benchmarks/criteria.py --table msrc=msrc.json steel=steel.json --plot criteria.svg

RUN was trained with any pyramid method. Of the images that its maps were made for, those with masks and
labels are taken, evenly spread, with a long side of 500 px; one scale and its mirror image. For every weight
the mIoU of the R-CAMs stands beside:

- agreement: part of the tokens whose seed and R-CAM name the same label;
- kappa: the same less what chance gives (Cohen 1960), pooled over the images;
- mirror: part of the tokens whose label is that of the mirror image alone;
- edges: mean colour gradient along the borders of the labels, by that of the whole image;
- blanking: probability of the image's classes with the background in the image's mean colour, less that with
  the objects in it; the classifier judges its own maps;
- unclaimed: part of the pixels that are background.

Masks score and choose nothing.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from recipes import WEIGHTS, labels_of
from torch import Tensor

from swtformer.datasets.images import read_image
from swtformer.datasets.label_images import read_truth
from swtformer.datasets.of_run import open_data_of
from swtformer.datasets.records import ImageSet
from swtformer.functional.activation import normalised, with_background
from swtformer.functional.scores import confusion_matrix, mean_iou
from swtformer.functional.seeds import prototype_refinement, refined_maps
from swtformer.functional.views import resized
from swtformer.methods import PyramidMethod
from swtformer.methods.fusion import side_by_side
from swtformer.methods.pretrained import from_pretrained
from swtformer.scoring.measures import scored_labels
from swtformer.settings import DataSettings
from swtformer.store.files import write_json
from swtformer.store.notes import training_notes
from swtformer.store.run import Run

CRITERIA = ("agreement", "kappa", "mirror", "edges", "blanking", "unclaimed")
LONG_SIDE_PX = 500
CURVES = (*CRITERIA, "mIoU")
OTHERS = {
    "found for each image (V3)": (True, True),
    "the same, seeds located by the last stage": (False, True),
    "the same, the image without its mirror image": (True, False),
}
"""Ways without one weight for all images, by name: seeds by the fused features, and the mirror image."""


def rcams(tokens: Tensor, fused: Tensor, maps: Tensor, weight: float | None) -> tuple[Tensor, Tensor]:
    """Labels (h, w) of the seeds, 0 for the background, and (1, K+1, h, w) R-CAMs of an image."""
    present = maps.new_ones(1, maps.shape[1])
    cam = with_background(resized(maps, tokens.shape[-2:]), present, over="present")
    made = prototype_refinement(
        tokens, fused, cam, present, affinity="relu", background_weight=weight, seedless="closest"
    )
    return made.seeds[0].argmax(0), refined_maps(made.similarities, scaled="together")


def edges(image: Tensor, labels: Tensor) -> float:
    """Mean gradient of an image (3, H, W) where labels (H, W) change, by that of all pixels; nan without."""
    across = (image[:, :, 1:] - image[:, :, :-1]).abs().sum(0)
    down = (image[:, 1:] - image[:, :-1]).abs().sum(0)
    borders = torch.cat([across[labels[:, 1:] != labels[:, :-1]], down[labels[1:] != labels[:-1]]])
    return float(borders.mean() / torch.cat([across.flatten(), down.flatten()]).mean().clamp_min(1e-6))


def verdict(model: PyramidMethod, image: Tensor, objects: Tensor, classes: list[int]) -> float:
    """Mean probability of classes with the objects (H, W) of an image alone, less that without them."""
    mean = image.mean((1, 2), keepdim=True)
    shown = torch.stack([torch.where(objects, image, mean), torch.where(objects, mean, image)])
    probabilities = model.encode(shown).logits.sigmoid()[:, classes].mean(1)
    return float(probabilities[0] - probabilities[1])


@torch.no_grad()
def curves(
    model: PyramidMethod, images: ImageSet, reading: DataSettings, over: list[int]
) -> dict[str, dict[str, float]]:
    """Means of the criteria and the mIoU in %, by weight; and the mIoU of OTHERS."""
    count = len(images.classes) + 1
    names = [f"{weight:g}" for weight in WEIGHTS]
    means = torch.zeros(len(names), 4, dtype=torch.float64)
    pairs = torch.zeros(len(names), count, count, dtype=torch.float64)
    bordered = torch.zeros(len(names), 2, dtype=torch.float64)
    areas = torch.zeros(len(names) + len(OTHERS), count, count + 1, dtype=torch.int64)
    for done, record in enumerate(images.records, start=1):
        print(f"\r{done}/{len(images.records)}", end="", flush=True)
        classes = list(record.present or ())
        truth = torch.from_numpy(read_truth(record, images.classes))
        size = (truth.shape[0], truth.shape[1])
        pixels = torch.from_numpy(read_image(record.image, reading)).permute(2, 0, 1)[None].float() / 255
        grid = [round(side * LONG_SIDE_PX / max(size)) for side in size]
        image = resized(pixels, grid, antialias=True)[0]
        one, mirrored = model.encode(image[None]), model.encode(image[None].flip(-1))
        views = [side_by_side(one.pyramid), side_by_side(mirrored.pyramid).flip(-1)]
        shown = [one.activations[:, classes].relu(), mirrored.activations.flip(-1)[:, classes].relu()]
        maps = normalised(shown[0] + shown[1], norm="max")
        last = one.pyramid[-1] + mirrored.pyramid[-1].flip(-1)
        values = torch.tensor([0, *(index + 1 for index in classes)], dtype=torch.uint8)
        fused = views[0] + views[1]
        for place, weight in enumerate(WEIGHTS):
            seeds, rcam = rcams(fused, fused, maps, weight)
            tokens = rcam[0].argmax(0)
            alone = [
                rcams(view, view, normalised(own, norm="max"), weight)[1][0].argmax(0)
                for view, own in zip(views, shown, strict=True)
            ]
            labels = labels_of(rcam, values, (grid[0], grid[1]))
            flat = values[seeds.flatten()].long() * count + values[tokens.flatten()].long()
            pairs[place] += flat.bincount(minlength=count**2).view(count, count) / flat.numel()
            sharp = edges(image, labels)
            bordered[place] += torch.tensor([sharp, 1.0]) if sharp == sharp else torch.zeros(2)
            means[place] += torch.tensor([
                float((seeds == tokens).double().mean()),
                float((alone[0] == alone[1]).double().mean()),
                verdict(model, image, labels > 0, classes),
                float((labels == 0).double().mean()),
            ]).double()  # fmt: skip
            areas[place] += confusion_matrix(labels_of(rcam, values, size), truth, labels=count)
        for place, (by_fused, both) in enumerate(OTHERS.values(), start=len(names)):
            features = fused if both else views[0]
            own = maps if both else normalised(shown[0], norm="max")
            _, rcam = rcams(features if by_fused else last, features, own, None)
            areas[place] += confusion_matrix(labels_of(rcam, values, size), truth, labels=count)
    print()
    means /= len(images.records)
    chance = (pairs.sum(2) * pairs.sum(1)).sum(1) / pairs.sum((1, 2)) ** 2
    same = pairs.diagonal(dim1=1, dim2=2).sum(1) / pairs.sum((1, 2))
    columns = {
        "agreement": means[:, 0],
        "kappa": (same - chance) / (1 - chance),
        "mirror": means[:, 1],
        "edges": bordered[:, 0] / bordered[:, 1],
        "blanking": means[:, 2],
        "unclaimed": means[:, 3],
        "mIoU": 100 * mean_iou(areas[: len(names)], over=over),
    }
    found = {name: dict(zip(names, column.tolist(), strict=True)) for name, column in columns.items()}
    others = (100 * mean_iou(areas[len(names) :], over=over)).tolist()
    return found | {"others": dict(zip(OTHERS, others, strict=True))}


def table(sets: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """The weight that each criterion would choose on each set, and what it would give."""
    head = " | ".join(f"{name}: weight, mIoU" for name in sets)
    lines = [f"| chosen by | {head} |", "|---" * (1 + len(sets)) + "|"]
    rows = {f"largest {name}": (name, max) for name in CRITERIA[:-1]}
    rows["smallest agreement"] = ("agreement", min)
    rows["masks*"] = ("mIoU", max)
    for title, (name, choose) in rows.items():
        cells = []
        for found in sets.values():
            weight = choose(found[name], key=lambda each: found[name][each])
            cells.append(f"{weight}, {found['mIoU'][weight]:.1f}")
        lines.append(f"| {title} | {' | '.join(cells)} |")
    for name in OTHERS:
        cells = [f"{found['others'][name]:.1f}" for found in sets.values()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def plot(sets: Mapping[str, Mapping[str, Mapping[str, float]]], file: Path) -> None:
    """A curve of each criterion over the weights, and that of the mIoU, one panel for each set."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams["svg.hashsalt"] = "swtformer"
    figure = Figure(figsize=(5 * len(sets), 4))
    panels = figure.subplots(1, len(sets), squeeze=False, sharey=True)
    for panel, (title, found) in zip(panels[0], sets.items(), strict=True):
        for name in CURVES:
            values = torch.tensor(list(found[name].values()))
            spread = (values.max() - values.min()).clamp_min(1e-9)
            bold = {"color": "black", "linewidth": 3} if name == "mIoU" else {"linewidth": 1.3}
            panel.plot(WEIGHTS, (values - values.min()) / spread, label=name, **bold)
        panel.set_title(title)
        panel.set_xlabel("background weight")
    panels[0][0].set_ylabel("from its least to its greatest value")
    panels[0][-1].legend(loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False)
    figure.savefig(file, bbox_inches="tight", metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--classes", nargs="*", help="classes that are scored; by default all")
    parser.add_argument("--json", type=Path, help="file to write the curves to")
    parser.add_argument("--table", nargs="*", metavar="NAME=FILE", help="print the table of such files")
    parser.add_argument("--plot", type=Path, help="draw the curves of such files")
    options = parser.parse_args()
    if options.table:
        files = dict(item.split("=", 1) for item in options.table)
        sets = {name: json.loads(Path(file).read_text()) for name, file in files.items()}
        print(table(sets))
        if options.plot is not None:
            plot(sets, options.plot)
        return
    run = Run(options.run)
    model = from_pretrained(run.path)
    if not isinstance(model, PyramidMethod):
        raise SystemExit(f"{run.path}: expected a method with a CAM head on a pyramid.")
    data = open_data_of(run, training_notes(run))
    mapped = set(run.map_ids())
    usable = [
        place
        for place, record in enumerate(data.records)
        if record.id in mapped and record.mask is not None and record.present
    ]
    step = max(len(usable) // options.images, 1)
    images = data.subset(usable[::step][: options.images])
    found = curves(
        model.eval(), images, run.settings().data, list(scored_labels(data, options.classes or None))
    )
    print(f"{len(images.records)} images")
    print(table({run.path.parent.name: found}))
    if options.json is not None:
        write_json(options.json, found)


if __name__ == "__main__":
    main()
