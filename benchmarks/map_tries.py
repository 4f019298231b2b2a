"""Tries changes of R-CAMs on the features of a trained V3, which are computed once.

    python benchmarks/map_tries.py RUN --data DATA/labels.csv --split benchmarks/splits/msrc.csv \\
        [--classes dog cat] [--cache features.pt] [--only rcam walk-4] [--par]

RUN is the folder `run` in what `chain.py` wrote, or any run of `swtformer_v3` on these images. Masks of the
images of `train` score the maps and do nothing else. One scale and its mirror image, labels known.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from chain import part_of, parts
from torch import Tensor

from swtformer.datasets import open_dataset
from swtformer.datasets.images import read_image
from swtformer.datasets.label_images import read_truth
from swtformer.datasets.records import ImageSet
from swtformer.functional.activation import normalised, with_background
from swtformer.functional.labels import upsample
from swtformer.functional.scores import confusion_matrix, mean_iou
from swtformer.functional.seeds import locate_seeds, prototypes, refined_maps
from swtformer.functional.views import on_grid, resized
from swtformer.methods.fusion import side_by_side
from swtformer.methods.pretrained import from_pretrained
from swtformer.methods.swtformer_v3 import SWTformerV3
from swtformer.refiners import create_refiner
from swtformer.scoring.measures import scored_labels
from swtformer.settings import Settings
from swtformer.store.maps import ClassActivationMaps
from swtformer.store.run import Run

CENTRES = 6
"""Groups of tokens that an image's background, or an image without classes, is split into."""


@dataclass
class Seen:
    """What V3 computes of an image.

    Attributes:
        id: of the image.
        values: labels of its classes.
        size: of the image.
        features: (D, h, w) fused features of the image and its mirror image.
        stages: channels of each stage in them.
        cam: (K+1, h, w) CAMs on the same grid, background first; None where there is no class.
    """

    id: str
    values: tuple[int, ...]
    size: tuple[int, int]
    features: Tensor
    stages: tuple[int, ...]
    cam: Tensor | None

    def tokens(self, first: int = 0) -> Tensor:
        """(N, D) features of unit length, from a stage on."""
        return F.normalize(self.features[sum(self.stages[:first]) :].float().flatten(1).T, dim=1)

    def seeds(self, cam: Tensor | None = None) -> Tensor:
        """(K+1, h, w) seeds, as V3 finds them."""
        maps = self.cam if cam is None else cam
        assert maps is not None
        present = torch.ones(1, len(self.values))
        return locate_seeds(
            self.features.float()[None],
            maps[None],
            present,
            affinity="relu",
            background_weight=None,
            seedless="closest",
        )[0]

    def centres(self, seeds: Tensor) -> Tensor:
        """(K+1, D) prototypes of unit length."""
        return F.normalize(prototypes(self.features.float()[None], seeds[None])[0], dim=1)


@dataclass
class Whole:
    """Prototypes over the whole set.

    Attributes:
        own: of each image, by its id.
        classes: (n, D) prototypes of a label in all its images, and the images' ids.
        grounds: (n, D) groups of tokens of backgrounds, with the ids of their images.
        clean: (n, D) groups of tokens of images without classes.
    """

    own: dict[str, Tensor]
    classes: dict[int, tuple[Tensor, list[str]]]
    grounds: tuple[Tensor, list[str]]
    clean: Tensor


Try = Callable[[Seen, Whole], Tensor]
"""(K+1, N) similarities of an image."""


def base(seen: Seen, whole: Whole) -> Tensor:
    """V3's R-CAMs before scaling."""
    return (whole.own[seen.id] @ seen.tokens().T).relu()


def walked(
    maps: Tensor, tokens: Tensor, grid: torch.Size, *, beta: float, steps: int, radius: float
) -> Tensor:
    """(K, N) maps after steps of a walk that goes between tokens by their positive cosine to a power."""
    chances = (tokens @ tokens.T).relu() ** beta
    rows, columns = torch.meshgrid(torch.arange(grid[0]), torch.arange(grid[1]), indexing="ij")
    places = torch.stack([rows.flatten(), columns.flatten()], dim=1).float()
    chances = chances * (torch.cdist(places, places) < radius)
    chances = chances / chances.sum(1, keepdim=True)
    for _ in range(steps):
        maps = maps @ chances.T
    return maps


def walk(*, beta: float, steps: int, radius: float = 1e9, first: int = 1, of: Try = base) -> Try:
    """The similarities walk along the cosines of the stages from `first` on (1: stages 2 to 4)."""

    def made(seen: Seen, whole: Whole) -> Tensor:
        grid = seen.features.shape[-2:]
        options = {"beta": beta, "steps": steps, "radius": radius}
        return walked(of(seen, whole), seen.tokens(first), grid, **options)

    return made


def walk_of_cam(*, beta: float, steps: int, radius: float = 1e9) -> Try:
    """The CAMs walk, and then make the seeds."""

    def made(seen: Seen, whole: Whole) -> Tensor:
        assert seen.cam is not None
        grid = seen.features.shape[-2:]
        options = {"beta": beta, "steps": steps, "radius": radius}
        maps = walked(seen.cam[1:].flatten(1), seen.tokens(1), grid, **options)
        maps = normalised(maps.view(1, -1, *grid), norm="max")
        cam = with_background(maps, torch.ones(1, len(seen.values)), over="present")[0]
        return (seen.centres(seen.seeds(cam)) @ seen.tokens().T).relu()

    return made


def _others(found: tuple[Tensor, list[str]], id: str) -> Tensor:
    centres, ids = found
    return centres[[place for place, own in enumerate(ids) if own != id]]


def of_set(*, foreground: str, background: str, share: float = 0.5, nearest: int = 3) -> Try:
    """Similarities with an image's own prototypes, and with those of the other images.

    Args:
        foreground: "mean" for one prototype of a class over all images, "nearest" for the mean of the largest
            cosines with its prototypes in other images, "none" for the image's own alone.
        background: "mean" of its groups of tokens; "prototypes" for the mean of its prototypes; "clean" for
            the groups of images without classes; "absent" for backgrounds and classes of images that show
            none of the image's classes; "none".
        share: of the set's similarities in the sum.
        nearest: number of largest cosines that are averaged.
    """

    def near(tokens: Tensor, centres: Tensor) -> Tensor:
        cosines = tokens @ centres.T
        return cosines.topk(min(nearest, cosines.shape[1]), dim=1).values.mean(1)

    def made(seen: Seen, whole: Whole) -> Tensor:
        tokens, maps = seen.tokens(), base(seen, whole)
        for place, value in enumerate(seen.values, start=1):
            centres = _others(whole.classes[value], seen.id)
            if foreground == "none" or not len(centres):
                continue
            found = (
                tokens @ F.normalize(centres.mean(0), dim=0)
                if foreground == "mean"
                else near(tokens, centres)
            )
            maps[place] = (1 - share) * maps[place] + share * found.relu()
        if background != "none":
            if background == "mean":
                found = tokens @ F.normalize(_others(whole.grounds, seen.id).mean(0), dim=0)
            elif background == "prototypes":
                centres = [own[0] for id, own in whole.own.items() if id != seen.id]
                found = tokens @ F.normalize(torch.stack(centres).mean(0), dim=0)
            elif background == "clean":
                found = near(tokens, whole.clean)
            else:
                absent = [own for value, (own, _) in whole.classes.items() if value not in seen.values]
                found = near(tokens, torch.cat([_others(whole.grounds, seen.id), whole.clean, *absent]))
            maps[0] = (1 - share) * maps[0] + share * found.relu()
        return maps

    return made


TRIES: dict[str, Try] = {
    "rcam": base,
    "walk-1": walk(beta=8, steps=1),
    "walk-4": walk(beta=8, steps=4),
    "walk-sharp": walk(beta=16, steps=2),
    "walk-near": walk(beta=8, steps=2, radius=5),
    "walk-nearer": walk(beta=8, steps=8, radius=3),
    "walk-all-stages": walk(beta=8, steps=1, first=0),
    "walk-of-cam": walk_of_cam(beta=8, steps=1),
    "walk-of-cam-nearer": walk_of_cam(beta=8, steps=4, radius=3),
    "set-mean": of_set(foreground="mean", background="none"),
    "set-means": of_set(foreground="mean", background="mean"),
    "set-mean-absent": of_set(foreground="mean", background="absent"),
    "set-near": of_set(foreground="nearest", background="none"),
    "set-near-absent": of_set(foreground="nearest", background="absent"),
    "set-near-absent-alone": of_set(foreground="nearest", background="absent", share=1.0),
    "set-near-clean": of_set(foreground="nearest", background="clean"),
    "set-absent": of_set(foreground="none", background="absent"),
    "set-clean": of_set(foreground="none", background="clean"),
    "walk-8": walk(beta=8, steps=8),
    "walk-soft": walk(beta=4, steps=2),
    "set-mean-ground": of_set(foreground="none", background="mean"),
    "set-means-third": of_set(foreground="mean", background="mean", share=0.33),
    "set-means-more": of_set(foreground="mean", background="mean", share=0.67),
    "set-means-most": of_set(foreground="mean", background="mean", share=0.85),
    "set-prototypes": of_set(foreground="mean", background="prototypes", share=0.67),
    "set-means-alone": of_set(foreground="mean", background="mean", share=1.0),
    "set-near-mean": of_set(foreground="nearest", background="mean"),
    "set-means-walk-4": walk(beta=8, steps=4, of=of_set(foreground="mean", background="mean")),
    "set-near-clean-walk-4": walk(beta=8, steps=4, of=of_set(foreground="nearest", background="clean")),
    "set-near-mean-walk-4": walk(beta=8, steps=4, of=of_set(foreground="nearest", background="mean")),
}
"""The tries by name: of the maps, or the CAMs, that walk, and of prototypes over the whole set."""


def groups(tokens: Tensor, count: int, *, rounds: int = 10) -> Tensor:
    """(count, D) centres of unit length that k-means by cosines finds, from tokens far from one another."""
    centres = tokens[:1]
    while len(centres) < min(count, len(tokens)):
        centres = torch.cat([centres, tokens[(tokens @ centres.T).amax(1).argmin()][None]])
    for _ in range(rounds):
        own = F.one_hot((tokens @ centres.T).argmax(1), len(centres)).to(tokens.dtype)
        centres = F.normalize(own.T @ tokens, dim=1)
    return centres[centres.any(1)]


def whole_set(items: list[Seen]) -> Whole:
    own: dict[str, Tensor] = {}
    classes: dict[int, tuple[list[Tensor], list[str]]] = {}
    grounds, ids, clean = [], [], [torch.zeros(0, items[0].features.shape[0])]
    for seen in items:
        if seen.cam is None:
            clean.append(groups(seen.tokens(), CENTRES))
            continue
        seeds = seen.seeds()
        own[seen.id] = seen.centres(seeds)
        for place, value in enumerate(seen.values, start=1):
            found = classes.setdefault(value, ([], []))
            found[0].append(own[seen.id][place])
            found[1].append(seen.id)
        ground = seen.tokens()[seeds[0].flatten() > 0]
        if len(ground):
            made = groups(ground, CENTRES)
            grounds.append(made)
            ids += [seen.id] * len(made)
    stacked = {value: (torch.stack(found), own_ids) for value, (found, own_ids) in classes.items()}
    return Whole(own, stacked, (torch.cat(grounds), ids), torch.cat(clean))


@torch.no_grad()
def look(
    model: SWTformerV3, image: Tensor, present: list[int]
) -> tuple[Tensor, tuple[int, ...], Tensor | None]:
    """Fused features of an image and its mirror image, channels of their stages, and CAMs on their grid."""
    one, mirrored = model.encode(image), model.encode(image.flip(-1))
    fused = side_by_side([stage.float() for stage in one.pyramid])
    fused = fused + side_by_side([stage.float() for stage in mirrored.pyramid]).flip(-1)
    stages = tuple(stage.shape[1] for stage in one.pyramid)
    if not present:
        return fused[0], stages, None
    both = one.activations.relu() + mirrored.activations.flip(-1).relu()
    maps = resized(normalised(both[:, present].float(), norm="max"), fused.shape[-2:])
    return fused[0], stages, with_background(maps, torch.ones(1, len(present)), over="present")[0]


def seen_images(run: Run, data: ImageSet, settings: Settings, *, cache: Path | None = None) -> list[Seen]:
    """What the run's model computes of each image, from a file where it exists; else it is written."""
    if cache is not None and cache.is_file():
        return [Seen(**seen) for seen in torch.load(cache)]
    model = from_pretrained(run.path)
    assert isinstance(model, SWTformerV3)
    items = []
    for record in data.records:
        pixels = torch.from_numpy(read_image(record.image, settings.data)).permute(2, 0, 1)[None]
        size = (pixels.shape[-2], pixels.shape[-1])
        scale = (settings.localize.long_side_px or max(size)) / max(size)
        view = resized(pixels.float() / 255, [round(side * scale) for side in size])
        present = sorted(record.present or ())
        features, stages, cam = look(model, view, present)
        values = tuple(index + 1 for index in present)
        items.append(Seen(record.id, values, size, features.half(), stages, cam))
    if cache is not None:
        torch.save([vars(seen) for seen in items], cache)
    return items


def made_maps(made: Try, seen: Seen, whole: Whole, *, stride: int) -> Tensor:
    """(K+1, h, w) maps of an image with a class, as `localize` stores R-CAMs."""
    grid = (-(-seen.size[0] // stride), -(-seen.size[1] // stride))
    maps = made(seen, whole).view(1, -1, *seen.features.shape[-2:])
    return refined_maps(on_grid(maps, False, grid), scaled="together")[0]


def replace_maps(run: Run, data: ImageSet, settings: Settings, name: str, *, cache: Path | None) -> None:
    """Put the maps of a try in the place of a run's R-CAMs."""
    items = seen_images(run, data, settings, cache=cache)
    whole = whole_set(items)
    for seen in items:
        if seen.cam is not None:
            maps = made_maps(TRIES[name], seen, whole, stride=settings.localize.stride)
            file = run.map_file(seen.id)
            replace(ClassActivationMaps.load(file), rcam=maps.numpy()).save(file)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", type=Path, required=True)
    parser.add_argument("--classes", nargs="*", help="classes that are scored; by default all")
    parser.add_argument("--cache", type=Path, help="file of the features, made where it does not exist")
    parser.add_argument("--par", action="store_true", help="score them after PAR as well")
    parser.add_argument("--only", nargs="*", choices=list(TRIES), help="tries; by default all")
    options = parser.parse_args()
    run = Run(options.run)
    settings = run.settings()
    data = open_dataset(options.data, settings.data, reader=settings.reader)
    data = part_of(data, parts(options.split)["train"])
    items = seen_images(run, data, settings, cache=options.cache)
    whole = whole_set(items)
    count = len(data.classes) + 1
    tries = {name: TRIES[name] for name in options.only or TRIES}
    par = create_refiner("par", None, source="rcam", device=torch.device("cpu"))
    totals = torch.zeros(len(tries), 2, count, count + 1, dtype=torch.int64)
    for seen, record in zip(items, data.records, strict=True):
        if record.mask is None:
            continue
        truth = torch.from_numpy(read_truth(record, data.classes))
        if seen.cam is None:
            totals += confusion_matrix(torch.zeros_like(truth), truth, labels=count)
            continue
        values = torch.tensor([0, *seen.values], dtype=torch.uint8)
        image = torch.from_numpy(read_image(record.image, settings.data)).permute(2, 0, 1).float() / 255
        for place, made in enumerate(tries.values()):
            maps = made_maps(made, seen, whole, stride=settings.localize.stride)
            for stage, own in enumerate((maps, par.refine(image, maps)) if options.par else (maps,)):
                labels = values[upsample(own, seen.size).argmax(0)]
                totals[place, stage] += confusion_matrix(labels, truth, labels=count)
    over = list(scored_labels(data, options.classes or None))
    print(f"{len(data)} images, {len(whole.clean)} groups of clean images\n")
    print("| maps | mIoU | refined by PAR |\n|---|---|---|")
    for name, total in zip(tries, (100 * mean_iou(totals, over=over)).tolist(), strict=True):
        print(f"| {name} | {total[0]:.1f} | {f'{total[1]:.1f}' if options.par else ''} |")


if __name__ == "__main__":
    main()
