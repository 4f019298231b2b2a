"""Times `localize` with and without the allocator setting, and writes speed.md beside this file.

    python benchmarks/speed.py --repetitions 2

Every figure comes from a process of its own, on one thread, that maps two photographs of 375×500 at four
scales with their mirror images; the second one counts. Kinds take turns, so that what else the machine does
falls on all of them. Seconds are those of the processor (user and system), which a shared machine stretches
less than the clock's.
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
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from swtformer.allocator import OPT_OUT
from swtformer.datasets.records import ImageSet, Record
from swtformer.machine import processor_name
from swtformer.methods import create_model
from swtformer.methods.pretrained import save_pretrained
from swtformer.settings import Settings, validate
from swtformer.stages.localize import localize
from swtformer.store.files import write_text
from swtformer.store.run import Run

RESULT = Path(__file__).with_name("speed.md")
CLASSES = tuple(f"class {number}" for number in range(20))
BACKBONES = ("swin_tiny_patch4_window7_224", "mobilenetv2_100")
PRECISIONS = ("fp32", "bf16")
ALLOCATORS = ("default", "kept")
Kind = tuple[str, str, str]
"""Backbone, precision, allocator."""


def measure(backbone: str, precision: str) -> float:
    """Processor seconds for one photograph that shows two classes; the process maps another one before."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    settings = validate(
        Settings,
        {
            "model": {"method": "swtformer_v2", "backbone": backbone, "weights": "none"},
            "localize": {"long_side_px": None, "precision": precision, "accelerator": "cpu"},
        },
        where="speed.py",
    )
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


def measured_apart(kind: Kind) -> float:
    """`measure` in a process whose allocator is as the kind says, whatever this one's environment holds."""
    backbone, precision, allocator = kind
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    environment[OPT_OUT] = "1" if allocator == "default" else "0"
    command = [sys.executable, __file__, "--backbone", backbone, "--precision", precision]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return float(json.loads(done.stdout))


def write_page(repetitions: int) -> None:
    """Measure all kinds in turns, and write the page."""
    kinds: list[Kind] = [
        (backbone, precision, allocator)
        for backbone in BACKBONES
        for precision in PRECISIONS
        for allocator in ALLOCATORS
    ]
    seconds: dict[Kind, list[float]] = {kind: [] for kind in kinds}
    for _ in range(repetitions):
        for kind in kinds:
            seconds[kind].append(measured_apart(kind))
            print(*kind, f"{seconds[kind][-1]:.2f} s", file=sys.stderr, flush=True)
    write_text(RESULT, page(seconds))


def page(seconds: Mapping[Kind, list[float]]) -> str:
    """The Markdown page of measured seconds; ratios are those of the medians."""
    rows = []
    for backbone in BACKBONES:
        for precision in PRECISIONS:
            default, kept = (
                statistics.median(seconds[backbone, precision, allocator]) for allocator in ALLOCATORS
            )
            full = statistics.median(seconds[backbone, "fp32", "kept"])
            rows.append(
                f"| {backbone} | {precision} | {default:.2f} | {kept:.2f} | {default / kept:.2f} "
                f"| {full / kept:.2f} |"
            )
    repetitions = len(next(iter(seconds.values())))
    return f"""# Speed of map making

    python benchmarks/speed.py --repetitions {repetitions}

Made on {date.today().isoformat()}; {processor_name()}, 1 thread, torch {torch.__version__.partition("+")[0]}.
Processor seconds (user and system) of `swtformer localize` for one 375×500 photograph that shows 2 of 20
classes: SWTformer-V2, untrained, scales 0.5, 1, 1.5 and 2, each with its mirror image, reading and writing
included. Median of {repetitions} processes per figure, which took turns. **The machine was shared with other
work: trust the ratios more than the seconds.** "Kept" is the program as it is: it keeps freed memory
(`swtformer.allocator`). "Default" is the C library's own behaviour, with {OPT_OUT}=1.

| backbone | precision | default, s | kept, s | default / kept | fp32 / this, kept |
|---|---|---|---|---|---|
{chr(10).join(rows)}
"""


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repetitions", type=int, default=2)
    parser.add_argument("--backbone", help="measure this one alone, in this process, and print its seconds")
    parser.add_argument("--precision", choices=PRECISIONS, default="fp32")
    arguments = parser.parse_args()
    if arguments.backbone:
        print(json.dumps(measure(arguments.backbone, arguments.precision)))
    else:
        write_page(arguments.repetitions)


if __name__ == "__main__":
    main()
