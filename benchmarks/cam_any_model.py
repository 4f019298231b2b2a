"""What prototype refinement adds to the maps of a classifier that is already trained, with no training of
its own.

    python benchmarks/cam_any_model.py --data VOC_SUBSET --weights mobilenetv2_100.imagenet.safetensors \\
        --models mobilenetv2_100 runs/voc-0 runs/voc-1 \\
        > benchmarks/cam-any-model.md

A model is a timm network with the weights of `--weights`, or a V1 or V3 model of swtformer. A classifier of
another number of classes is left out; one is then fitted by logistic regression on the pooled features of
`--fit` training images. One scale, no mirror images, image labels given. Ground-truth masks are read by the
scoring alone.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from safetensors.torch import load_file
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from swtformer import CAM, Settings, from_pretrained, open_dataset
from swtformer.datasets.images import read_image
from swtformer.datasets.label_images import read_labels
from swtformer.datasets.records import ImageSet, Record
from swtformer.functional.labels import best_foreground, labels_against
from swtformer.functional.scores import confusion_matrix, mean_iou
from swtformer.functional.thresholds import (
    ThresholdSweep,
    confusion_at_thresholds,
    label_free_threshold,
    score_histogram,
    threshold_grid,
)
from swtformer.machine import machine_line
from swtformer.methods.swtformer_v2 import SWTformerV2Settings
from swtformer.methods.swtformer_v3 import SWTformerV3Settings
from swtformer.settings import ImageSettings

WAYS = {"V2": SWTformerV2Settings(), "V3": SWTformerV3Settings()}
"""How CAMs are refined."""
CLASSES = ["cat", "cow", "dog", "horse", "sheep", "person"]
MULTIPLE_PX = 32


def _image(record: Record, *, longest_px: int | None = None) -> Tensor:
    """(1, 3, H, W) uint8, resized to multiples of 32 px."""
    pixels = torch.from_numpy(read_image(record.image, ImageSettings())).permute(2, 0, 1)[None]
    factor = 1.0 if longest_px is None else longest_px / max(pixels.shape[2:])
    size = [max(1, round(side * factor / MULTIPLE_PX)) * MULTIPLE_PX for side in pixels.shape[2:]]
    resized = nn.functional.interpolate(pixels.float(), size, mode="bilinear", antialias=True)
    return resized.round().clamp(0, 255).byte()


def _fit_classifier(model: Any, data: ImageSet, count: int) -> None:
    """Logistic regression of each class on pooled features, put into the model's own classifier."""
    generator = np.random.default_rng(0)
    chosen = generator.permutation(len(data))[:count]
    config = model.pretrained_cfg
    mean, std = (torch.tensor(config[key]).view(3, 1, 1) for key in ("mean", "std"))
    features = []
    with torch.no_grad():
        for index in chosen:
            images = (_image(data.records[index], longest_px=320).float() / 255 - mean) / std
            features.append(model.forward_head(model.forward_features(images), pre_logits=True)[0])
    pooled, labels = torch.stack(features).double().numpy(), data.labels()[chosen]
    spread = pooled.std(0) + 1e-6
    layer = model.get_classifier()
    for row in range(len(data.classes)):
        if labels[:, row].any():
            fitted = LogisticRegression(C=0.01, max_iter=300).fit(pooled / spread, labels[:, row])
            layer.weight.data[row] = torch.from_numpy(fitted.coef_[0] / spread)
            layer.bias.data[row] = float(fitted.intercept_[0])


def _model(name: str, arguments: argparse.Namespace, training: ImageSet) -> nn.Module:
    if Path(name).is_dir():
        return from_pretrained(name)
    if arguments.weights is None:
        raise SystemExit(f"{name} is not a folder; a timm network needs --weights FILE.")
    model = timm.create_model(name, pretrained=False, num_classes=len(training.classes)).eval()
    classifier = {f"{model.pretrained_cfg['classifier']}.{part}" for part in ("weight", "bias")}
    own = model.state_dict()
    tensors = {
        name: tensor
        for name, tensor in load_file(arguments.weights).items()
        if name not in classifier or tensor.shape == own[name].shape
    }
    missing, unknown = model.load_state_dict(tensors, strict=False)
    if unknown or set(missing) - classifier:
        raise SystemExit(f"{arguments.weights} does not fit {name}: {unknown or missing}")
    if missing:
        _fit_classifier(model, training, arguments.fit)
    return model


def measure(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """mIoU of CAM under three policies and of refined maps by argmax, and seconds of V3's way per image."""
    settings = Settings()
    training, scored = (
        open_dataset(arguments.data, settings.data, split=split) for split in arguments.splits
    )
    model = _model(name, arguments, training)
    cam = CAM(model)
    records = scored.records[: arguments.images]
    count = len(scored.classes) + 1
    over = [0, *(scored.classes.index(name) + 1 for name in CLASSES)]
    thresholds = threshold_grid([0.15])
    sweep = ThresholdSweep(count, thresholds)
    histogram = score_histogram(torch.zeros(0, 1, 1))
    refined = torch.zeros(len(WAYS), count, count + 1, dtype=torch.int64)
    seconds = 0.0
    for record in records:
        truth = torch.from_numpy(read_labels(record.mask, scored.classes))
        size = (truth.shape[0], truth.shape[1])
        image, present = _image(record), torch.zeros(1, len(scored.classes))
        present[0, list(record.present or ())] = 1
        started = time.perf_counter()
        made = cam.refine(image, present=present, options=WAYS["V3"])
        seconds += time.perf_counter() - started
        values = torch.tensor(made.classes, dtype=torch.int64) + 1
        histogram += score_histogram(made.cam[0, 1:])
        sweep.add(confusion_at_thresholds(best_foreground(made.cam[0, 1:], values, size), truth, thresholds))
        for place, way in enumerate((cam.refine(image, present=present, options=WAYS["V2"]), made)):
            best = best_foreground(way.rcam[0, 1:], values, size)
            refined[place] += confusion_matrix(labels_against(best, way.rcam[0, 0]), truth, labels=count)
    curve = mean_iou(sweep.counts, over=over)
    return {
        "model": Path(name).name,
        "data": scored.name,
        "images": len(records),
        "scored_classes": ["background", *CLASSES],
        "miou": [
            float(curve[sweep.index(0.15)]),
            float(curve[sweep.index(label_free_threshold(histogram))]),
            float(curve.max()),
            *mean_iou(refined, over=over).tolist(),
        ],
        "seconds_per_image": seconds / len(records),
    }


def page(results: list[dict[str, Any]], command: str) -> str:
    """The results as a page of Markdown."""
    first = results[0]
    machine = machine_line(threads=torch.get_num_threads(), torch_version=torch.__version__, precision="fp32")
    lines = [
        "# Class maps of any classifier",
        "",
        "`swtformer.CAM(model)` and its `refine`, which adds prototypes without any training:",
        f"{first['images']} images of `{first['data']}`, mIoU in % over {len(CLASSES) + 1} classes "
        f"(background, {', '.join(CLASSES)}); one scale, no mirror images, image labels given. As V2: seeds "
        "located by the last stage, background weight 0.5. As V3, the default: seeds located by the stages "
        "side by side, a background weight found for each image. The prototypes' features are the same, and "
        "no fusion is trained. timm networks come with ImageNet weights and, where these hold no classifier "
        "of the data's classes, one that logistic regression fitted to pooled features.",
        "",
        "| model | CAM 0.15 | CAM label-free | CAM oracle* | refined as V2 | refined as V3 | s per image |",
        "|---|---|---|---|---|---|---|",
        *(
            f"| `{row['model']}` | {' | '.join(f'{100 * value:.2f}' for value in row['miou'])} "
            f"| {row['seconds_per_image']:.3f} |"
            for row in results
        ),
        "",
        "\\* The oracle threshold is chosen on the ground truth; the refined maps' argmax uses none.",
        "",
        f"{machine}; {date.today().isoformat()}.",
        "",
        f"    {command}",
    ]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line, measure, print the page."""
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument(
        "--models", nargs="+", required=True, help="timm names, model or run folders of swtformer"
    )
    parser.add_argument("--weights", type=Path, help="safetensors file of the timm networks")
    parser.add_argument("--fit", type=int, default=1000, help="images that a missing classifier is fitted on")
    parser.add_argument(
        "--splits",
        nargs=2,
        default=["trainaug", "train"],
        help="lists that the classifier is fitted on and that is scored",
    )
    parser.add_argument("--images", type=int, help="score only the first so many")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args(argv)
    torch.set_num_threads(arguments.threads)
    results = [measure(name, arguments) for name in arguments.models]
    print(page(results, shlex.join(["python", "benchmarks/cam_any_model.py", *argv])))


if __name__ == "__main__":
    main()
