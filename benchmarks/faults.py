"""Tries what must not break the program, and writes faults.md beside this file.

    python benchmarks/faults.py                          # the cases below, two minutes
    python benchmarks/faults.py --suite results.json     # with those of a black-box suite, by its output

Every case is a command line in a process of its own. `--suite` takes a JSON list of objects with number,
promise, case, outcome (PASS, FAIL, NOT RUN) and note.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from swtformer.machine import processor_name
from swtformer.store.files import write_text

RESULT = Path(__file__).with_name("faults.md")
PROGRAM = (sys.executable, "-m", "swtformer")
TINY = ("--model.backbone=lcnet_035", "--model.weights=none", "--train.epochs=1", "--train.workers=0")
BUG = "This is a bug"
NO_BUG = 51
"""Number of the promise that is looked at in every case."""
ON_PURPOSE = {
    3: ". On purpose: the message says itself why a single file cannot be read.",
    27: ". On purpose: grey masks with alpha are read, fully transparent pixels as background.",
    34: ". On purpose: localize takes the classes from the model and does not read the file.",
}
"""What is said of a promise that does not hold as the suite words it."""
LONGEST_SECONDS = 300
"""After which a command is killed."""


@dataclass(frozen=True)
class Case:
    """What came of one try."""

    number: int
    promise: str
    case: str
    outcome: str
    note: str = ""


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    said: str
    seconds: float
    megabytes: float


def run(*words: object, env: dict[str, str] | None = None, shell: str = "", bytes_most: int = 0) -> Ended:
    """Run the program.

    Args:
        words: its command line.
        env: more environment variables.
        shell: what a shell appends, such as a redirection.
        bytes_most: size that no file may exceed; 0 for none.
    """

    def limit() -> None:
        if bytes_most:
            resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_most, bytes_most))

    command: list[str] = [*PROGRAM, *map(os.fsdecode, map(os.fsencode, map(str, words)))]
    if shell:
        command = ["bash", "-c", 'set -o pipefail; "$@" ' + shell, "bash", *command]
    begun = time.monotonic()
    peak = 0.0
    with (
        tempfile.TemporaryFile() as output,
        subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "OMP_NUM_THREADS": "1", **(env or {})},
            preexec_fn=limit,
        ) as process,
    ):
        while process.poll() is None and time.monotonic() - begun < LONGEST_SECONDS:
            time.sleep(0.02)
            peak = max(peak, _megabytes(process.pid))
        process.kill()
        process.wait()
        output.seek(0)
        said = output.read().decode(errors="backslashreplace")
    return Ended(process.returncode, said, time.monotonic() - begun, peak)


def _megabytes(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return max((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")), default=0)


def draw(folder: Path, count: int = 8) -> Path:
    """A label table of small pictures of two classes."""
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows = ["image,labels"]
    for number in range(count):
        pixels = rng.integers(0, 255, (48, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"i{number}.png")
        rows.append(f"i{number}.png,{'cat' if number % 2 else 'dog'}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder / "labels.csv"


@dataclass(frozen=True)
class Place:
    """A folder to work in, with a table of labels and a finished run with maps."""

    folder: Path
    table: Path
    run: Path

    def fresh(self, name: str) -> Path:
        """A new folder."""
        (self.folder / name).mkdir()
        return self.folder / name


Tried = Iterator[tuple[str, bool, str]]
"""Case, whether it held, and what else was seen."""

CASES: dict[int, tuple[str, Callable[[Place], Tried]]] = {}


def promises(number: int, promise: str) -> Callable[[Callable[[Place], Tried]], Callable[[Place], Tried]]:
    """Register the tries of a promise."""

    def register(tries: Callable[[Place], Tried]) -> Callable[[Place], Tried]:
        CASES[number] = (promise, tries)
        return tries

    return register


def refused(ended: Ended, *words: str, code: int = 2) -> tuple[bool, str]:
    """Whether a command ended with a code and said some words, without a traceback."""
    held = ended.code == code and all(word in ended.said for word in words) and "Traceback" not in ended.said
    return held, f"exit {ended.code}: {ended.said.strip().splitlines()[-1:]}"


@promises(50, "duplicate keys in settings and empty paths are refused")
def _settings(place: Place) -> Tried:
    config = place.folder / "twice.yaml"
    config.write_text("train:\n  epochs: 1\ntrain:\n  epochs: 2\n")
    ended = run("train", place.table, f"--out={place.folder / 'twice'}", f"--config={config}")
    yield "a key twice", *refused(ended, "twice.yaml")
    yield "--out ''", *refused(run("train", place.table, "--out", ""), "--out")


@promises(52, "spellings that are probably one class are told")
def _spellings(place: Place) -> Tried:
    for one, other in (("cat", "Cat"), ("cat", "cats"), ("caf\u00e9", "cafe\u0301"), ("cat", "cat\u200b")):
        folder = place.fresh(f"spelling {one} {other}")
        table = draw(folder)
        table.write_text(table.read_text().replace("cat", one).replace("dog", other), encoding="utf-8")
        ended = run("data", "check", table)
        yield (
            ascii(f"{one}/{other}"),
            "one class" in ended.said or "same class" in ended.said,
            ended.said[-300:],
        )


@promises(53, "a file that cannot be written whole names its path and leaves nothing behind")
def _no_room(place: Place) -> Tried:
    out = place.folder / "small"
    ended = run("train", place.table, f"--out={out}", *TINY, bytes_most=500_000)
    held, note = refused(ended, ".ckpt", "File too large")
    left = [path.name for path in out.rglob("*") if path.name.endswith(".tmp") or path.suffix == ".ckpt"]
    yield "torch.save meets a limit", held and not left, f"{note}, left {left}"


@promises(55, "a pipe or looping link among the data neither blocks nor breaks")
def _pipes(place: Place) -> Tried:
    folder = place.fresh("pipes")
    draw(folder)
    os.mkfifo(folder / "images" / "i0.jpg")
    (folder / "images" / "loop").symlink_to("loop")
    (folder / "images" / "round").symlink_to(".")
    os.mkfifo(folder / "classes.txt")
    for words in (("data", "check", folder), ("train", folder, f"--out={folder / 'run'}", *TINY)):
        ended = run(*words)
        held = ended.code in (0, 2, 3) and "Traceback" not in ended.said and ended.seconds < 60
        yield str(words[0]), held, f"exit {ended.code}, {ended.seconds:.0f} s"


@promises(56, "weights that are not finite end with 5, a flipped byte with 4")
def _weights(place: Place) -> Tried:
    for fault, code in (("nan", 5), ("flipped", 4)):
        copy = place.fresh(fault) / "run"
        subprocess.run(["cp", "-r", place.run, copy], check=True)
        file = copy / "model" / "model.safetensors"
        if fault == "nan":
            tensors = load_file(file)
            next(value for value in tensors.values() if value.is_floating_point())[...] = torch.nan
            save_file(tensors, file)
            config = json.loads((file.parent / "config.json").read_text())
            for key, value in config.items():
                if isinstance(value, str) and len(value) == 64:
                    config[key] = hashlib.sha256(file.read_bytes()).hexdigest()
            (file.parent / "config.json").write_text(json.dumps(config))
        else:
            content = bytearray(file.read_bytes())
            content[-100] ^= 64
            file.write_bytes(content)
        photograph = place.table.parent / "images" / "i0.png"
        for words in (("localize", copy), ("predict", copy, photograph, f"--out={copy / 'predictions'}")):
            yield f"{fault}: {words[0]}", *refused(run(*words), code=code)


@promises(
    57, "names that are not UTF-8 or hold a tab, newline or escape code are escaped, and the others unharmed"
)
def _names(place: Place) -> Tried:
    folder = place.fresh("names")
    for number, name in enumerate((b"plain", b"tab\there", b"new\nline", b"esc\x1b[31m", b"latin\xe9")):
        (folder / ("cat" if number % 2 else "dog")).mkdir(exist_ok=True)
        target = os.fsencode(folder) + (b"/cat/" if number % 2 else b"/dog/") + name + b".png"
        with open(target, "wb") as stream:
            Image.new("RGB", (32, 32), (number * 40, 9, 9)).save(stream, format="PNG")
    ended = run("data", "check", folder)
    yield "data check", ended.code == 3 and "\x1b[31m" not in ended.said, f"exit {ended.code}"
    ended = run("train", folder, f"--out={folder / 'run'}", *TINY)
    yield "train", ended.code in (0, 3) and "\x1b[31m" not in ended.said, f"exit {ended.code}"
    ended = run("localize", folder / "run")
    made = len(list((folder / "run" / "maps").rglob("*.npz")))
    yield "localize", ended.code == 3 and made == 4, f"exit {ended.code}, {made} maps"


@promises(59, "temporary files of dead processes are cleaned by the next command")
def _temporary(place: Place) -> Tried:
    left = place.run / "maps" / ".i0.npz.dead.swtformer.tmp"
    left.write_bytes(b"half")
    (place.run / "maps" / "i0.npz").unlink()
    ended = run("localize", place.run)
    yield "localize", ended.code == 0 and not left.exists(), f"exit {ended.code}"


@promises(60, "memory is bounded in bytes, not in images")
def _memory(place: Place) -> Tried:
    folder = place.fresh("large")
    for name in ("masks", "predictions", "images"):
        (folder / name).mkdir()
    values = np.zeros((8000, 8000), np.uint8)
    values[2000:4000] = 1
    values[5000:6000] = 2
    rows = ["image,labels"]
    for number in range(16):
        for name in ("masks", "predictions", "images"):
            Image.fromarray(values).save(folder / name / f"i{number}.png", compress_level=1)
        rows.append(f"i{number}.png,{'cat' if number % 2 else 'cat;dog'}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    ended = run(
        "evaluate",
        folder / "labels.csv",
        "--predictions",
        folder / "predictions",
        "--data.masks",
        folder / "masks",
    )
    held = ended.code == 0 and ended.megabytes < 2000
    yield "evaluate 16 masks of 8000×8000", held, f"exit {ended.code}, {ended.megabytes:.0f} MB"


@promises(61, "folders of a run that are links are followed and named; a link to nowhere is refused")
def _links(place: Place) -> Tried:
    masks, disk = place.run / "masks", place.fresh("disk")
    masks.symlink_to(disk)
    ended = run("mask", place.run)
    made = len(list(disk.glob("*.png")))
    yield (
        "masks on another disk",
        ended.code == 0 and "is a link" in ended.said and made == 8,
        f"{made} masks",
    )
    masks.unlink()
    masks.symlink_to("/nowhere")
    yield "a link to nowhere", *refused(run("mask", place.run), "masks is a link to /nowhere")
    masks.unlink()


@promises(62, "terminals of other encodings, closed streams and full disks under stdout give no traceback")
def _streams(place: Place) -> Tried:
    folder = place.fresh("ネコ")
    table = draw(folder)
    table.write_text(table.read_text().replace("cat", "猫"), encoding="utf-8")
    for encoding in ("ascii", "latin-1", "cp1252"):
        ended = run("data", "check", table, env={"PYTHONIOENCODING": encoding})
        yield encoding, ended.code == 0 and "Traceback" not in ended.said, f"exit {ended.code}"
    for redirection in (">&-", "2>&-", "<&- >&- 2>&-", "| true", "> /dev/full", "2> /dev/full"):
        ended = run("data", "check", table, shell=redirection)
        held = "Traceback" not in ended.said and BUG not in ended.said and ended.code in (0, 1, 2)
        yield redirection, held, f"exit {ended.code}"


@promises(63, "a COCO file named by path is that file in every later command")
def _coco(place: Place) -> Tried:
    folder = place.fresh("coco")
    draw(folder)
    images = [{"id": n, "file_name": f"i{n}.png", "width": 64, "height": 48} for n in range(8)]
    names = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    boxes = [
        {"id": n, "image_id": n, "category_id": 1 + n % 2, "bbox": [1, 1, 9, 9], "area": 81, "iscrowd": 0}
        for n in range(8)
    ]
    mine = folder / "my labels.json"
    mine.write_text(json.dumps({"images": images, "categories": names, "annotations": boxes}))
    other = {"images": images[:2], "categories": names[:1], "annotations": boxes[:1]}
    (folder / "instances_train.json").write_text(json.dumps(other))
    (folder / "labels.csv").unlink()
    words = (mine, f"--out={folder / 'run'}", *TINY, f"--data.images={folder / 'images'}")
    yield "train", (ended := run("train", *words)).code == 0, f"exit {ended.code}"
    ended = run("localize", folder / "run")
    made = len(list((folder / "run" / "maps").glob("*.npz")))
    yield "localize", ended.code == 0 and made == 8, f"exit {ended.code}, {made} maps"


@promises(64, "labels that cannot be read are never taken for a folder of one class")
def _one_class(place: Place) -> Tried:
    for name, content in (
        ("export.json", '{"weird": [1, 2]}'),
        ("labels.xlsx", "not a workbook"),
        ("data.yaml", "names: 3\n"),
        ("annotations.xml", "<nothing/>"),
    ):
        folder = place.fresh(f"odd {name}")
        draw(folder)
        (folder / "labels.csv").unlink()
        (folder / name).write_text(content)
        yield name, *refused(run("data", "check", folder))


@promises(65, "an import that finds no mask where the file announces masks is refused")
def _imports(place: Place) -> Tried:
    run("mask", place.run)
    announced = {"images": [], "categories": [{"id": 1, "name": "cat"}], "annotations": []}
    empty = place.folder / "empty.json"
    empty.write_text(json.dumps(announced))
    yield "COCO without images", *refused(run("import", place.run, empty), "empty.json")
    image = {"id": 1, "file_name": "i0.png", "width": 64, "height": 48}
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 9, 9], "segmentation": []}
    boxes = place.folder / "boxes.json"
    boxes.write_text(json.dumps({**announced, "images": [image], "annotations": [box]}))
    yield "COCO of boxes", *refused(run("import", place.run, boxes), "boxes.json")


def own_cases(folder: Path, numbers: Sequence[int]) -> Iterator[Case]:
    """Try the promises of this file."""
    table = draw(folder / "data")
    place = Place(folder, table, folder / "run")
    for words in (("train", table, f"--out={place.run}", *TINY), ("localize", place.run)):
        ended = run(*words)
        if ended.code:
            sys.exit(ended.said)
    for number, (promise, tries) in CASES.items():
        if numbers and number not in numbers:
            continue
        for case, held, note in tries(place):
            note = " ".join(note.split()).replace(str(folder), "…")
            print(f"{number} {'PASS' if held else 'FAIL'} {case}: {note}", flush=True)
            yield Case(number, promise, case, "PASS" if held else "FAIL", note)


def suite_cases(results: list[dict[str, Any]]) -> Iterator[Case]:
    """The cases of a black-box suite."""
    for found in results:
        note = str(found.get("note") or "")
        yield Case(found["number"], found["promise"], found["case"], found["outcome"], note)
        outcome = "FAIL" if BUG in found.get("stderr", "") else "PASS"
        yield Case(
            NO_BUG, "no fault is answered with \u201cthis is a bug\u201d", found["case"], outcome, note
        )


def page(cases: Sequence[Case], command: str) -> str:
    """The page."""
    lines = [
        "# What must not break it",
        "",
        f"    {command}",
        "",
        f"Made on {date.today()}; {processor_name()}. Each case is a command in a process of its own.",
        "Numbers 1 to 49 are those of the suite; what it tries for 45 is expected as 61 has it: links of",
        "a run's folders are followed.",
        "",
        "| no. | promise | tries | held | not run |",
        "|---|---|---|---|---|",
    ]
    for number in sorted({case.number for case in cases}):
        own = [case for case in cases if case.number == number]
        held = sum(case.outcome == "PASS" for case in own)
        idle = sum(case.outcome == "NOT RUN" for case in own)
        lines.append(f"| {number} | {own[0].promise} | {len(own) - idle} | {held} | {idle or ''} |")
    failed = [case for case in cases if case.outcome == "FAIL"]
    count = sum(case.number != NO_BUG for case in cases)
    lines += ["", f"{count} cases, {len(failed)} did not hold:", ""]
    for case in failed:
        why = ON_PURPOSE.get(case.number, "")
        note = " ".join(case.note.split())[:200]
        lines.append(f"- {case.number}, {case.case}: {note}{why}")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--suite", type=Path, help="results of a black-box suite")
    parser.add_argument("--only", type=int, nargs="*", default=[], help="numbers to try; nothing is written")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        cases = list(own_cases(Path(folder), options.only))
    if options.suite is not None:
        cases += suite_cases(json.loads(options.suite.read_text()))
    command = "python benchmarks/faults.py" + (" --suite results.json" if options.suite else "")
    if not options.only:
        write_text(RESULT, page(cases, command))
    sys.exit(any(case.outcome == "FAIL" for case in cases))


if __name__ == "__main__":
    main()
