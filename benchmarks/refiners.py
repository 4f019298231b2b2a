"""Measure every refiner on a run with maps: mIoU before and after, seconds per image, peak memory.

    python benchmarks/refiners.py RUN --out runs/refiners [--images N] [--threads N] [NAME ...] > refiners.md

RUN does not change: its model and the chosen maps are copied under --out, one folder per refiner. A stopped
call resumes. NAMEs are refiners and the variants of them that VARIANTS lists. Only the scoring reads the
ground truth. Each speed is measured in its own process, on one photograph resized to 375×500 and to
1000×1000: the median of three calls after two, and the peak memory of a call beyond what the process held
after one on 32×32 pixels. Learned refiners are timed with unfitted weights, which takes as long.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shlex
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from swtformer.allocator import keep_freed_memory
from swtformer.datasets.images import read_image
from swtformer.datasets.of_run import open_data_of
from swtformer.datasets.records import ImageSet
from swtformer.machine import machine_line
from swtformer.methods.pretrained import from_pretrained
from swtformer.precision import pick_device
from swtformer.refiners import REFINERS, LearnedRefiner, create_refiner
from swtformer.settings import EvaluateSettings, RefineSettings
from swtformer.stages.evaluate import evaluate
from swtformer.stages.pseudo_label import pseudo_label
from swtformer.stages.refine import refine
from swtformer.store.files import read_json, write_json
from swtformer.store.maps import ClassActivationMaps
from swtformer.store.notes import DataNotes, read_notes, training_notes
from swtformer.store.run import Run

SIZES = ((375, 500), (1000, 1000))
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, {}) for name in REFINERS},
    "par-10": ("par", {"iterations": 10}),
    **{f"{name}-256": (name, {"walk_steps": 256}) for name in ("psa", "irn")},
}
"""Refiner and options of what is measured: every refiner at its defaults, and PAR and the walks at
their published lengths."""

NOTES = """\
The walks of PSA and IRN were published for CAMs, which are small and have far to go: 256 steps. From R-CAMs,
32 are the default; that number was chosen with the masks of every eighth of these images. Both networks are
fitted to the maps of these images alone."""
"""Added under the table."""

PROCESS = Path("/proc/self")
"""Where Linux reports a process's peak memory, and resets it."""

FILES = ("settings.yaml", "environment.json", "classes.json", "model")


def _data(run: Run, count: int | None) -> ImageSet:
    """The images that the run's maps were made for, or `count` of them spread evenly."""
    data = open_data_of(run, read_notes(run.maps_file, DataNotes) or training_notes(run))
    mapped = set(run.map_ids())
    keep = [place for place, record in enumerate(data.records) if record.id in mapped]
    step = max(len(keep) // count, 1) if count else 1
    return data.subset(keep[::step][:count])


def _copy(run: Run, data: ImageSet, folder: Path) -> Run:
    """What refinement needs of a run, with the maps of these images."""
    copy = Run(folder)
    for name in FILES:
        source = run.path / name
        if source.is_dir():
            shutil.copytree(source, folder / name, dirs_exist_ok=True)
        else:
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, folder / name)
    for source, target in [
        (run.maps_file, copy.maps_file),
        *((run.map_file(record.id), copy.map_file(record.id)) for record in data.records),
    ]:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)
    return copy


def _miou(scores: Any, source: str, policy: str) -> float:
    return 100 * next(row.miou for row in scores.segmentation if (row.source, row.policy) == (source, policy))


def measure_quality(run: Run, data: ImageSet, name: str, out: Path) -> dict[str, Any]:
    """Refine copies of the maps, and score before, after, and the pseudo-masks' coverage."""
    method, options = VARIANTS[name]
    copy = _copy(run, data, out / method)
    changes = {"refine": RefineSettings(method=method), "refiner": options}
    settings = run.settings().model_copy(update=changes)
    started = time.monotonic()
    refine(copy, data, settings=settings, progress=_note)
    seconds = time.monotonic() - started
    source = read_json(copy.refined_file)["source"]
    policy = "argmax" if source == "rcam" else "label_free"
    scored: EvaluateSettings = settings.evaluate
    before = evaluate(copy, data, settings=scored.model_copy(update={"maps": "maps"}))
    after = evaluate(copy, data, settings=scored.model_copy(update={"maps": "refined"}))
    labelled = pseudo_label(copy)
    return {
        "images": before.images,
        "scored_classes": before.scored_classes,
        "start": f"{'R-CAM' if source == 'rcam' else 'CAM'}, {policy}",
        "before": _miou(before, source, policy),
        "after": _miou(after, "refined", "argmax"),
        "decided": 100 * (1 - labelled.undecided),
        "seconds_all": seconds,
    }


def measure_speed(run: Run, name: str, size: tuple[int, int]) -> dict[str, float]:
    """Seconds and MiB of one refiner on one photograph of a size; to be called in a fresh process."""
    device = pick_device("auto")
    method, options = VARIANTS[name]
    refiner = create_refiner(method, options, source="rcam", device=device)
    if isinstance(refiner, LearnedRefiner):
        refiner.build(from_pretrained(run.path).reusable_features())
    data = _data(run, None)
    record = max(data.records[:50], key=lambda item: len(item.present or ()))
    photograph = torch.from_numpy(read_image(record.image)).permute(2, 0, 1)[None].float() / 255
    image = F.interpolate(photograph, size, mode="bilinear", antialias=True)[0].clamp(0, 1)
    maps = ClassActivationMaps.load(run.map_file(record.id))
    start = torch.from_numpy(maps.cam if maps.refined is None else maps.refined).float()
    if maps.refined is None:
        start = torch.cat([1 - start.amax(0, keepdim=True), start])
    grid = (-(-size[0] // 4), -(-size[1] // 4))
    start = F.interpolate(start[None], grid, mode="bilinear")[0]
    refiner.refine(image[:, :32, :32].contiguous(), start[:, :8, :8].contiguous())
    base = _peak(device, reset=True)
    refiner.refine(image, start)
    mebibytes = _peak(device) - base
    keep_freed_memory()  # as `swtformer refine` does
    seconds = []
    for _ in range(4):
        started = time.monotonic()
        refiner.refine(image, start)
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.monotonic() - started)
    return {"seconds": statistics.median(seconds[1:]), "mebibytes": mebibytes, "classes": len(start) - 1}


def _peak(device: str, *, reset: bool = False) -> float:
    """Peak memory in MiB since the last call with `reset`; outside of Linux, since the process began."""
    if device == "cuda":
        if reset:
            torch.cuda.reset_peak_memory_stats()
        return torch.cuda.max_memory_allocated() / 2**20
    if not PROCESS.is_dir():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    if reset:
        (PROCESS / "clear_refs").write_text("5")
    (line,) = (line for line in (PROCESS / "status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 2**10


def _note(stage: str, done: int, total: int, note: str = "") -> None:
    if done == total or done % 50 == 0:
        print(f"  {stage} {done}/{total} {note}", file=sys.stderr, flush=True)


def table(results: dict[str, dict[str, Any]], command: str) -> str:
    """The results as a page of Markdown."""
    first = next(iter(results.values()))
    names = ", ".join(first["quality"]["scored_classes"])
    machine = machine_line(threads=first["threads"], torch_version=torch.__version__, precision="fp32")
    heads = " | ".join(f"s at {h}×{w} | MiB at {h}×{w}" for h, w in SIZES)
    lines = [
        "# Refiners",
        "",
        f"mIoU in % over {len(first['quality']['scored_classes'])} classes ({names}); "
        f"{first['quality']['images']} images; start: {first['quality']['start']}; after: argmax; one seed. "
        "Decided: mean part of the pixels that `pseudo-label` labels at its defaults.",
        "",
        f"| refiner | before | after | gain | decided | {heads} |",
        "|" + "---|" * (5 + 2 * len(SIZES)),
    ]
    for name, result in results.items():
        quality = result["quality"]
        speeds = [f"{speed['seconds']:.2f} | {speed['mebibytes']:.0f}" for speed in result["speeds"]]
        lines.append(
            f"| `{name}` | {quality['before']:.2f} | {quality['after']:.2f} "
            f"| {quality['after'] - quality['before']:+.2f} | {quality['decided']:.1f} % "
            f"| {' | '.join(speeds)} |"
        )
    lines += [
        "",
        f"{machine}; {date.today().isoformat()}; speeds with {first['speeds'][0]['classes']:.0f} classes in "
        "the image.",
        "",
        f"    {command}",
        "",
        NOTES,
    ]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line."""
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("names", nargs="*", default=list(VARIANTS))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--images", type=int)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--speed-at", type=int, nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_intermixed_args(argv)  # names may follow options
    torch.set_num_threads(arguments.threads)
    run = Run(arguments.run)
    if arguments.speed_at:
        print(json.dumps(measure_speed(run, arguments.names[0], tuple(arguments.speed_at))))
        return
    if arguments.out is None:
        parser.error("--out is needed")
    # What keeps freed memory would hide what a refiner takes.
    plain = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    results = {}
    data = _data(run, arguments.images)
    for name in arguments.names:
        print(name, file=sys.stderr, flush=True)
        own = [sys.executable, __file__, str(run.path), name, "--threads", str(arguments.threads)]
        speeds = [
            json.loads(subprocess.check_output([*own, "--speed-at", *map(str, size)], env=plain, text=True))
            for size in SIZES
        ]
        quality = measure_quality(run, data, name, arguments.out)
        results[name] = {"quality": quality, "speeds": speeds, "threads": arguments.threads}
        write_json(arguments.out / f"{name}.json", results[name])
    print(table(results, shlex.join(["python", "benchmarks/refiners.py", *argv])))


if __name__ == "__main__":
    main()
