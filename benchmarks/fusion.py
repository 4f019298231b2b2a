"""What training does to V2's fused features and to its R-CAMs.

    python benchmarks/fusion.py DATA/labels.csv --split benchmarks/splits/msrc.csv --config chain.yaml \\
        --out OUT

Trains `swtformer_v2` on the images of `train` with the settings of `chain.py`, unless OUT holds such a run,
and measures three fusions on its trained backbone: the trained one, the same layers as they are drawn before
training, and the stages side by side, which have no weights. The fusion never steers the backbone, so CAMs
and seeds are the same in all three. R-CAMs are made from V2's seeds and from V3's. Masks of the training
images score and do nothing else.
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
from swtformer.functional.seeds import locate_seeds, prototype_similarity, prototypes, refined_maps
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

TABLE = """| fusion | R-CAM, V2's seeds (objects) | R-CAM, V3's seeds (objects) | R-CAM less CAM, mean | \
prototypes of class and background, cosine | tokens of object and background, cosine | tokens of object, \
cosine | effective rank |
|---|---|---|---|---|---|---|---|"""


@dataclass
class Row:
    """What is measured of one fusion: counts by the seeds' rule, and a value of each image by its name."""

    counts: dict[str, Tensor]
    values: dict[str, list[float]] = field(default_factory=dict)
    tokens: list[Tensor] = field(default_factory=list)

    def add(self, name: str, value: Tensor) -> None:
        """Add an image's value."""
        self.values.setdefault(name, []).append(float(value))

    def add_tokens(self, fused: Tensor, truth: Tensor) -> None:
        """Cosines of (1, D, h, w) fused features, by the (H, W) mask of the image."""
        tokens = F.normalize(fused[0].flatten(1).T, dim=1)
        at = F.interpolate(truth[None, None].float(), fused.shape[-2:], mode="nearest-exact").flatten()
        shown, ground = tokens[(at > 0) & (at != IGNORED)], tokens[at == 0]
        if len(shown) and len(ground):
            self.add("across", shown.mean(0) @ ground.mean(0))
            self.add("within", shown.mean(0) @ shown.mean(0))
        self.tokens.append(tokens[:: max(1, len(tokens) // SAMPLED)][:SAMPLED])

    def line(self, name: str) -> str:
        """Its line of the table."""
        v2, v3 = (
            f"{100 * float(mean_iou(self.counts[rule])):.1f} ({100 * mean(self.values[rule]):.0f} %)"
            for rule in ("v2", "v3")
        )
        others = (mean(self.values[key]) for key in ("gap of v2", "prototypes of v2", "across", "within"))
        columns = [name, v2, v3, *(f"{value:.2f}" for value in others)]
        return f"| {' | '.join(columns)} | {effective_rank(torch.cat(self.tokens)):.0f} |"


def effective_rank(tokens: Tensor) -> float:
    """exp of the entropy of the normalised singular values (Roy and Vetterli, EUSIPCO 2007)."""
    shares = torch.linalg.svdvals(tokens.double())
    shares = shares / shares.sum()
    return float(torch.exp(-(shares * shares.clamp_min(1e-12).log()).sum()))


@torch.no_grad()
def measure(
    model: SWTformerV2, rows: dict[str, Row], image: Tensor, present: list[int], truth: Tensor
) -> None:
    """Add an image with classes to all rows, whose names are those of the fusions."""
    encoding = model.encode(image)
    stages = [stage.float() for stage in encoding.pyramid]
    drawn = HierarchicalFeatureFusion(model.backbone.channels, hff=model.options.hff).eval()
    plain = side_by_side(stages)
    made_by = drawn.of_detached(stages), model.fusion.of_detached(stages), plain
    fusions = dict(zip(rows, made_by, strict=True))
    own, labels = torch.ones(1, len(present)), torch.zeros(1, len(model.classes))
    labels[:, present] = 1
    values = torch.tensor([0, *(index + 1 for index in present)], dtype=torch.uint8)
    cam = model.cam(encoding, labels)[:, values.long()]
    rules = {
        "v2": (stages[-1], {"affinity": "abs", "background_weight": 0.5}, "each"),
        "v3": (plain, {"affinity": "relu", "background_weight": None}, "together"),
    }
    for rule, (features, options, scaled) in rules.items():
        maps = resized(cam, features.shape[-2:])
        seeds = locate_seeds(features, maps, own, seedless="closest", **options)
        rows["trained"].add(f"seeds of {rule}", seeds[:, 1:].amax(1).mean())
        for name, fused in fusions.items():
            centres = prototypes(fused, F.interpolate(seeds, fused.shape[-2:], mode="nearest"))
            made = refined_maps(prototype_similarity(fused, centres, own), scaled=scaled)
            guess = values[resized(made, truth.shape)[0].argmax(0)]
            rows[name].counts[rule] += confusion_matrix(guess, truth, labels=len(model.classes) + 1)
            rows[name].add(rule, (guess > 0).float().mean())
            rows[name].add(f"gap of {rule}", (made - resized(cam, made.shape[-2:])).abs().mean())
            unit = F.normalize(centres[0], dim=1)
            rows[name].add(f"prototypes of {rule}", (unit[1:] @ unit[0]).mean())
    for name, fused in fusions.items():
        rows[name].add_tokens(fused, truth)
    rows["trained"].add("masks", ((truth > 0) & (truth != IGNORED)).float().mean())
    rows["trained"].add("CAM", (cam[:, 0] < cam[:, 1:].amax(1)).float().mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--split", type=Path, required=True)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    settings = validate(Settings, read_settings(options.config), where=str(options.config))
    chosen = merge(settings.model_dump(), {"model": {"method": "swtformer_v2"}})
    settings = validate(Settings, chosen, where="--config")
    whole = open_dataset(options.data, settings.data, reader=settings.reader)
    data = part_of(whole, parts(options.split)["train"])
    if not holds_model(options.out):
        train(data, settings=settings, out=options.out, resume=(options.out / "settings.yaml").is_file())
    model = from_pretrained(options.out)
    assert isinstance(model, SWTformerV2)
    count = len(data.classes) + 1
    rows = {
        name: Row({rule: torch.zeros(count, count + 1, dtype=torch.int64) for rule in ("v2", "v3")})
        for name in ("as drawn", "trained", "side by side")
    }
    for record in data.records:
        truth = torch.from_numpy(read_truth(record, data.classes))
        if not record.present:
            for row in rows.values():
                for counts in row.counts.values():
                    counts += confusion_matrix(torch.zeros_like(truth), truth, labels=count)
            continue
        image = torch.from_numpy(read_image(record.image, settings.data)).permute(2, 0, 1)[None]
        scale = (settings.localize.long_side_px or max(truth.shape)) / max(truth.shape)
        image = resized(image.float() / 255, [round(side * scale) for side in image.shape[-2:]])
        torch.manual_seed(settings.seed)
        measure(model, rows, image, sorted(record.present), truth)
    for name in ("masks", "CAM", "seeds of v2", "seeds of v3"):
        print(f"objects, by {name}: {100 * mean(rows['trained'].values[name]):.0f} %")
    print(TABLE)
    for name, row in rows.items():
        print(row.line(name))


if __name__ == "__main__":
    main()
