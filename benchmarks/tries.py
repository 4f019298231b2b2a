"""Tries one change of a recipe, beside what a run of `chain.py` made without it.

    python benchmarks/tries.py RUN --data DATA/labels.csv --split benchmarks/splits/msrc.csv --out OUT \\
        --try two-gaussians [--short] [--against OUT_OF_ANOTHER_TRY] [--classes dog cat]

RUN is the folder `run` in what `chain.py` wrote; nothing is written into it. One thing is changed, and what
comes before it is taken as it is, settings included: a try of the loss starts from the run's pseudo-masks,
one of maps (`irn`, `crf`, those of map_tries.py) from its maps, one of the classifier from nothing. The
latter two score their maps of the images that are trained on, and `--maps-only` ends there.
Masks score both networks on `compare` and do nothing else. The difference comes with the 95 % interval of a
paired bootstrap over the images. With `--short` the network is trained for 4 epochs on crops of 224 px of
photographs at their own size, in a quarter of the time. Such tries are compared with one of `plain`, by
`--against`.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import torch
from chain import part_of, parts, unseen
from map_tries import TRIES as MAPS
from map_tries import replace_maps
from torch import nn
from try_losses import LOSSES, TriedModule
from try_planes import PlaneSamples, sharpening

import swtformer.training.pair_samples as samples
import swtformer.training.segmentation as segmentation
from swtformer.datasets import open_dataset
from swtformer.datasets.label_images import read_truth
from swtformer.datasets.records import ImageSet
from swtformer.functional.labels import upsample
from swtformer.functional.scores import confusion_matrix, label_areas, mean_iou
from swtformer.methods import Method
from swtformer.methods.swtformer_v3 import SWTformerV3
from swtformer.scoring.measures import scored_labels
from swtformer.scoring.paired_bootstrap import paired_bootstrap
from swtformer.settings import Settings, merge, validate
from swtformer.stages.localize import localize
from swtformer.stages.pseudo_label import pseudo_label
from swtformer.stages.refine import refine
from swtformer.stages.segment import segment
from swtformer.stages.train import train
from swtformer.store.maps import ClassActivationMaps, Source
from swtformer.store.models import holds_model
from swtformer.store.run import RefinedRun, Run

REFINED = {
    "irn": {"refine": {"method": "irn"}},
    "irn-8": {"refine": {"method": "irn"}, "refiner": {"walk_steps": 8}},
    "crf": {"refine": {"method": "dense_crf"}},
}
"""Tries that make other pseudo-masks, and their settings."""

CLASSIFIER: dict[str, dict[str, object]] = {
    "crops-320": {"train": {"crop_px": 320}},
    "crops-448": {"train": {"crop_px": 448}},
    "scaled": {"train": {"augmentation": "advcam_scaled"}},
    "classifier-longer": {"train": {"epochs": 24}},
    "classifier-ema": {"train": {"ema_decay": 0.98}},
    "layer-wise": {},
}
"""Tries that train another classifier, and their settings."""

SHORT = {"segment": {"epochs": 4, "crop_px": 224, "long_side_px": None}}
"""Settings of `--short`."""

DECAY = 0.65
"""Learning rate of a stage of the backbone, relative to that of the next one, of the try `layer-wise`."""

SETTINGS: dict[str, dict[str, object]] = {
    "longer": {"segment": {"epochs": 16}},
    "dice": {"segment": {"dice": 1.0}},
    "per-class": {"segment": {"weighting": "per_class"}},
    "confidence": {"segment": {"weighting": "confidence"}},
}
"""Tries of settings that `segment` has."""


def by_stages(model: Method) -> dict[str, list[nn.Parameter]]:
    """Parameters of each stage of the backbone and of the head, for layer-wise learning rates."""
    features = model.reusable_features()
    assert features is not None
    stages = [[own for part in stage for own in part.parameters()] for stage in features.stage_modules()]
    known = {id(own) for stage in stages for own in stage}
    head = [own for own in model.parameters() if id(own) not in known]
    return {f"stage {place}": stage for place, stage in enumerate(stages)} | {"head": head}


def other_classifier(run: Run, images: ImageSet, settings: Settings, *, layer_wise: bool) -> None:
    """Train a classifier and make its maps."""
    if layer_wise:
        rates = {f"stage {place}": DECAY ** (3 - place) for place in range(4)}
        SWTformerV3.parameter_groups = by_stages  # type: ignore[method-assign,assignment]
        SWTformerV3.learning_rate_multipliers = lambda model: rates  # type: ignore[method-assign,assignment]
    train(images, settings=settings, out=run.path, resume=(run.path / "settings.yaml").is_file())
    localize(run, images, settings=settings)


def copied(run: Run, out: Path, *, refined: bool) -> None:
    """Copy a run without its trainings, for a try to write into; with refined maps and masks if they stay."""
    remade = () if refined else ("refined", "pseudo_masks")
    left_out = shutil.ignore_patterns("checkpoints", "segmentation*", "round-*", "report", *remade)
    if not out.is_dir():
        shutil.copytree(run.path, out, ignore=left_out)


def report(images: ImageSet, over: list[int], runs: dict[str, Run], source: Source) -> None:
    """Print the scores of runs' maps."""
    for name, run in runs.items():
        print(f"{name}: {maps_score(run, images, source, over=over):.1f}", flush=True)


def maps_score(run: Run, images: ImageSet, source: Source, *, over: list[int]) -> float:
    """mIoU in % of the maps of labelled images by argmax."""
    count = len(images.classes) + 1
    total = torch.zeros(count, count + 1, dtype=torch.int64)
    for record in images.records:
        if record.mask is None:
            continue
        maps = ClassActivationMaps.load(run.map_file(record.id))
        truth = torch.from_numpy(read_truth(record, images.classes))
        values = torch.tensor([0, *maps.values.tolist()], dtype=torch.uint8)
        best = upsample(torch.from_numpy(maps.channels(source)), maps.size).argmax(0)
        total += confusion_matrix(values[best], truth, labels=count)
    return 100 * float(mean_iou(total, over=over))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    names = [*LOSSES, *MAPS, *REFINED, *CLASSIFIER, *SETTINGS]
    parser.add_argument("--try", dest="name", required=True, choices=names)
    parser.add_argument("--maps-only", action="store_true", help="train no network")
    parser.add_argument("--short", action="store_true", help="train the network for a quarter of the time")
    parser.add_argument("--against", type=Path, help="what another try wrote; by default the run's network")
    parser.add_argument("--cache", type=Path, help="features of a map try, as map_tries.py writes them")
    parser.add_argument("--classes", nargs="*", help="classes that are scored; by default all")
    options = parser.parse_args()
    before = Run(options.run)
    settings = before.settings()
    changed = {**REFINED, **CLASSIFIER, **SETTINGS}.get(options.name, {})
    settings = validate(Settings, merge(settings.model_dump(), changed), where="--try")
    if options.short:
        settings = validate(Settings, merge(settings.model_dump(), SHORT), where="--short")
    data = open_dataset(options.data, settings.data, reader=settings.reader)
    ids = parts(options.split)
    images, other = part_of(data, ids["train"]), part_of(data, ids["compare"])
    over = list(scored_labels(data, options.classes or None))
    run = Run(options.out / "run")
    if options.name in CLASSIFIER:
        other_classifier(run, images, settings, layer_wise=options.name == "layer-wise")
        report(images, over, {"the run's R-CAMs": before, "its R-CAMs": run}, "rcam")
    else:
        copied(before, run.path, refined=options.name not in {**MAPS, **REFINED})
    if options.name in MAPS:
        replace_maps(run, images, settings, options.name, cache=options.cache)
        report(images, over, {"the run's R-CAMs": before, "its R-CAMs": run}, "rcam")
    if options.name in {**MAPS, **REFINED, **CLASSIFIER}:
        refine(run, images, settings=settings)
        refined = {"its refined maps": RefinedRun(run.path)}
        if before.refined_file.is_file():
            refined["the run's refined maps"] = RefinedRun(before.path)
        report(images, over, refined, "refined")
        if options.maps_only:
            return
        pseudo_label(run, settings=settings.pseudo_label)
    if options.name in LOSSES:
        PlaneSamples.run, PlaneSamples.power = RefinedRun(run.path), sharpening(RefinedRun(run.path))
        TriedModule.loss = LOSSES[options.name]
        samples.PairSamples = PlaneSamples  # type: ignore[misc]
        segmentation.SegmentationModule = TriedModule  # type: ignore[misc]
    network = run.segmentation
    segment(run, images, settings=settings, resume=(network / "settings.yaml").is_file())
    scores = {options.name: unseen(network, other, settings, options.out / "unseen")}
    beside = before.segmentation if options.against is None else options.against / "run" / "segmentation"
    if holds_model(beside):
        name = "the run's" if options.against is None else options.against.name
        scores[name] = unseen(beside, other, settings, options.out / "unseen-beside")
    print("| network | mIoU on `compare` |\n|---|---|")
    for name, counts in scores.items():
        print(f"| {name} | {100 * float(mean_iou(counts.sum(0), over=over)):.1f} |")
    if len(scores) > 1:
        gap = paired_bootstrap(*map(label_areas, scores.values()), over=over)
        print(f"| difference | {100 * gap.value:+.1f} ({100 * gap.low:+.1f} to {100 * gap.high:+.1f}) |")


if __name__ == "__main__":
    main()
