"""What the rows of the paper's tables cost: seconds and memory per image of training and of maps.

    python benchmarks/row_costs.py [--only seam sipe] [--write]

Each row runs in a process of its own, one thread, with its own backbone at random weights, on drawn images:
training steps of two crops of the row's size, and the maps of one image of 375×500 px at the row's scales,
each with its mirror image. Times are processor time, of the fastest of three steps and of one image's maps.
Peak memory is that of the whole process. `--write` puts the estimated processor hours of training on VOC's
10,582 images and of maps of 1,464 into the rows' files as a comment.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable

import torch

from swtformer.machine import machine_line
from swtformer.methods import Batch, checked_maps, create_model
from swtformer.reproduction.rows import FOLDER, ORDER, read_rows
from swtformer.settings import shipped_configs

NAMES = [*dict.fromkeys(name for names in ORDER.values() for name in names), "seam_cam"]
CLASSES = tuple(f"class{number}" for number in range(20))
CROPS = 2
TRAINED, MAPPED = 10_582, 1_464


def fastest(work: Callable[[], object], *, repeats: int) -> float:
    """Processor seconds."""
    taken = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return min(taken)


def measure(name: str) -> dict[str, float]:
    """Seconds per image of training and of maps, and peak MiB of both."""
    torch.set_num_threads(1)
    row = read_rows([name])[0]
    settings = row.settings({"model": {"weights": "none"}}, seed=0)
    model = create_model(settings.model, CLASSES, settings.method)
    side = settings.train.crop_px
    present = torch.zeros(CROPS, len(CLASSES))
    present[:, :2] = 1
    crops = torch.randint(0, 256, (CROPS, 3, side, side), dtype=torch.uint8)
    batch = Batch(crops, present, index=torch.arange(CROPS))
    model.train()
    model.freeze(settings.train.freeze_stages)

    def step() -> None:
        model.zero_grad(set_to_none=True)
        torch.stack(list(model.losses(batch, epoch=0.0).values())).sum().backward()

    training = fastest(step, repeats=3) / CROPS
    trained_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    model.zero_grad(set_to_none=True)
    model.eval()
    image = torch.randint(0, 256, (1, 3, 375, 500), dtype=torch.uint8)
    with torch.inference_mode():
        maps = fastest(lambda: checked_maps(model, image, present[:1], settings=settings.localize), repeats=1)
    mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    hours = (settings.train.epochs * TRAINED * training + MAPPED * maps) / 3600
    return {"training": training, "trained_mib": trained_mib, "maps": maps, "mib": mib, "hours": hours}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="*", choices=NAMES, default=NAMES)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--one", choices=NAMES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one)))
        return
    print(machine_line(threads=1, torch_version=torch.__version__, precision="fp32") + "\n")
    print("| row | backbone, crop, scales | training, s | MiB | maps, s | MiB | processor hours on VOC |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for name in options.only:
        made = subprocess.run(
            [sys.executable, __file__, "--one", name], stdout=subprocess.PIPE, text=True, check=True
        )
        found = json.loads(made.stdout)
        settings = read_rows([name])[0].settings({}, seed=0)
        scales = ", ".join(f"{scale:g}" for scale in settings.localize.scales)
        about = f"`{name}` | {settings.model.backbone}, {settings.train.crop_px} px, {scales}"
        training = f"{found['training']:.2f} | {found['trained_mib']:,.0f}"
        maps = f"{found['maps']:.2f} | {found['mib']:,.0f}"
        print(f"| {about} | {training} | {maps} | {found['hours']:.0f} |", flush=True)
        if options.write:
            file = next(path for path in shipped_configs(FOLDER) if path.stem == name)
            text = re.sub(r"#\n# Expected: .*\n", "", file.read_text(encoding="utf-8"))
            expected = (
                f"#\n# Expected: {found['hours']:.0f} processor hours of one core; far less on a GPU.\n"
            )
            text = text.replace("\nrow:\n", f"\n{expected}row:\n", 1)
            file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
