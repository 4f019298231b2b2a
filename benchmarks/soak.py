"""Makes maps, masks and predictions of many drawn images while files break and the program is killed.

    python benchmarks/soak.py --images 20000           # about an hour on one core; writes soak.md
    python benchmarks/soak.py --images 300 --kills 1   # a trial run, printed only

Every stage is the command of a user. While it works, photographs (or, for masks, map files) that it has not
reached yet vanish, lose their second half, or become a page of HTML or a pipe, and the process is killed with
SIGKILL and started again. At the end every image must have a readable result or a row in failures.csv.
How the memory of the process went is printed beside.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import numpy as np
from PIL import Image

from swtformer.datasets.mask_images import read_mask
from swtformer.errors import SwtformerError
from swtformer.machine import processor_name
from swtformer.store.failures import read_failures
from swtformer.store.files import write_text
from swtformer.store.maps import ClassActivationMaps
from swtformer.store.run import Run

RESULT = Path(__file__).with_name("soak.md")
COLOURS = {"red": (200, 40, 40), "green": (40, 180, 60), "blue": (50, 70, 210)}
NEAR = 20
"""Images after one, of which a result tells that the program has come this far."""
TINY = (
    "--model.method=swtformer_v1",
    "--model.backbone=lcnet_035",
    "--model.weights=none",
    "--train.workers=0",
)


@dataclass
class Row:
    """What one stage came to.

    Attributes:
        stage: the command.
        made: images with a readable result.
        listed: images with a row in failures.csv.
        broken: files that were broken before the stage had read them, as far as can be told from outside.
        kills: how often the process was killed.
        lost: images with neither result nor row.
        both: images with both.
        megabytes: resident memory of the last process: after a fifth of its life, half, and at the end.
        seconds: all processes together.
    """

    stage: str
    made: int = 0
    listed: int = 0
    broken: int = 0
    kills: int = 0
    lost: list[str] = field(default_factory=list)
    both: list[str] = field(default_factory=list)
    megabytes: tuple[float, float, float] = (0, 0, 0)
    seconds: float = 0


def draw(folder: Path, count: int, rng: np.random.Generator) -> list[str]:
    """JPEGs of 96×64 pixels with one or two rectangles each, 1,000 a folder, and their label table."""
    names = list(COLOURS)
    ids = [f"{number // 1000:03}/{number:06}" for number in range(count)]
    with (folder / "labels.csv").open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["image", "labels"])
        for id in ids:
            pixels = rng.integers(90, 140, (64, 96, 3), dtype=np.uint8)
            shown = sorted(rng.choice(3, rng.integers(1, 3), replace=False))
            for place in shown:
                top, left = rng.integers(0, 34), rng.integers(0, 60)
                pixels[top : top + 30, left : left + 30] = COLOURS[names[place]]
            path = folder / f"{id}.jpg"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(pixels).save(path, quality=85)
            rows.writerow([f"{id}.jpg", "|".join(names[place] for place in shown)])
    return ids


def break_file(path: Path, rng: random.Random) -> None:
    """Let a file vanish, lose its second half, or become a page of HTML or a pipe."""
    whole = path.read_bytes()
    path.unlink()
    match rng.randrange(4):
        case 0:
            path.write_bytes(whole[: len(whole) // 2])
        case 1:
            path.write_text("<html>404 Not Found</html>")
        case 2:
            os.mkfifo(path)


def resident_megabytes(pid: int) -> float:
    """Resident memory of a process; 0 once it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    lines = [line.split() for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(lines[0][1]) / 1024 if lines else 0


def work(
    row: Row,
    command: Sequence[str],
    *,
    ids: Sequence[str],
    source: Callable[[str], Path],
    result: Callable[[str], Path],
    breaks: int,
    kills: int,
    rng: random.Random,
    log: Path,
) -> None:
    """Run a command to its end, while files that it reads break and it is killed and started again."""
    marks = sorted(rng.sample(range(1, len(ids) - 1), breaks + kills))
    killing = set(rng.sample(marks, kills))
    begun = time.monotonic()
    while True:
        memory: list[float] = []
        with log.open("a") as stream:
            process = subprocess.Popen(command, stdout=stream, stderr=stream)
        killed = False
        while process.poll() is None:
            time.sleep(0.05)
            memory.append(resident_megabytes(process.pid))
            while marks and any(result(id).exists() for id in ids[marks[0] : marks[0] + NEAR]):
                mark = marks.pop(0)
                if mark in killing:
                    process.kill()
                    process.wait()
                    row.kills += 1
                    killed = True
                    break
                victim = ids[rng.randrange(mark + 1, len(ids))]
                if source(victim).is_file() and not result(victim).exists():
                    break_file(source(victim), rng)
                    row.broken += 1
        seen = [value for value in memory if value]
        if len(seen) > 9:
            row.megabytes = (seen[len(seen) // 5], seen[len(seen) // 2], max(seen[-3:]))
        if not killed:
            break
    row.seconds = time.monotonic() - begun
    if process.returncode != (3 if row.broken else 0):
        sys.exit(f"{row.stage} ended with {process.returncode}; see {log}.")


def account(row: Row, ids: Sequence[str], readable: Callable[[str], bool], listed: set[str]) -> None:
    """Look at every image's result."""
    for id in ids:
        made = readable(id)
        row.made += made
        row.listed += id in listed
        if not made and id not in listed:
            row.lost.append(id)
        if made and id in listed:
            row.both.append(id)


def soak(folder: Path, count: int, *, breaks: int, kills: int, seed: int) -> list[Row]:
    """Draw the images, train for a moment, and take the three stages."""
    rng = random.Random(seed)
    photos, run, out = folder / "photos", Run(folder / "run"), Run(folder / "predictions")
    photos.mkdir()
    ids = draw(photos, count, np.random.default_rng(seed))
    log = folder / "log.txt"
    table = (photos / "labels.csv").read_text().splitlines()
    few = photos / "few.csv"
    few.write_text("\n".join(table[:65]) + "\n")
    swtformer = (sys.executable, "-m", "swtformer")
    train = (*swtformer, "train", str(few), f"--out={run.path}", "--train.epochs=1", *TINY)
    subprocess.run(train, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def photograph(id: str) -> Path:
        return photos / f"{id}.jpg"

    def has_maps(id: str) -> bool:
        try:
            ClassActivationMaps.load(run.map_file(id))
        except SwtformerError:
            return False
        return True

    def has_mask(path: Path) -> bool:
        try:
            return read_mask(path).shape == (64, 96)
        except SwtformerError:
            return False

    def failed(run: Run, stage: str) -> set[str]:
        return {failure.id for failure in read_failures(run) if failure.stage == stage}

    def stage(name: str, *command: str, source: Callable[[str], Path], result: Callable[[str], Path]) -> Row:
        row = Row(name)
        work(
            row,
            [*swtformer, *command],
            ids=ids,
            source=source,
            result=result,
            breaks=breaks,
            kills=kills,
            rng=rng,
            log=log,
        )
        return row

    table_path = str(photos / "labels.csv")
    localize = stage(
        "localize",
        "localize",
        str(run.path),
        table_path,
        "--localize.scales=1",
        "--localize.workers=1",
        source=photograph,
        result=run.map_file,
    )
    account(localize, ids, has_maps, failed(run, "localize"))
    mask = stage("mask", "mask", str(run.path), source=run.map_file, result=run.mask_file)
    unread = failed(run, "localize")
    mapped = [id for id in ids if id not in unread]
    account(mask, mapped, lambda id: has_mask(run.mask_file(id)), failed(run, "mask"))
    predict = stage(
        "predict",
        "predict",
        str(run.path),
        str(photos),
        f"--out={out.path}",
        source=photograph,
        result=lambda id: out.path / "masks" / f"{id}.png",
    )
    there = [id for id in ids if photograph(id).exists() or has_mask(out.path / "masks" / f"{id}.png")]
    account(predict, there, lambda id: has_mask(out.path / "masks" / f"{id}.png"), failed(out, "predict"))
    return [localize, mask, predict]


ABOUT = """Made on {date}; {processor}, with other work on the machine. {count:,} drawn images.
While each command worked, files that it had not read yet vanished, lost their second half, or became HTML or
a pipe, and it was killed with SIGKILL and started again. *Lost* counts images that have neither a readable
result nor a row in failures.csv. Memory is that of the last process, resident, after a fifth of its life,
half of it, and at its end.

`predict` takes the photographs that are there: one that vanished before it started again is not counted.
"""


def page(rows: Sequence[Row], count: int, command: str) -> str:
    """The page of a soak."""
    lines = [
        "# A soak: files break and the program is killed",
        "",
        f"    {command}",
        "",
        ABOUT.format(date=date.today(), processor=processor_name(), count=count),
        "| command | broken files | kills | results | rows in failures.csv | lost | memory, MB | seconds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        memory = ", ".join(f"{value:.0f}" for value in row.megabytes)
        lines.append(
            f"| {row.stage} | {row.broken} | {row.kills} | {row.made:,} | {row.listed} | {len(row.lost)} "
            f"| {memory} | {row.seconds:.0f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--breaks", type=int, help="broken files a stage; by default 1 in 200 images")
    parser.add_argument("--kills", type=int, default=5, help="kills a stage")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="folder to work in, kept; a temporary one by default")
    options = parser.parse_args()
    breaks = options.breaks or options.images // 200
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        rows = soak(folder, options.images, breaks=breaks, kills=options.kills, seed=options.seed)
    text = page(rows, options.images, f"python benchmarks/soak.py --images {options.images}")
    print(text)
    for row in rows:
        if row.lost or row.both:
            print(f"{row.stage}: lost {row.lost[:10]}, both {row.both[:10]}")
    if options.images >= 20_000:
        write_text(RESULT, text)
    sys.exit(any(row.lost for row in rows))


if __name__ == "__main__":
    main()
