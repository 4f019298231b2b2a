"""Measures the peak memory of map making for one large image, and writes memory.md beside this file.

    python benchmarks/memory.py                                      # all rows, a few minutes
    python benchmarks/memory.py --side 2000 --scales 1 --precision bf16    # one row, printed

Every row runs in a process of its own, on one thread; the peak is that of the whole process (getrusage), with
Python and torch in it. An untrained network needs the memory of a trained one.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from swtformer.datasets.records import ImageSet, Record
from swtformer.machine import processor_name
from swtformer.methods import create_model
from swtformer.methods.pretrained import save_pretrained
from swtformer.settings import Settings, validate
from swtformer.stages.localize import localize
from swtformer.store.files import write_text
from swtformer.store.run import Run

RESULT = Path(__file__).with_name("memory.md")
ROWS: tuple[dict[str, Any], ...] = (
    {"side": 500, "scales": [0.5, 1.0, 1.5, 2.0], "precision": "bf16"},
    {"side": 2000, "scales": [1.0], "precision": "bf16"},
    {"side": 2000, "scales": [1.0], "precision": "fp32"},
    {"side": 2000, "scales": [2.0], "precision": "bf16"},
    {"side": 2000, "scales": [2.0], "precision": "fp32"},
)
BACKBONE = "swin_tiny_patch4_window7_224"
CLASSES = 20
"""Classes of the set, if an image does not show more."""


def measure(*, side: int, scales: Sequence[float], precision: str, shown: int = 2) -> dict[str, float]:
    """Map one square image that shows some classes, with its mirror image; gigabytes and seconds."""
    names = tuple(f"class {number}" for number in range(max(CLASSES, shown)))
    torch.set_num_threads(1)
    torch.manual_seed(0)
    settings = validate(
        Settings,
        {
            "model": {"method": "swtformer_v2", "backbone": BACKBONE, "weights": "none"},
            "localize": {
                "long_side_px": None,
                "scales": list(scales),
                "precision": precision,
                "accelerator": "cpu",
            },
        },
        where="memory.py",
    )
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder) / "run")
        run.write_settings(settings)
        save_pretrained(create_model(settings.model, names), run.model)
        photograph = Path(folder) / "photograph.jpg"
        noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((side, side)).save(photograph)
        record = Record("one", photograph, tuple(range(shown)))
        data = ImageSet("one", "table", photograph.parent, names, (record,))
        before = _peak_gb()
        started = time.process_time()
        localize(run, data, settings=settings)
        return {"before": before, "peak": _peak_gb(), "seconds": time.process_time() - started}


def _peak_gb() -> float:
    """Largest resident size of this process so far, in GB; Linux counts kilobytes, macOS bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def measured_apart(row: Mapping[str, Any]) -> dict[str, float]:
    """`measure` in a process of its own."""
    flags = [f"--side={row['side']}", f"--precision={row['precision']}", f"--shown={row.get('shown', 2)}"]
    flags += ["--scales", *map(str, row["scales"])]
    done = subprocess.run([sys.executable, __file__, *flags], check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    print(row, found, file=sys.stderr, flush=True)
    return found


def page(results: Iterable[tuple[Mapping[str, Any], Mapping[str, float]]]) -> str:
    """The Markdown page of rows and what was measured for them."""
    lines = [
        f"| {row['side']}×{row['side']} | {', '.join(f'{scale:g}' for scale in row['scales'])} "
        f"| {row['precision']} | {found['before']:.2f} | {found['peak']:.2f} | {found['seconds']:.0f} |"
        for row, found in results
    ]
    return f"""# Memory of map making

    python benchmarks/memory.py

Made on {date.today().isoformat()}; {processor_name()}, 1 thread, torch {torch.__version__.partition("+")[0]}.
`swtformer localize` of one image that shows 2 of 20 classes, SWTformer-V2 on Swin-T, each scale with its
mirror image, on the CPU; each row in a process of its own. The peak is the process's largest resident size,
with Python and torch in it; "before" is that size before the first image is read.

| image | scales | precision | before, GB | peak, GB | CPU seconds |
|---|---|---|---|---|---|
{chr(10).join(lines)}
"""


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--side", type=int)
    parser.add_argument("--scales", type=float, nargs="+", default=[1.0])
    parser.add_argument("--precision", choices=("bf16", "fp32"), default="bf16")
    parser.add_argument("--shown", type=int, default=2, help="classes in the image")
    arguments = parser.parse_args()
    if arguments.side is None:
        write_text(RESULT, page((row, measured_apart(row)) for row in ROWS))
    else:
        print(json.dumps(measure(**vars(arguments))))


if __name__ == "__main__":
    main()
