"""Times the work around the networks, and writes host.md beside this file.

    python benchmarks/host.py VOC [--before SRC] [--repetitions 3]

VOC is a folder as of PASCAL VOC, with photographs and masks; SRC the folder `src` of another version of the
package, such as of a git worktree, which is measured in turns with this one.

Every figure comes from a process of its own, on one thread. Seconds are those of the processor (user and
system), which a shared machine stretches less than the clock's. Maps are drawn from the masks, and refined on
the photographs.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg
import torch

from swtformer.allocator import keep_freed_memory
from swtformer.datasets import open_dataset
from swtformer.datasets.images import read_image
from swtformer.datasets.label_images import read_truth
from swtformer.datasets.records import ImageSet, Record
from swtformer.machine import machine_line
from swtformer.methods import create_model
from swtformer.methods.pretrained import save_pretrained
from swtformer.refiners import create_refiner
from swtformer.settings import DataSettings, Settings, validate
from swtformer.stages.export_masks import export_masks
from swtformer.stages.localize import localize
from swtformer.store.files import write_text
from swtformer.store.maps import STEPS, ClassActivationMaps
from swtformer.store.run import Run
from swtformer.training.augment import create_augmentation

RESULT = Path(__file__).with_name("host.md")
SOURCE = Path(__file__).parents[1] / "src"
FORMATS = {"yolo": "", "label-studio": ".json", "cvat": ".zip", "cvat-images": ".xml", "coco": ".json"}
IMAGES = 16
"""Photographs of each row but exports, which have more: their first ones load libraries."""
EXPORTED = 100
HELP = ("--help", "train --help", "refine --help")
LIBRARIES = "import cyclopts.help, rich.console, rich.table; from pydantic import BaseModel"
"""What `--help` of a command cannot do without."""

Figures = dict[str, float]
"""Values by what was measured; the unit comes last."""


def milliseconds(work: Callable[[Any], object], items: Iterable[Any]) -> float:
    """Median of the processor's milliseconds for one item; the first one warms up."""
    spent = []
    for item in items:
        before = time.process_time()
        work(item)
        spent.append(1000 * (time.process_time() - before))
    return statistics.median(spent[1:])


def drawn_maps(data: ImageSet, record: Record) -> torch.Tensor:
    """(K+1, h, w) maps of a photograph at a quarter of its size: its mask, blurred as class maps are."""
    labels = torch.from_numpy(read_truth(record, data.classes)).long()
    values = [0, *(index + 1 for index in record.present or ())]
    shares = torch.stack([(labels == value).float() for value in values])[None]
    coarse = torch.nn.functional.interpolate(shares, (12, 16), mode="area")
    size = [-(-side // 4) for side in labels.shape]
    return torch.nn.functional.interpolate(coarse, size, mode="bilinear")[0].clamp(0, 1)


def photographs(data: ImageSet, count: int = IMAGES) -> list[tuple[Record, torch.Tensor]]:
    """Photographs that have masks and classes, as (3, H, W) in [0, 1]."""
    records = [record for record in data.records if record.mask is not None and record.present][:count]
    return [(each, torch.from_numpy(read_image(each.image)).permute(2, 0, 1) / 255) for each in records]


def crf(data: ImageSet) -> Figures:
    """A dense CRF of three labels at 375×500, by both engines in turns."""
    _, image = max(photographs(data, 1), key=lambda pair: pair[1].numel())
    image = torch.nn.functional.interpolate(image[None], (375, 500), mode="bilinear")[0]
    maps = torch.rand(1, 3, 5, 6, generator=torch.Generator().manual_seed(0))
    maps = torch.nn.functional.interpolate(maps, (94, 125), mode="bilinear")[0]
    engines = {engine: create_refiner("dense_crf", {"engine": engine}) for engine in ("torch", "pydensecrf")}
    spent: dict[str, list[float]] = {engine: [] for engine in engines}
    for _ in range(6):
        for engine, refiner in engines.items():
            before = time.process_time()
            refiner.refine(image, maps)
            spent[engine].append(1000 * (time.process_time() - before))
    return {f"dense CRF, {engine}, ms": statistics.median(each[1:]) for engine, each in spent.items()}


def exports(data: ImageSet) -> Figures:
    """Masks in the formats of other tools, the reading of the photographs included."""
    records = [record for record in data.records if record.mask is not None][:EXPORTED]
    figures = {}
    with tempfile.TemporaryDirectory() as name:
        masks = Path(name) / "masks"
        masks.mkdir()
        for record in records:
            assert record.mask is not None
            shutil.copy(record.mask, masks / f"{record.id}.png")
        for kind, suffix in FORMATS.items():
            before = time.process_time()
            export_masks(masks, Path(name) / f"{kind}{suffix}", format=kind, data=data, progress=_silent)
            figures[f"export, {kind}, ms a mask"] = 1000 * (time.process_time() - before) / len(records)
    return figures


def map_files(data: ImageSet) -> Figures:
    """Files of refined maps."""
    figures = {}
    for refiner in ("par", "dense_crf"):
        refine = create_refiner(refiner).refine
        made = []
        for record, image in photographs(data):
            start = drawn_maps(data, record)
            refined = (refine(image, start) * STEPS).round() / STEPS
            values = np.array([index + 1 for index in record.present or ()])
            height, width = image.shape[1:]
            cam, probabilities = start[1:].numpy(), np.ones(len(data.classes))
            maps = ClassActivationMaps(
                values, (height, width), cam, probabilities, None, refined.half().numpy(), "0" * 32, "0" * 65
            )
            made.append(maps)
        with tempfile.TemporaryDirectory() as name:
            files = [Path(name) / f"{number}.npz" for number in range(len(made))]
            pairs = list(zip(made, files, strict=True))
            figures[f"refined maps ({refiner}), write, ms"] = milliseconds(
                lambda pair: pair[0].save(pair[1]), pairs
            )
            figures[f"refined maps ({refiner}), read, ms"] = milliseconds(ClassActivationMaps.load, files)
            size = statistics.mean(file.stat().st_size for file in files)
        figures[f"refined maps ({refiner}), 10,582 files, GB"] = 10_582 * size / 1e9
    return figures


def reading(data: ImageSet) -> Figures:
    """A photograph on its way to the network."""
    paths = [record.image for record in data.records[: 5 * IMAGES]]
    images = [read_image(path) for path in paths]
    figures = {"reading a JPEG in training, ms": milliseconds(read_image, paths)}
    files = [path.read_bytes() for path in paths]
    figures["of which libjpeg-turbo decodes, ms"] = milliseconds(simplejpeg.decode_jpeg, files)
    figures["reading it thoroughly, ms"] = milliseconds(lambda path: read_image(path, thorough=True), paths)
    for name in ("advcam", "advcam_scaled", "psa", "mct"):
        settings = validate(Settings, {"train": {"augmentation": name}}, where="host.py").train
        augment = create_augmentation(settings)
        numbered = list(enumerate(images))
        figures[f"augmentation {name}, ms"] = milliseconds(
            lambda pair, augment=augment: augment(pair[1], np.random.default_rng(pair[0])), numbered
        )
    return figures


def start_up(data: ImageSet) -> Figures:
    """Commands in processes of their own."""
    figures = {}
    commands = {f"`swtformer {each}`, s": ["-m", "swtformer", *each.split()] for each in HELP}
    for name, words in {**commands, "importing cyclopts, pydantic and rich, s": ["-c", LIBRARIES]}.items():
        spent = []
        for _ in range(3):
            before = os.times()
            line = [sys.executable, *words]
            subprocess.run(line, check=True, stdout=subprocess.DEVNULL)
            after = os.times()
            spent.append(
                after.children_user - before.children_user + after.children_system - before.children_system
            )
        figures[name] = statistics.median(spent)
    return figures


def many_classes(data: ImageSet) -> Figures:
    """Maps of one photograph of 375×500 that shows 254 classes: SWTformer-V2 on MobileNetV2, untrained."""
    names = tuple(f"class {number}" for number in range(254))
    model = {"method": "swtformer_v2", "backbone": "mobilenetv2_100", "weights": "none"}
    options = {"long_side_px": None, "precision": "fp32", "accelerator": "cpu", "scales": [1]}
    settings = validate(Settings, {"model": model, "localize": options}, where="host.py")
    with tempfile.TemporaryDirectory() as name:
        run = Run(Path(name) / "run")
        run.write_settings(settings)
        save_pretrained(create_model(settings.model, names), run.model)
        record = Record("a", photographs(data, 1)[0][0].image, tuple(range(len(names))))
        crowded = ImageSet("crowded", "table", Path(name), names, (record,))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        before = time.process_time()
        localize(run, crowded, settings=settings, progress=_silent)
        return {
            "254 classes in one photograph, s": time.process_time() - before,
            "254 classes, memory, MB": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak) / 1024,
            "254 classes, file, MB": run.map_file("a").stat().st_size / 1e6,
        }


ROWS: Mapping[str, Callable[[ImageSet], Figures]] = {
    "crf": crf,
    "exports": exports,
    "map_files": map_files,
    "reading": reading,
    "start_up": start_up,
    "many_classes": many_classes,
}


def _silent(stage: str, done: int, total: int, note: str = "") -> None:
    pass


def measured_apart(row: str, voc: Path, source: Path) -> Figures:
    """A row in a process that imports the package from a folder."""
    environment = {**os.environ, "PYTHONPATH": str(source), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, __file__, str(voc), "--row", row]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    figures: Figures = json.loads(done.stdout)
    return figures


def page(before: Mapping[str, list[float]], now: Mapping[str, list[float]], command: str) -> str:
    """The Markdown page of measured figures; ratios are those of the medians."""
    rows = []
    for name, values in now.items():
        old, new = (statistics.median(each) if each else None for each in (before.get(name, []), values))
        shown = f"– | {new:.3g} | –" if old is None else f"{old:.3g} | {new:.3g} | {old / new:.2f}"
        rows.append(f"| {name} | {shown} |")
    crf, peer = (statistics.median(now[f"dense CRF, {engine}, ms"]) for engine in ("torch", "pydensecrf"))
    machine = machine_line(threads=1, torch_version=torch.__version__, precision="fp32")
    return f"""# Work around the networks

    {command}

{machine}; {date.today().isoformat()}; processor time (user and system).
Processes for each figure: {len(next(iter(now.values())))}; versions took turns. **The machine was shared with
other work: trust the ratios more than the values.** Photographs of PASCAL VOC, most of them 375×500; maps are
drawn from their masks and refined on them.

| work | before | now | before / now |
|---|---|---|---|
{chr(10).join(rows)}

Our dense CRF does {peer / crf:.2f} times the work of pydensecrf2 in the same time. Both find the same labels
(`tests/refiners/test_dense_crf.py`). It keeps the smoothness kernel of the last four sizes.
"""


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("voc", type=Path)
    parser.add_argument("--before", type=Path)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--row", choices=ROWS, help="measure this one alone, in this process, and print it")
    arguments = parser.parse_args()
    if arguments.row:
        torch.set_num_threads(1)
        keep_freed_memory()
        print(json.dumps(ROWS[arguments.row](open_dataset(arguments.voc, DataSettings(split="train")))))
        return
    sources = {"before": arguments.before, "now": SOURCE}
    found: dict[str, dict[str, list[float]]] = {"before": {}, "now": {}}
    for _ in range(arguments.repetitions):
        for row in ROWS:
            for version, source in sources.items():
                for name, value in measured_apart(row, arguments.voc, source).items() if source else ():
                    found[version].setdefault(name, []).append(value)
                    print(version, name, f"{value:.3g}", file=sys.stderr, flush=True)
    before = " --before SRC" if arguments.before else ""
    command = f"python benchmarks/host.py VOC{before} --repetitions {arguments.repetitions}"
    write_text(RESULT, page(found["before"], found["now"], command))


if __name__ == "__main__":
    main()
