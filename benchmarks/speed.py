"""Times map making, training steps and refinement on one core, and writes speed.md beside this file.

    python benchmarks/speed.py --repetitions 2

Every figure comes from a process of its own, on one thread. It does its work on drawn images several times,
and the last time counts. Kinds take turns, so that what else the machine does falls on all of them. Seconds
are those of the processor (user and system), which a shared machine stretches less than the clock's.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from datetime import date
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn.utils import clip_grad_norm_

from swtformer import precision as arithmetic
from swtformer.allocator import OPT_OUT, keep_freed_memory
from swtformer.datasets.records import ImageSet, Record
from swtformer.engine.depthwise import FastDepthwise, has_depthwise
from swtformer.functional.activation import normalised, with_background
from swtformer.functional.losses import consistency_loss
from swtformer.functional.pixel_losses import pixel_cross_entropy
from swtformer.functional.seeds import prototype_refinement, refined_maps
from swtformer.machine import processor_name
from swtformer.methods import create_model
from swtformer.methods.pretrained import save_pretrained
from swtformer.settings import Settings, validate
from swtformer.stages.localize import localize
from swtformer.store.files import write_text
from swtformer.store.run import Run
from swtformer.training.module import TrainingModule

RESULT = Path(__file__).with_name("speed.md")
CLASSES = tuple(f"class {number}" for number in range(20))
SWIN, MOBILENET = "swin_tiny_patch4_window7_224", "mobilenetv2_100"
BACKBONES = (SWIN, MOBILENET)
TRAINED = (*BACKBONES, "tf_efficientnet_lite0", "tf_efficientnet_lite2")
PRECISIONS = ("fp32", "bf16")
BATCH = 16
CROP_PX = 224


@dataclass(frozen=True)
class Kind:
    """What is measured.

    Attributes:
        work: maps of one photograph, one training step, one refinement or loss on masks, forward and
            backward, or one product of matrices.
        backbone, precision: of maps and training.
        keeps_memory: whether freed memory is kept, as the program does (`swtformer.allocator`).
        views: `localize.views`.
        products: library of float32 products of maps: mkl, onednn, or the program's own choice.
        by: whose gradients of depthwise convolutions, or whose loss on masks: torch's or the program's own.
    """

    work: str
    backbone: str = SWIN
    precision: str = "fp32"
    keeps_memory: bool = True
    views: str = "both"
    products: str = "auto"
    by: str = "own"


MAPS = tuple(Kind("maps", backbone, precision) for backbone in BACKBONES for precision in PRECISIONS)
GIVING_BACK = tuple(Kind("maps", kind.backbone, kind.precision, keeps_memory=False) for kind in MAPS)
IN_TURN = tuple(Kind("maps", kind.backbone, kind.precision, views="in_turn") for kind in MAPS)
PRODUCTS = tuple(Kind("maps", products=products) for products in ("mkl", "onednn"))
TRAINING = tuple(
    (
        Kind("training", backbone),
        Kind("training", backbone, "bf16", by="torch"),
        Kind("training", backbone, "bf16"),
    )
    for backbone in TRAINED
)
REFINEMENT = Kind("refinement")
LOSS = (Kind("loss", by="torch"), Kind("loss"))
PRODUCT = Kind("product", precision="bf16")
SIDE = 2048
"""Rows and columns of the matrices of PRODUCT."""
SWIN_FLOP = 26.9e9
"""Of a training step of Swin-T, for each crop, as `gpu.py` counts it."""
KINDS = (*MAPS, *GIVING_BACK, *IN_TURN, *PRODUCTS, *chain.from_iterable(TRAINING), REFINEMENT, *LOSS, PRODUCT)


def measure(kind: Kind) -> float:
    """Processor seconds of one piece of work, in this process."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    keep_freed_memory()
    if kind.work == "maps":
        return _maps(kind)
    if kind.work == "training":
        return _last_of(3, _training_step(kind))
    if kind.work == "product":
        matrix = torch.randn(SIDE, SIDE, dtype=torch.bfloat16)
        return _last_of(10, lambda: matrix @ matrix)
    return _last_of(20, _refinement() if kind.work == "refinement" else _loss(kind))


def _last_of(times: int, work: Callable[[], None]) -> float:
    for _ in range(times):
        began = time.process_time()
        work()
    return time.process_time() - began


def _settings(kind: Kind) -> Settings:
    return validate(
        Settings,
        {
            "model": {"method": "swtformer_v2", "backbone": kind.backbone, "weights": "none"},
            "localize": {
                "long_side_px": None,
                "precision": kind.precision,
                "accelerator": "cpu",
                "views": kind.views,
            },
        },
        where="speed.py",
    )


def _maps(kind: Kind) -> float:
    """For one photograph that shows two classes; another one is mapped before."""
    if kind.products != "auto":
        arithmetic.mkl_is_slow = lambda: kind.products == "onednn"
    settings = _settings(kind)
    moments = []

    def note(stage: str, done: int, total: int, note: str = "") -> None:
        moments.append(time.process_time())

    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder) / "run")
        run.write_settings(settings)
        save_pretrained(create_model(settings.model, CLASSES), run.model)
        noise = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
        records = []
        for name in ("first", "second"):
            path = Path(folder) / f"{name}.jpg"
            Image.fromarray(noise).resize((500, 375)).save(path)
            records.append(Record(name, path, (2, 7)))
        data = ImageSet("two", "table", Path(folder), CLASSES, tuple(records))
        localize(run, data, settings=settings, progress=note)
    return moments[-1] - moments[-2]


def _present() -> torch.Tensor:
    present = torch.zeros(BATCH, len(CLASSES))
    for index, row in enumerate(present):
        row[[index % len(CLASSES), (7 * index + 3) % len(CLASSES)]] = 1
    return present


def _training_step(kind: Kind) -> Callable[[], None]:
    """Forward, backward, clipping and optimiser of V2 with all its losses."""
    settings = _settings(kind)
    model = create_model(settings.model, CLASSES).train()
    module = TrainingModule(model, settings)
    optimizer = module.create_optimizer()
    batch = {
        "image": torch.randint(0, 256, (BATCH, 3, CROP_PX, CROP_PX), dtype=torch.uint8),
        "valid": torch.ones(BATCH, CROP_PX, CROP_PX, dtype=torch.bool),
        "present": _present(),
    }

    own = kind.precision == "bf16" and kind.by == "own" and has_depthwise(model)

    def step() -> None:
        with FastDepthwise() if own else nullcontext(), arithmetic.autocast(kind.precision, "cpu"):
            loss = module.training_step(batch, 0)
        loss.backward()
        clip_grad_norm_(model.parameters(), settings.train.clip_norm)
        optimizer.step()
        optimizer.zero_grad()

    return step


def _refinement() -> Callable[[], None]:
    """V2's seeds, prototypes, R-CAMs and consistency loss: 7×7 tokens, 14×14 fused features, 20 classes."""
    tokens = torch.randn(BATCH, 768, 7, 7)
    fused = torch.randn(BATCH, 768, 14, 14).requires_grad_()
    activations = torch.randn(BATCH, len(CLASSES), 7, 7).requires_grad_()
    present = _present()

    def refine() -> None:
        cam = with_background(normalised(activations, norm="max"), present, over="present")
        made = prototype_refinement(
            tokens, fused, cam, present, affinity="abs", background_weight=0.5, seedless="closest"
        )
        rcam = refined_maps(made.similarities, scaled="each")
        cam = torch.nn.functional.interpolate(cam, rcam.shape[-2:], mode="bilinear", align_corners=False)
        fused.grad = activations.grad = None
        consistency_loss(cam, rcam, present, over="all").backward()

    return refine


def _loss(kind: Kind) -> Callable[[], None]:
    """Logits at the size of the crops and their cross-entropy, as a network on masks trains in bf16."""
    small = torch.randn(BATCH, len(CLASSES) + 1, CROP_PX // 4, CROP_PX // 4, dtype=torch.bfloat16)
    small = small.contiguous(memory_format=torch.channels_last).requires_grad_()
    masks = torch.randint(0, len(CLASSES) + 1, (BATCH, CROP_PX, CROP_PX), dtype=torch.uint8)

    def lose() -> None:
        small.grad = None
        logits = torch.nn.functional.interpolate(small, scale_factor=4, mode="bilinear", align_corners=False)
        if kind.by == "torch":
            loss = torch.nn.functional.cross_entropy(logits.float(), masks.long())
        else:
            loss = pixel_cross_entropy(logits, masks)
        loss.backward()

    return lose


def measured_apart(kind: Kind) -> float:
    """`measure` in a process whose allocator is as the kind says, whatever this one's environment holds."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    environment[OPT_OUT] = "0" if kind.keeps_memory else "1"
    command = [sys.executable, __file__, "--kind", json.dumps(asdict(kind))]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return float(json.loads(done.stdout))


def write_page(repetitions: int) -> None:
    """Measure all kinds in turns, and write the page."""
    seconds: dict[Kind, list[float]] = {kind: [] for kind in KINDS}
    for _ in range(repetitions):
        for kind in KINDS:
            seconds[kind].append(measured_apart(kind))
            print(kind, f"{seconds[kind][-1]:.3f} s", file=sys.stderr, flush=True)
    write_text(RESULT, page(seconds))


def page(seconds: Mapping[Kind, list[float]]) -> str:
    """The Markdown page of measured seconds; ratios are those of the medians."""
    median = {kind: statistics.median(values) for kind, values in seconds.items()}
    maps = []
    for kind, back, in_turn in zip(MAPS, GIVING_BACK, IN_TURN, strict=True):
        kept = median[kind]
        full = median[Kind("maps", kind.backbone)]
        cells = (
            median[back],
            kept,
            median[back] / kept,
            full / kept,
            median[in_turn],
            kept / median[in_turn],
        )
        maps.append(f"| {kind.backbone} | {kind.precision} | {' | '.join(f'{cell:.2f}' for cell in cells)} |")
    training = []
    for kinds in TRAINING:
        fp32, plain, fast = (median[kind] for kind in kinds)
        row = f"{fp32:.2f} | {plain:.2f} | {fast:.2f} | {plain / fast:.2f} | {BATCH / fast:.1f}"
        training.append(f"| {kinds[0].backbone} | {row} |")
    mkl, onednn = (median[kind] for kind in PRODUCTS)
    torchs, own = (median[kind] for kind in LOSS)
    peak = 2 * SIDE**3 / median[PRODUCT]
    share = SWIN_FLOP * BATCH / median[Kind("training", precision="bf16")] / peak
    repetitions = len(next(iter(seconds.values())))
    return f"""# Speed on one core

    python benchmarks/speed.py --repetitions {repetitions}

Made on {date.today().isoformat()}; {processor_name()}, 1 thread, torch {torch.__version__.partition("+")[0]}.
Processor seconds (user and system), median of {repetitions} processes per figure, which took turns. **The
machine was shared with other work: trust the ratios more than the seconds.** Networks are untrained.

## Map making

`swtformer localize` for one 375×500 photograph that shows 2 of 20 classes: SWTformer-V2, scales 0.5, 1, 1.5
and 2, each with its mirror image, reading and writing included. "Kept" is the program as it is: it keeps
freed memory (`swtformer.allocator`). "Default" is the C library's own behaviour, with {OPT_OUT}=1.
"In turn" is `--localize.views in_turn`: one view of each scale.

| backbone | precision | default, s | kept, s | default / kept | fp32 / kept | in turn, s | kept / in turn |
|---|---|---|---|---|---|---|---|
{chr(10).join(maps)}

Linear layers of Swin-T in fp32: by MKL {mkl:.2f} s, by oneDNN {onednn:.2f} s, {mkl / onednn:.2f} times as
fast. The program takes oneDNN on AMD's processors with AVX-512 alone (`swtformer.precision.mkl_is_slow`).

## Training step

SWTformer-V2 with all its losses, {BATCH} crops of {CROP_PX} px: forward, backward, clipping and AdamW. In
bf16, "autocast" has all gradients from oneDNN; the program computes those of depthwise convolutions in its
own way where oneDNN's are slow (`swtformer.engine.depthwise`). Swin-T has none, so its two figures differ by
chance; its step in bf16 reaches {100 * share:.0f} % of the {peak / 1e9:.0f} GFLOP/s of large products.

| backbone | fp32, s | bf16, autocast, s | bf16, s | autocast / bf16 | images a second |
|---|---|---|---|---|---|
{chr(10).join(training)}

## Loss on masks

{BATCH} crops of {CROP_PX} px and {len(CLASSES) + 1} labels, logits in bf16 from a quarter of the size,
forward and backward: {1000 * torchs:.0f} ms with `torch.nn.functional.cross_entropy`,
{1000 * own:.0f} ms with the program's own (`swtformer.functional.pixel_losses`), {torchs / own:.1f} times
as fast.

## Refinement

V2's seeds, prototypes, R-CAMs and consistency loss of {BATCH} images, forward and backward, on 7×7 tokens and
14×14 fused features of 768 channels with 20 classes: {1000 * median[REFINEMENT]:.1f} ms.
"""


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repetitions", type=int, default=2)
    parser.add_argument("--kind", type=json.loads, help="measure this one alone, and print its seconds")
    arguments = parser.parse_args()
    if arguments.kind:
        print(json.dumps(measure(Kind(**arguments.kind))))
    else:
        write_page(arguments.repetitions)


if __name__ == "__main__":
    main()
