"""Why training V2's fusion makes its R-CAMs worse: the fused features before and after, and their maps.

    python benchmarks/fusion.py DATA/labels.csv --split benchmarks/splits/msrc.csv --config chain.yaml \\
        --out OUT

Trains `swtformer_v2` on the images of `train` with the settings of `chain.py`, unless OUT holds such a run,
and measures three fusions on its trained backbone: the trained one, the same layers as they are drawn before
training, and the stages side by side, which have no weights. Backbone, CAM head and seeds are the same in
all three, as the fusion never steers the backbone. Masks of the training images score and do nothing else.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean

import torch
import torch.nn.functional as F
from chain import part_of, parts
from torch import Tensor

from swtformer.datasets import open_dataset
from swtformer.datasets.images import read_image
from swtformer.datasets.label_images import read_truth
from swtformer.functional.scores import confusion_matrix, mean_iou
from swtformer.functional.seeds import prototype_refinement, prototypes, refined_maps
from swtformer.functional.views import resized
from swtformer.label_values import IGNORED
from swtformer.methods.fusion import HierarchicalFeatureFusion, side_by_side
from swtformer.methods.pretrained import from_pretrained
from swtformer.methods.swtformer_v2 import SWTformerV2
from swtformer.settings import Settings, merge, read_settings, validate
from swtformer.stages.train import train
from swtformer.store.models import holds_model

SAMPLED = 40
"""Tokens of an image that the effective rank is measured on."""


@dataclass
class Row:
    """Sums over the images, of one fusion."""

    counts: Tensor
    foreground: list[float] = field(default_factory=list)
    across: list[float] = field(default_factory=list)
    within: list[float] = field(default_factory=list)
    prototypes: list[float] = field(default_factory=list)
    tokens: list[Tensor] = field(default_factory=list)


def effective_rank(tokens: Tensor) -> float:
    """exp of the entropy of the normalised singular values (Roy and Vetterli, EUSIPCO 2007)."""
    shares = torch.linalg.svdvals(tokens.double())
    shares = shares / shares.sum()
    return float(torch.exp(-(shares * shares.clamp_min(1e-12).log()).sum()))


def mean_cosine(first: Tensor, second: Tensor) -> float:
    """Mean cosine of all pairs of (n, D) and (m, D) tokens of unit length."""
    return float(first.mean(0) @ second.mean(0))


def measure(row: Row, fused: Tensor, made: Tensor, seeds: Tensor, truth: Tensor, values: Tensor) -> None:
    """Add an image: (1, D, h, w) fused features, its R-CAM and seeds, its mask, the labels of the maps."""
    labels = values[resized(made, truth.shape)[0].argmax(0)]
    row.counts += confusion_matrix(labels, truth, labels=len(row.counts))
    row.foreground.append(float((labels > 0).float().mean()))
    centres = F.normalize(prototypes(fused, F.interpolate(seeds, fused.shape[-2:]))[0], dim=1)
    row.prototypes.append(float((centres[1:] @ centres[0]).mean()))
    tokens = F.normalize(fused[0].flatten(1).T, dim=1)
    at = F.interpolate(truth[None, None].float(), fused.shape[-2:], mode="nearest-exact").flatten()
    shown, ground = tokens[(at > 0) & (at != IGNORED)], tokens[at == 0]
    if len(shown) and len(ground):
        row.across.append(mean_cosine(shown, ground))
        row.within.append(mean_cosine(shown, shown))
    row.tokens.append(tokens[:: max(1, len(tokens) // SAMPLED)][:SAMPLED])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--split", type=Path, required=True)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    settings = validate(Settings, read_settings(options.config), where=str(options.config))
    chosen = {"model": {"method": "swtformer_v2"}, "seed": options.seed}
    settings = validate(Settings, merge(settings.model_dump(exclude={"method"}), chosen), where="--seed")
    data = part_of(
        open_dataset(options.data, settings.data, reader=settings.reader), parts(options.split)["train"]
    )
    if not holds_model(options.out):
        train(data, settings=settings, out=options.out, resume=(options.out / "settings.yaml").is_file())
    model = from_pretrained(options.out)
    assert isinstance(model, SWTformerV2)
    torch.manual_seed(options.seed)
    drawn = HierarchicalFeatureFusion(model.backbone.channels, hff=model.options.hff).eval()
    count = len(data.classes) + 1
    fusions = {
        "as drawn": drawn.of_detached,
        "trained": model.fusion.of_detached,
        "side by side": lambda pyramid: side_by_side([stage.float() for stage in pyramid]),
    }
    rows = {name: Row(torch.zeros(count, count + 1, dtype=torch.int64)) for name in fusions}
    cam_shares, seed_shares = [], []
    with torch.no_grad():
        for record in data.records:
            truth = torch.from_numpy(read_truth(record, data.classes))
            present = sorted(record.present or ())
            if not present:
                for row in rows.values():
                    row.counts += confusion_matrix(torch.zeros_like(truth), truth, labels=count)
                continue
            values = torch.tensor([0, *(index + 1 for index in present)], dtype=torch.uint8)
            image = torch.from_numpy(read_image(record.image, settings.data)).permute(2, 0, 1)[None]
            scale = (settings.localize.long_side_px or max(image.shape[-2:])) / max(image.shape[-2:])
            image = resized(image.float() / 255, [round(side * scale) for side in image.shape[-2:]])
            encoding = model.encode(image)
            labels = torch.zeros(1, len(data.classes))
            labels[:, present] = 1
            cam = model.cam(encoding, labels)[:, [0, *(index + 1 for index in present)]]
            cam_shares.append(float((1 - cam[:, 0]).mean()))
            for number, (name, fusion) in enumerate(fusions.items()):
                fused = fusion(encoding.pyramid)
                made = prototype_refinement(
                    encoding.pyramid[-1],
                    fused,
                    cam,
                    torch.ones(1, len(present)),
                    affinity=model.reading.affinity,
                    background_weight=model.reading.background_weight,
                    seedless=model.reading.seedless,
                )
                if number == 0:
                    seed_shares.append(float(made.seeds[:, 1:].amax(1).mean()))
                rcam = refined_maps(made.similarities, scaled=model.reading.scaled)
                measure(rows[name], fused, rcam, made.seeds, truth, values)
    cams, seeds = 100 * mean(cam_shares), 100 * mean(seed_shares)
    print(f"{len(data)} images, seed {options.seed}; mean of the CAM {cams:.1f} %, seeds {seeds:.1f} %\n")
    columns = "fusion|R-CAM, mIoU|R-CAM, foreground|cosine, object and background|cosine, object and object|"
    print(f"|{columns}cosine of prototypes, class and background|effective rank|\n" + 7 * "|---" + "|")
    for name, row in rows.items():
        score = 100 * float(mean_iou(row.counts))
        cosines = " | ".join(f"{mean(own):.3f}" for own in (row.across, row.within, row.prototypes))
        rank = effective_rank(torch.cat(row.tokens))
        print(f"| {name} | {score:.1f} | {100 * mean(row.foreground):.1f} % | {cosines} | {rank:.0f} |")


if __name__ == "__main__":
    main()
