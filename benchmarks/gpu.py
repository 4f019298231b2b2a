"""Measures training and map making on one accelerator, reading and writing included, and writes gpu.md.

    python benchmarks/gpu.py                         # on a GPU, under four minutes
    python benchmarks/gpu.py --images 24 --workers 0 # on a CPU, about a minute

Images are drawn: 16 photographs of VOC's usual sizes, as JPEG, under many names. The network is Swin-T at
random weights, V2, 20 classes, two of them in every image. Of a training's three epochs the last one counts,
as the first ones load libraries and tune kernels; of the maps (four scales, mirrored) the second half counts.
The limit is what products of large matrices reach on the same device in the same arithmetic.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from swtformer.datasets.records import ImageSet, Record
from swtformer.machine import processor_name
from swtformer.methods import Batch, checked_maps, create_model
from swtformer.precision import autocast, pick_device, pick_precision
from swtformer.settings import Settings, validate
from swtformer.stages.localize import localize
from swtformer.stages.train import train
from swtformer.store.files import write_text
from swtformer.store.run import Run

RESULT = Path(__file__).with_name("gpu.md")
CLASSES = tuple(f"class {number}" for number in range(20))
SIZES = ((375, 500), (375, 500), (375, 500), (500, 375), (333, 500), (332, 500), (500, 333), (334, 500))
"""(height, width) of VOC's photographs, about as often as they come."""
DRAWN = 16
TRAINAUG = 10_582
TRAIN_GOAL = 30 * TRAINAUG / 180
"""Images per second, for 30 epochs of VOC's trainaug in three minutes."""
MAPS_GOAL = 500
KINDS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def drawn_images(folder: Path, *, count: int) -> ImageSet:
    """Photographs of VOC's sizes, each under many names."""
    files = []
    for number in range(DRAWN):
        size = SIZES[number % len(SIZES)]
        generator = torch.Generator().manual_seed(number)
        smooth = F.interpolate(torch.rand(1, 3, 24, 32, generator=generator), size, mode="bicubic")[0]
        noise = 0.04 * torch.randn(3, *size, generator=generator)
        pixels = (255 * (smooth + noise)).clamp(0, 255).byte().permute(1, 2, 0)
        path = folder / f"drawn-{number}.jpg"
        Image.fromarray(np.asarray(pixels)).save(path, quality=90)
        files.append(path.read_bytes())
    records = []
    for number in range(count):
        path = folder / f"{number:06d}.jpg"
        path.write_bytes(files[number % DRAWN])
        records.append(Record(path.stem, path, (number % 20, (7 * number + 3) % 20)))
    return ImageSet("drawn", "table", folder, CLASSES, tuple(records))


def settings_of(options: argparse.Namespace) -> Settings:
    """Of all measurements."""
    values: dict[str, Any] = {
        "data": {"validation_fraction": 0},
        "model": {"method": "swtformer_v2", "backbone": options.backbone, "weights": "none"},
        "train": {
            "epochs": 3,
            "batch_size": min(options.batch_size, options.images),
            "workers": options.workers,
        },
        "localize": {"batch_size": options.map_batch_size, "workers": max(options.workers, 1)},
    }
    return validate(Settings, values, where="gpu.py")


def matrix_peak(device: str, precision: str) -> float:
    """FLOP per second of products of large matrices, the best of five."""
    size = 8192 if device == "cuda" else 2048
    matrix = torch.randn(size, size, dtype=KINDS[precision], device=device)
    return max(2 * size**3 / seconds(lambda: matrix @ matrix, device) for _ in range(6))


def seconds(work: Callable[[], object], device: str) -> float:
    """By the clock, until the device has finished."""
    start = time.perf_counter()
    work()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def work_per_image(settings: Settings) -> tuple[int, int]:
    """FLOP of a training step and of the maps of a photograph, per image."""
    model = create_model(settings.model, CLASSES, settings.method)
    present = torch.zeros(1, len(CLASSES))
    present[0, :2] = 1
    side = settings.train.crop_px
    crops = Batch(torch.zeros(1, 3, side, side, dtype=torch.uint8), present, index=torch.arange(1))
    with FlopCounterMode(display=False) as training:
        torch.stack(list(model.train().losses(crops, epoch=0.0).values())).sum().backward()
    with FlopCounterMode(display=False) as mapping, torch.no_grad():
        checked_maps(
            model.eval(), torch.zeros(1, 3, 375, 500, dtype=torch.uint8), present, settings=settings.localize
        )
    return training.get_total_flops(), mapping.get_total_flops()


def trained(data: ImageSet, settings: Settings, run: Run) -> float:
    """Images per second of the last epoch of a training."""
    train(data, settings=settings, out=run.path)
    with (run.path / "metrics.csv").open(newline="", encoding="utf-8") as stream:
        last = list(csv.DictReader(stream))[-1]
    return len(data) / float(last["seconds"])


def mapped(data: ImageSet, settings: Settings, run: Run) -> float:
    """Maps per second of the second half."""
    moments = {}

    def note(stage: str, done: int, total: int, note: str = "") -> None:
        moments[done] = time.perf_counter()

    localize(run, data, settings=settings, progress=note)
    half = len(data) // 2
    return (len(data) - half) / (moments[len(data)] - moments[half])


OWED = """
**The figures of a GPU are owed**: none was at hand. Those below are of a processor. They show that the script
works, and how near the program is to that processor's limit; the goals are meant for a GPU. Owed as well, as
they can be judged on a GPU alone: compiled models or CUDA graphs, writers in threads for `refine` and
`predict`, the checks of each step's loss, for which the processor waits, and how many tokens a Swin works on
at a time.
"""


def page(rows: list[str], *, command: str, device: str, precision: str, peak: float, owed: str) -> str:
    """The page of two rows."""
    return f"""# Training and maps on one accelerator

    {command}
{owed}
Made on {date.today()}; {device}, {precision}, torch {torch.__version__.partition("+")[0]}. Swin-T, V2, 20
classes, drawn JPEGs of VOC's sizes, reading and writing included. Products of large matrices reach
{peak / 1e12:.3g} TFLOP/s.

| work | images per second | share of that limit | goal on an H100 or H200 |
|---|---|---|---|
{chr(10).join(rows)}
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=4096)
    parser.add_argument("--workers", type=int, default=12)
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--map_batch_size", type=int, default=16)
    parser.add_argument("--backbone", default="swin_tiny_patch4_window7_224")
    options = parser.parse_args()
    settings = settings_of(options)
    device = pick_device("auto")
    precision = pick_precision(settings.train.precision, device)
    with autocast("fp32", device):
        peak = matrix_peak(device, precision)
    training, mapping = work_per_image(settings)
    with tempfile.TemporaryDirectory() as folder:
        data = drawn_images(Path(folder), count=options.images)
        run = Run(Path(folder) / "run")
        steps = trained(data, settings, run)
        maps = mapped(data, settings, run)
    scales = len(settings.localize.scales)
    rows = [
        f"| training at {settings.train.crop_px} px, batches of {settings.train.batch_size} | {steps:.4g} | "
        f"{100 * steps * training / peak:.0f} % | {TRAIN_GOAL:,.0f} |",
        f"| maps, {scales} scales, mirrored, batches of {settings.localize.batch_size} | {maps:.4g} | "
        f"{100 * maps * mapping / peak:.0f} % | {MAPS_GOAL} |",
    ]
    print("\n".join(rows))
    words = f"--images {options.images} --workers {options.workers} --batch_size {options.batch_size}"
    command = f"python benchmarks/gpu.py {words} --map_batch_size {options.map_batch_size}"
    name = torch.cuda.get_device_name() if device == "cuda" else f"{processor_name()}, no GPU"
    owed = "" if device == "cuda" else OWED
    write_text(RESULT, page(rows, command=command, device=name, precision=precision, peak=peak, owed=owed))


if __name__ == "__main__":
    main()
