"""Measures stages in 1 and 2 processes, works out what more images cost, and writes scale.md beside this.

    python benchmarks/scale.py                            # 1,000 drawn thumbnails, some minutes on two cores
    python benchmarks/scale.py --images 100000 --rounds 1 --processes 2

Processes are launched by torchrun, each with one thread. Numbers of processes take turns, and medians are
given. "all kept" is the same command again: start-up, the list of images, and looking at what is there.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from swtformer.machine import machine_line
from swtformer.methods import create_model
from swtformer.methods.pretrained import save_pretrained
from swtformer.settings import Settings, validate
from swtformer.store.files import write_json, write_text
from swtformer.store.masks import write_mask
from swtformer.store.run import Run

RESULT = Path(__file__).with_name("scale.md")
CLASSES = ("red", "green", "blue")
SIDE_PX = 96
BACKBONE = "mobilenetv2_035"

CORE_SECONDS = 3.6
"""Maps of a photograph of 375×500 px on one core: Swin-T, 4 scales and mirror, bf16 (2.8), PAR, pseudo-mask
and prediction (0.8)."""
GPU_PER_SECOND = 250
"""The same on one H100 or H200, a guess."""
CORE_HOUR, GPU_HOUR, TERABYTE_MONTH = 0.04, 3.0, 23.0
"""Dollars."""
PHOTOGRAPH, MAPS, REFINED, MASK, AREAS = 110_000, 71_000, 57_000, 6_000, 1_500
"""Bytes a photograph."""
RECORD = 2_000
"""Bytes of memory a photograph in every process; opening a set of 100,000 took 0.19 GB."""


@dataclass(frozen=True)
class Measured:
    """One command.

    Attributes:
        cpu: seconds of the processor, of all processes.
        wall: seconds.
        peak: resident size of the largest process, in GB.
    """

    cpu: float
    wall: float
    peak: float


def draw(folder: Path, images: int) -> Run:
    """Thumbnails of coloured squares with labels and masks, and a run with an untrained model."""
    rng = np.random.default_rng(0)
    noise = rng.integers(60, 120, (16, SIDE_PX, SIDE_PX, 3), dtype=np.uint8)
    rows = ["image,labels"]
    for number in range(images):
        place = Path(f"{number // 1000:04d}") / f"{number:08d}"
        (folder / "images" / place.parent).mkdir(parents=True, exist_ok=True)
        label = number % len(CLASSES)
        pixels, mask = noise[number % 16].copy(), np.zeros((SIDE_PX, SIDE_PX), np.uint8)
        y, x = rng.integers(0, SIDE_PX // 2, 2)
        pixels[y : y + SIDE_PX // 2, x : x + SIDE_PX // 2, label] = 230
        mask[y : y + SIDE_PX // 2, x : x + SIDE_PX // 2] = label + 1
        Image.fromarray(pixels).save(folder / "images" / place.with_suffix(".jpg"), quality=90)
        write_mask(folder / "masks" / place.with_suffix(".png"), mask)
        rows.append(f"images/{place}.jpg,{CLASSES[label]}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    run = Run(folder / "run")
    settings = validate(
        Settings,
        {
            "data": {"classes": CLASSES, "masks": str(folder / "masks")},
            "model": {"method": "swtformer_v2", "backbone": BACKBONE, "weights": "none"},
            "localize": {
                "scales": [1.0],
                "flip": False,
                "long_side_px": None,
                "precision": "fp32",
                "accelerator": "cpu",
            },
            "refine": {"accelerator": "cpu"},
        },
        where="scale.py",
    )
    run.write_settings(settings)
    write_json(run.classes_file, CLASSES)
    torch.manual_seed(0)
    save_pretrained(create_model(settings.model, CLASSES), run.model)
    return run


def commands(run: Run) -> dict[str, tuple[str, ...]]:
    """The commands of each row, and what they need is made by those above."""
    data, out = str(run.path.parent / "labels.csv"), str(run.path.parent / "predicted")
    predict = ("predict", str(run.path), str(run.path.parent / "images"), "--out", out)
    return {
        "localize": ("localize", str(run.path), data),
        "localize, all kept": ("localize", str(run.path), data),
        "refine by PAR": ("refine", str(run.path), data),
        "evaluate": ("evaluate", str(run.path), data),
        "predict": (*predict, "--predict.precision", "fp32", "--predict.accelerator", "cpu"),
    }


def measure(words: Sequence[str], *, processes: int) -> Measured:
    """Run one command in some processes."""
    launcher = ["torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", "-m"]
    command = [sys.executable, "-m", *(launcher if processes > 1 else []), "swtformer", *words]
    started = time.perf_counter()
    process = subprocess.Popen(
        command,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stderr.close()
    if process.returncode:
        raise RuntimeError(f"{shlex.join(command)} ended with {process.returncode}: {said[-2000:]}")
    unit = 1 if sys.platform == "darwin" else 1024
    wall = time.perf_counter() - started
    return Measured(used.ru_utime + used.ru_stime, wall, used.ru_maxrss * unit / 1e9)


def rows(
    folder: Path, *, images: int, processes: Sequence[int], rounds: int
) -> Iterator[tuple[str, int, Measured]]:
    """Every command in every number of processes: medians over the rounds."""
    run = draw(folder, images)
    found: dict[tuple[str, int], list[Measured]] = {}
    for _ in range(rounds):
        for count in processes:
            for made in (run.maps, run.refined, folder / "predicted"):
                shutil.rmtree(made, ignore_errors=True)
            for name, words in commands(run).items():
                result = measure(words, processes=count)
                print(f"{name}, {count} processes: {result}", file=sys.stderr, flush=True)
                found.setdefault((name, count), []).append(result)
    for (name, count), results in found.items():
        medians = (
            statistics.median(getattr(each, field) for each in results) for field in ("cpu", "wall", "peak")
        )
        yield name, count, Measured(*medians)


def table(measured: Iterable[tuple[str, int, Measured]], *, images: int) -> list[str]:
    """Markdown lines of what was measured."""
    return [
        f"| {name} | {images:,} | {count} | {found.cpu:.1f} | {found.wall:.1f} | {found.peak:.2f} |"
        for name, count, found in measured
    ]


def estimates(images: int) -> Mapping[str, float]:
    """What a number of photographs costs: hours, terabytes, dollars, gigabytes of memory a process."""
    stored = PHOTOGRAPH + MAPS + REFINED + 2 * MASK + AREAS
    core_hours, gpu_hours = images * CORE_SECONDS / 3600, images / GPU_PER_SECOND / 3600
    return {
        "core hours": core_hours,
        "hours of 64 cores": core_hours / 64,
        "dollars of cores": core_hours * CORE_HOUR,
        "GPU hours": gpu_hours,
        "dollars of GPUs": gpu_hours * GPU_HOUR,
        "terabytes": images * stored / 1e12,
        "dollars a month of storage": images * stored / 1e12 * TERABYTE_MONTH,
        "files": images * 5,
        "memory of the list, GB a process": images * RECORD / 1e9,
        "areas.json, GB": images * AREAS / 1e9,
    }


def page(lines: Sequence[str], command: str) -> str:
    """The Markdown page."""
    million, billion = estimates(10**6), estimates(10**9)
    costs = "\n".join(f"| {name} | {million[name]:,.4g} | {billion[name]:,.4g} |" for name in million)
    machine = machine_line(threads=1, torch_version=torch.__version__, precision="fp32")
    return f"""# What more images cost

    {command}

## Measured

Made on {date.today().isoformat()}; {machine}, of {os.cpu_count()} cores.
Drawn thumbnails of {SIDE_PX}×{SIDE_PX} px, SWTformer-V2 on {BACKBONE}, one view. Processor seconds are of all
processes together, with their start-up and torchrun's; the peak is the resident size of the largest process.
Other programs kept both cores busy, so wall times say little; processor seconds say what dividing costs. With
few images that is the start-up of each process (imports, the model, the first image), as the line "all kept"
shows; nobody should divide minutes of work.

| command | images | processes | processor s | wall s | peak GB |
|---|---|---|---|---|---|
{chr(10).join(lines)}

## On paper

Not measured but worked out, from these assumptions:

- {CORE_SECONDS} s of one core a photograph of 375×500 px (maps of Swin-T in bf16 at four scales with mirror
  images, PAR, a pseudo-mask, a prediction), or {GPU_PER_SECOND} photographs a second on one H100 or H200,
  a guess: no GPU was at hand;
- ${CORE_HOUR} a core hour, ${GPU_HOUR:g} a GPU hour, ${TERABYTE_MONTH:g} a terabyte and month;
- {PHOTOGRAPH // 1000} kB a photograph, {MAPS // 1000} kB its maps, {REFINED // 1000} kB its refined maps,
  {MASK // 1000} kB each of its two masks, {AREAS / 1000:g} kB its line of areas.json;
- {RECORD / 1000:g} kB of memory in every process for what is known of a photograph (opening a set of 100,000
  took 0.19 GB).

Training does not grow with the images that are mapped.

| | a million | a billion |
|---|---|---|
{costs}

**A million** is a day of one machine of 64 cores, or little more than an hour of one GPU. What hurts first is
the memory of the list, which every process has whole: eight processes of a machine need eight times as much.
Then the five million files, which take longer to copy and delete than to read. `docs/cluster.md` says how the
work is divided.

**A billion** breaks, in this order:

1. the list of images in the memory of each process;
2. notes and tables that the first process writes at once (maps.json with all ids, areas.json, the scores of
   each image);
3. folders of files: five billion inodes, two `fsync` a file;
4. looking at what is there: the same command again reads every file of maps.

So a billion is a thousand runs of a million, each with its own part of the images and the same folder
`model`. Images in shards or an object store (`docs/shards.md`) do away with the files.
"""


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = rows(
            Path(folder), images=arguments.images, processes=arguments.processes, rounds=arguments.rounds
        )
        lines = table(found, images=arguments.images)
    write_text(RESULT, page(lines, shlex.join(["python", "benchmarks/scale.py", *sys.argv[1:]])))


if __name__ == "__main__":
    main()
