"""Feeds damaged and hostile files to everything that reads files, and writes fuzz.md beside this file.

    python benchmarks/fuzz.py --seconds 3600                         # all kinds, the page
    python benchmarks/fuzz.py --seconds 60 --only images,masks       # some kinds, printed
    python benchmarks/fuzz.py --again FAILURES/0123456789            # one saved failure

A case is a folder that some test wrote, with one or a few files changed. It passes if it is read, or refused
with a SwtformerError, within 5 seconds of processor time and some memory (`MOST_MB`), and if no file outside
its folder was written or led to, no program started and no connection made. The tests run first to write
their folders; `--corpus` names folders to start from in their place.
"""

from __future__ import annotations

import argparse
import base64
import errno
import hashlib
import importlib
import io
import json
import os
import pkgutil
import random
import re
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import torch
import yaml

import swtformer
from swtformer.backbones.weights import read_tensors
from swtformer.datasets.check import check
from swtformer.datasets.georeference import read_georeference
from swtformer.datasets.images import check_readable, image_size, read_image, read_stored
from swtformer.datasets.mask_colours import VOC, read_colours
from swtformer.datasets.mask_images import read_mask
from swtformer.datasets.of_run import changes_since_training, open_data_of
from swtformer.datasets.pixels.large_images import open_large
from swtformer.datasets.registry import open_dataset
from swtformer.engine.checkpoint_files import newest_checkpoint, read_checkpoint
from swtformer.errors import SwtformerError
from swtformer.exporters import exchange_format, exchange_formats, recognise
from swtformer.hub.access import SavedModel
from swtformer.inference.onnx_network import OnnxNetwork
from swtformer.machine import processor_name
from swtformer.report.history import read_history
from swtformer.report.later_stages import read_later_stages
from swtformer.review.decisions import open_queue, rejected_ids
from swtformer.segmentation.pretrained import load_model
from swtformer.settings import READERS, DataSettings, ImageSettings, Settings, read_settings, validate
from swtformer.store.corrections import read_corrections
from swtformer.store.failures import read_failures
from swtformer.store.files import write_text
from swtformer.store.maps import ClassActivationMaps
from swtformer.store.mask_folders import declared_classes, predicted_photographs
from swtformer.store.masks import read_rule
from swtformer.store.models import CHECKSUM, CONFIG, WEIGHTS, finished_networks, kind_of
from swtformer.store.notes import map_notes, network_notes, training_notes
from swtformer.store.pseudo_masks import version_of
from swtformer.store.run import Run
from swtformer.store.scores import read_held_out_scores, read_scores
from swtformer.store.weights import read_weights

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))
from support.label_images import labelled_images, reading_of  # noqa: E402

OUTCOMES = ("read", "refused", "failed")
RESULT = Path(__file__).with_name("fuzz.md")
SEEDS = (
    "readers",
    "datasets",
    "exporters",
    "store",
    "review",
    "report",
    "engine/test_checkpoint_files.py",
    "hub/test_model.py",
    "inference/test_onnx_network.py",
    "settings/test_reading.py",
    "backbones/test_weights.py",
    "stages/test_import_masks.py",
    "stages/test_export_masks.py",
)
"""Tests whose folders are changed."""
SECONDS = 5
"""Processor time of a case."""
MOST_MB = {"images": 1500, "masks": 1500}
"""Memory of a case, where it is not `OTHER_MB`: an image of the largest size allowed has 537 MB."""
OTHER_MB = 400
CHANGES = 25
"""Cases that are made of a folder before the next one is taken."""

IMAGES = re.compile(r"\.(jpe?g|png|tiff?|webp|gif|bmp|ppm|jp2|avif|heic|heif)$|/[a-z0-9-]+$", re.IGNORECASE)
LISTS = re.compile(
    r"\.(csv|tsv|txt|jsonl?|ndjson|xlsx|xls|parquet|xml|ya?ml|zip|lst|names|geojson)$", re.IGNORECASE
)
EXPORTS = re.compile(r"\.(zip|json|xml|png|txt|ya?ml)$")
ODD_TEXT = (
    "", " ", "\0", "a" * 5000, "9" * 5000, "1e999", "-1", "0", "0.5", "nan", "inf", "²", "٣", "\ud800",
    "\u2028", "{}", "[", "[1,2", "{'a': 1}", "../fuzz-canary/a.png", "..\\fuzz-canary\\a.png",
    "{canary}/a.png",     "/etc/passwd", "C:\\a.png", "file:///etc/passwd",
    "http://localhost:9/a.png", "~", "background", "con",
    "a/./b", "a//b", "x\ny", "(" * 3000, "=1+1", "%s%n", "!!python/object/apply:os.system ['true']", "{}{}",
    "*", "[!a", "(?P<", "𝟙", "é", "e\u0301",
)  # fmt: skip
ODD_VALUES = (
    None, True, False, 0, -1, 1, 255, 256, 65536, 2**31, 2**63, 10**30, 10**400, 1e308, -1e-308, 0.5,
    float("nan"), float("inf"), [], {}, [[]], [None], [{}], {"a": {}}, {"": None}, [1, "a", None],
    [[0, 0, 1e30, 5]],    [-1] * 7,
)  # fmt: skip
BYTES = (
    b"\0", b"\xff", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0", b"\x80", b"\n", b"\r", b'"', b",",
    b";", b"\t", b"[" * 4000, b'{"a":' * 2000, b"<a>" * 300, b"&a [*a]", b"\xef\xbb\xbf", b"\xff\xfe",
    b"<!DOCTYPE a [", b"9" * 30, b"PK\x03\x04", b"%PDF", b"\x80\x04\x95", b"- " * 1500, b"? ", b"'", b": ",
    b"]", b"}",
)  # fmt: skip


class TooSlow(BaseException):
    """The time of a case is over; no BaseException is caught by what reads files."""


# Changes ------------------------------------------------------------


def changed(content: bytes, name: str, rng: random.Random, others: Sequence[bytes]) -> bytes:
    """A file's bytes with a few changes that its structure or its bytes allow."""
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        structured = rng.random() < 0.65
        with suppress(Exception):
            content = (
                _by_structure(content, name, rng, others) if structured else _by_bytes(content, rng, others)
            )
        content = content[: max(1 << 22, len(others[0]))]
    return content


def _by_structure(content: bytes, name: str, rng: random.Random, others: Sequence[bytes]) -> bytes:
    ending = name.rpartition(".")[2].lower()
    if content[:4] == b"PK\x03\x04":
        return _zip(content, rng)
    if content[:4] == b"\x89PNG":
        return _png(_by_bytes(content, rng, others))
    if ending == "safetensors":
        length = int.from_bytes(content[:8], "little")
        head = _json(content[8 : 8 + length].decode(), rng)
        return len(head).to_bytes(8, "little") + head + content[8 + length :]
    text = content.decode()
    if ending in ("jsonl", "ndjson"):
        lines = text.splitlines() or [""]
        place = rng.randrange(len(lines))
        lines[place] = _json(lines[place], rng).decode("utf-8", "surrogatepass")
        return "\n".join(lines).encode("utf-8", "surrogatepass")
    if text.lstrip()[:1] in ("{", "["):
        return _json(text, rng)
    if ending in ("yaml", "yml") and "*" not in text and rng.random() < 0.6:  # references can mean gigabytes
        value = _altered(yaml.safe_load(text), rng)
        return yaml.safe_dump(value, allow_unicode=True).encode("utf-8", "surrogatepass")
    return _text(text, rng).encode(
        rng.choice(("utf-8",) * 8 + ("utf-16", "latin-1", "utf-8-sig")), "surrogatepass"
    )


def _by_bytes(content: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    data = bytearray(content)
    at = rng.randrange(len(data) + 1)
    if rng.random() < 0.4:
        at = min(at, rng.randrange(200))  # headers are short
    match rng.randrange(8):
        case 0:
            data[at : at + 1] = bytes([rng.randrange(256)])
        case 1:
            data[at : at + 1] = bytes(byte ^ 1 << rng.randrange(8) for byte in data[at : at + 1])
        case 2:
            del data[at:]
        case 3:
            del data[at : at + rng.choice((1, 2, 8, 100))]
        case 4:
            data[at:at] = rng.choice(BYTES)
        case 5:
            token = rng.choice(BYTES)[:8]
            data[at : at + len(token)] = token
        case 6:
            other = rng.choice(others)
            data[at:] = other[rng.randrange(len(other) + 1) :]
        case 7:
            runs = list(re.finditer(rb"\d+", content[:4096])) or [re.match(b"", b"")]
            run = rng.choice(runs)  # headers hold numbers of fixed widths
            data[run.start() : run.end()] = bytes(rng.choice(b"0123456789") for _ in run[0])
    return bytes(data)


def _png(content: bytes) -> bytes:
    """The file with right checksums, without which every change would be refused at once."""
    data, at = bytearray(content), 8
    while at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4])
        data[end : end + 4] = zlib.crc32(data[at + 4 : end]).to_bytes(4)
        at = end + 4
    return bytes(data)


def _zip(content: bytes, rng: random.Random) -> bytes:
    """The archive with a changed member or member name."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        files = [(name, archive.read(name)) for name in archive.namelist()]
    place = rng.randrange(len(files))
    name, data = files[place]
    match rng.randrange(8):
        case 0:
            files[place] = (rng.choice((*ODD_TEXT, f"../{name}", f"/{name}", name.upper())) or name, data)
        case 1:
            files.append((name, data))
        case 2:
            del files[place]
        case _:
            files[place] = (name, changed(data, name, rng, [each for _, each in files]))
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
        for name, data in files:
            archive.writestr(name, data)
    return stream.getvalue()


def _json(text: str, rng: random.Random) -> bytes:
    value = _altered(json.loads(text), rng)
    written = json.dumps(value, ensure_ascii=rng.random() < 0.5)
    match rng.randrange(20):
        case 0:  # a key twice
            written = re.sub(r'("\w+": )', r"\1null, \1", written, count=rng.choice((1, 3)))
        case 1:
            written = written.replace("null", rng.choice(("9" * 5000, "1e400", "-Infinity", "01")), 1)
        case 2:
            depth = rng.choice((100, 990, 3000, 100_000))
            written = written.replace("null", "[" * depth + "]" * depth, 1)
    return written.encode("utf-8", "surrogatepass")


def _altered(value: Any, rng: random.Random) -> Any:
    """Plain values, one of which was replaced, renamed, left out, doubled or moved."""
    places: list[tuple[Any, Any]] = []

    def look(node: Any) -> None:
        for key in (
            list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
        ):
            places.append((node, key))
            look(node[key])

    holder = [value]
    look(holder)
    # Long lists of numbers would otherwise take nearly all changes.
    few = {(id(node), type(node[key])): (node, key) for node, key in rng.sample(places, len(places))}
    node, key = rng.choice(places if rng.random() < 0.5 else list(few.values()))
    match rng.randrange(10):
        case 0 | 1 | 2:
            node[key] = rng.choice(ODD_VALUES)
        case 3 | 4:
            node[key] = rng.choice(ODD_TEXT)
        case 5:
            other, place = rng.choice(places)
            node[key] = json.loads(json.dumps(other[place]))
        case 6:
            del node[key]
        case 7 if isinstance(node, dict):
            node[rng.choice(ODD_TEXT)] = node.pop(key)
        case 7:
            node.append(node[key])
        case 8:
            node[key] = [node[key]] if not isinstance(node[key], dict) else list(node[key].items())
        case 9:
            found = node[key]
            number = isinstance(found, int | float)
            node[key] = (
                rng.choice((-found, found * 1000, found + 0.5, str(found))) if number else {"a": found}
            )
    return holder[0] if holder else None


def _text(text: str, rng: random.Random) -> str:
    lines = text.splitlines(keepends=True) or [""]
    place = rng.randrange(len(lines))
    words = list(re.finditer(r"[^\s,;:<>\"'=|]+", lines[place])) or [re.match("", "")]
    word = rng.choice(words)
    match rng.randrange(9):
        case 0 | 1 | 2:
            lines[place] = lines[place][: word.start()] + rng.choice(ODD_TEXT) + lines[place][word.end() :]
        case 3:
            lines.insert(rng.randrange(len(lines) + 1), lines[place] * rng.choice((1, 1, 300)))
        case 4:
            del lines[place]
        case 5:
            old, new = rng.sample([",", ";", "\t", "|", ":", '"', "\n", "\r", " ", "\r\n"], 2)
            return text.replace(old, new)
        case 6:
            lines[place] += rng.choice(
                ("<a>", "</a>", "<!DOCTYPE a [<!ENTITY b SYSTEM '/etc/passwd'>]>", "&b;", "\0", "- [")
            )
        case 7:
            lines[place] = lines[place].replace(word[0], str(rng.choice(ODD_VALUES)))
        case 8:
            rng.shuffle(lines)
    return "".join(lines)


# Readings ------------------------------------------------------------


def _read_dataset(path: Path, rng: random.Random) -> None:
    format = "auto" if rng.random() < 0.8 else rng.choice(sorted(READERS))
    found = open_dataset(path, DataSettings(format=format, group=rng.choice((None, None, r"(.)"))))
    found.labels()
    found.fingerprint()
    for record in found.records:
        for file in (record.image, record.mask):
            if file is not None and "fuzz-canary" in file.resolve().parts:
                raise AssertionError(f"left its folder: {file}")
    if rng.random() < 0.2:
        check(found, settings=DataSettings())


def _import(path: Path, rng: random.Random) -> None:
    names = [format.name for format in exchange_formats()]
    reading, problems = reading_of(labelled_images())
    format = recognise(path) if rng.random() < 0.7 else exchange_format(rng.choice(names))
    for item in format.read(path, reading):
        assert item.labels.shape == reading.images[item.id].size
    problems.raise_fatal("fuzz")


def _read_image(path: Path, rng: random.Random) -> None:
    options = (
        {},
        {"range": "full"},
        {"range": [0, 300]},
        {"bands": [1]},
        {"page": 2},
        {"bands": [2, 1, 3, 4]},
    )
    settings = ImageSettings.model_validate(rng.choice(options))
    read_georeference(path)
    check_readable(path, settings)
    large = _refused(open_large, path, settings)
    if large is not None:
        with large:
            large[:3]
    _refused(image_size, path, settings)
    _refused(read_stored, path)
    read_image(path, settings)


def _read_mask(path: Path, rng: random.Random) -> None:
    read_mask(path, rng.choice((None, VOC)))


def _read_palette(path: Path, rng: random.Random) -> None:
    read_colours(path, ("cat", "big dog"))


def _read_maps(path: Path, rng: random.Random) -> None:
    maps = ClassActivationMaps.load(path)
    maps.channels(maps.best)


def _read_settings(path: Path, rng: random.Random) -> None:
    validate(Settings, read_settings(path), where="fuzz")


def _read_run(path: Path, rng: random.Random) -> None:
    run, masks = Run(path), path / "masks"
    for read, *arguments in (
        (run.settings,), (run.classes,), (read_rule, run), (map_notes, run), (training_notes, run),
        (network_notes, run), (read_scores, run.scores_file), (read_held_out_scores, run), (open_queue, run),
        (open_queue, run, "corrected_masks"), (read_failures, run), (read_corrections, path),
        (read_corrections, run.corrected_masks), (version_of, path), (version_of, run.pseudo_masks),
        (rejected_ids, run, run.pseudo_masks), (read_history, run), (read_later_stages, run),
        (finished_networks, run), (declared_classes, masks), (predicted_photographs, masks),
        (lambda: changes_since_training(run, open_data_of(run, training_notes(run))),),
    ):  # fmt: skip
        _refused(read, *arguments)


def _read_model(path: Path, rng: random.Random) -> None:
    with suppress(Exception):  # so that other damage than another checksum is seen
        config = json.loads((path / CONFIG).read_text())
        config[CHECKSUM] = hashlib.sha256((path / WEIGHTS).read_bytes()).hexdigest()
        if rng.random() < 0.8:
            (path / CONFIG).write_text(json.dumps(config))
    load_model(SavedModel(path, kind_of(path), None))


def _read_onnx(path: Path, rng: random.Random) -> None:
    OnnxNetwork(path)


def _read_weights(path: Path, rng: random.Random) -> None:
    if path.suffix == ".ckpt" and rng.random() < 0.7:
        path.with_name(path.name + ".sha256").write_text(hashlib.sha256(path.read_bytes()).hexdigest())
    _refused(read_weights if path.suffix == ".safetensors" else read_checkpoint, path)
    _refused(newest_checkpoint, path.parent)
    read_tensors(path)


def _refused(read: Callable[..., Any], *arguments: Any) -> Any:
    """What a function gives, or None where it refuses."""
    try:
        return read(*arguments)
    except SwtformerError:
        return None


def _is_folder_with(pattern: str) -> Callable[[Path], bool]:
    return lambda path: path.is_dir() and any(re.fullmatch(pattern, each.name) for each in path.iterdir())


def _is_file_like(pattern: re.Pattern[str]) -> Callable[[Path], bool]:
    return lambda path: path.is_file() and pattern.search(str(path)) is not None


_TEXTS = re.compile(r"\.(csv|txt|json)$")
_MAPS = re.compile(r"\.npz$")
_YAML = re.compile(r"\.ya?ml$")
_ONNX = re.compile(r"\.onnx$")
_TENSORS = re.compile(r"\.(safetensors|pth|pt|bin|ckpt|pth\.tar)$")

WHAT = {
    "readers": "data sets of all formats, opened and sometimes checked",
    "imports": "exports that were corrected in another tool",
    "images": "image files, whole, in part and by their headers",
    "masks": "label images",
    "palettes": "files of mask colours",
    "maps": "class activation maps (.npz)",
    "settings": "settings (.yaml)",
    "runs": "notes, tables and scores of a run folder",
    "models": "model folders (config.json, model.safetensors)",
    "onnx": "exported networks (.onnx)",
    "weights": "weights and training states (.safetensors, .pth, .ckpt)",
}
MENDED = (
    "PNGs with fewer rows than their header says were filled up with black, in masks as background",
    "PNGs without a palette: an AssertionError of Pillow",
    "settings with references (`*name`): no end of reading; other odd YAML: TypeError and others",
    "patterns that are nested too deeply or repeat too often: RecursionError, OverflowError",
    "maps whose arrays are cut off or no arrays: TokenError, AttributeError, SystemError",
    "PyTorch files that end in a length: struct.error",
    "digests of training states that are not text: UnicodeDecodeError",
    "JSON files of a run and palettes that are nested too deeply: RecursionError",
    "classes.json, pseudo_masks.json, labels.jsonl, failures.csv and metrics.csv of other content: "
    "TypeError, KeyError and others",
    "JSON and YAML files with whole numbers beyond the largest float: OverflowError",
    "TIFFs whose JPEG strips lack rows were filled up with black; those whose directories share their values",
    "tables whose rows have no columns: ValueError",
    "class numbers of thousands of digits: ValueError",
    "zip files with a file without a name: IndexError",
    "zip, Excel and Parquet files that were packed to fill the memory: minutes and gigabytes",
    "brush codes of Label Studio that are one large number: as many bytes of memory",
    "ONNX files whose notes are damaged: KeyError, ValidationError",
    "shapes.json with class names that are numbers: AttributeError",
    "models of millions of bands: minutes",
)

KINDS: dict[
    str, tuple[float, Callable[[Path], bool], re.Pattern[str], Callable[[Path, random.Random], None]]
] = {
    "readers": (20, lambda path: path.is_dir() or LISTS.search(path.name) is not None, LISTS, _read_dataset),
    "imports": (4, lambda path: path.is_dir() or path.suffix in (".zip", ".json", ".xml"), EXPORTS, _import),
    "images": (4, _is_file_like(IMAGES), IMAGES, _read_image),
    "masks": (2, _is_file_like(IMAGES), IMAGES, _read_mask),
    "palettes": (1, _is_file_like(_TEXTS), _TEXTS, _read_palette),
    "maps": (1, _is_file_like(_MAPS), _MAPS, _read_maps),
    "settings": (2, _is_file_like(_YAML), _YAML, _read_settings),
    "runs": (3, _is_folder_with(r"settings\.yaml|(maps|masks|classes)\.json"), LISTS, _read_run),
    "models": (0.5, _is_folder_with(r"config\.json"), re.compile(r"\.(json|safetensors)$"), _read_model),
    "onnx": (0.1, _is_file_like(_ONNX), _ONNX, _read_onnx),
    "weights": (
        1,
        _is_file_like(_TENSORS),
        re.compile(r"\.(safetensors|pth|pt|bin|ckpt|tar|sha256)$"),
        _read_weights,
    ),
}
"""By name: share of the cases, what is read, which files of its folder are changed, how it is read."""


# Running ------------------------------------------------------------

Tree = dict[str, bytes]


def trees(corpus: Sequence[Path]) -> dict[str, list[tuple[Tree, list[str]]]]:
    """Small folders by kind, each with the places in it that are read."""
    found: dict[str, list[tuple[Tree, list[str]]]] = {kind: [] for kind in KINDS}
    known = set()
    for folder in corpus:
        if folder.is_symlink() or not folder.is_dir():
            continue
        paths = [path for path in sorted(folder.rglob("*")) if not path.is_symlink()]
        files = [path for path in paths if path.is_file() and os.access(path, os.R_OK)]
        if len(files) > 150 or sum(path.stat().st_size for path in files) > 16 << 20:
            continue
        tree = {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
        shape = hash(tuple(tree.items()))
        if not tree or shape in known:
            continue
        known.add(shape)
        for kind, (_, is_read, pattern, _) in KINDS.items():
            places = [path.relative_to(folder).as_posix() for path in (folder, *paths) if is_read(path)]
            if places and any(pattern.search(name) for name in tree):
                found[kind].append((tree, places))
    return found


def write_tree(tree: Tree, folder: Path) -> None:
    """The files of a tree, in a folder that held others."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, content in tree.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


class Watch:
    """Hears what the process opens and starts, and keeps what no reading may do."""

    def __init__(self, scratch: Path) -> None:
        self.seen: list[str] = []
        self.scratch = scratch
        self.is_on = False
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.is_on:
            return
        if event == "open" and isinstance(arguments[0], str | bytes):
            path = os.path.realpath(os.fsdecode(arguments[0]))
            writes = isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            is_inside = path.startswith(str(self.scratch)) and "/fuzz-canary/" not in path
            if (
                "/fuzz-canary/" in path
                or path == "/etc/passwd"
                or (writes and not is_inside and not path.startswith("/dev/"))
            ):
                self.seen.append(f"opened {path}")
        elif event in {
            "os.system",
            "subprocess.Popen",
            "os.exec",
            "os.posix_spawn",
            "socket.connect",
            "socket.getaddrinfo",
        }:
            self.seen.append(f"{event} {arguments!r:.200}")


def work(kinds: Sequence[str], seeds: Any, scratch: Path, seed: int, told: int) -> None:
    """Run cases until this process is ended; a line for each goes to the descriptor `told`."""
    rng = random.Random(seed)
    warnings.simplefilter("ignore")
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    watch = Watch(scratch)
    signal.signal(signal.SIGPROF, _stop)
    resource.setrlimit(resource.RLIMIT_AS, (24 << 30, 24 << 30))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(PermissionError, ProcessLookupError):
        os.write(told, b"ready\n")
    while True:
        (kind,) = rng.choices(kinds, [KINDS[each][0] for each in kinds])
        tree, places = rng.choice(seeds[kind])
        names = [name for name in tree if KINDS[kind][2].search(name)]
        write_tree(tree, scratch / "case")
        some_places = rng.sample(places, min(len(places), 6))
        read = [each for each in some_places if attempt(kind, each, 0, watch)[0] == "read"]
        if not read and rng.random() < 0.8:
            continue  # the tests have many files that are refused at once
        for _ in range(CHANGES):
            some = rng.sample(names, min(len(names), rng.choice((1, 1, 1, 2))))
            if KINDS[kind][1](scratch / "case" / some[0]) and some[0] in places and rng.random() < 0.8:
                place = some[0]
            else:
                place = rng.choice(read if read and rng.random() < 0.9 else places)
            others = [tree[some[0]], tree[rng.choice(names)]]
            for name in some:
                content = changed(tree[name], name, rng, others).replace(
                    b"{canary}", str(scratch / "fuzz-canary").encode()
                )
                (scratch / "case" / name).write_bytes(content)
            outcome = attempt(kind, place, rng.randrange(1 << 30), watch)
            os.write(told, json.dumps((kind, *outcome)).encode() + b"\n")
            if outcome[0] == "failed":
                signal.pause()  # the parent keeps the case and starts another process
            for name in some:
                (scratch / "case" / name).write_bytes(tree[name])


def _stop(*_: object) -> None:
    raise TooSlow


def attempt(kind: str, place: str, seed: int, watch: Watch) -> tuple[str, str, str]:
    """Read once: "read", "refused" or "failed", the failure's name, and its traceback."""
    (watch.scratch / "case.json").write_text(json.dumps({"kind": kind, "place": place, "seed": seed}))
    watch.seen.clear()
    before_mb = _peak_mb()
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    watch.is_on = True
    try:
        KINDS[kind][3](watch.scratch / "case" / place, random.Random(seed))
        outcome = ("read", "", "")
    except OSError as error:  # the command line tells it as a message
        outcome = ("refused", "", "") if error.errno == errno.ENAMETOOLONG else _failure(error)
    except SwtformerError as error:
        outcome = ("refused", "", "") if str(error).strip() else ("failed", f"no message {type(error)}", "")
    except BaseException as error:
        outcome = _failure(error)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        watch.is_on = False
    if outcome[0] != "failed" and (used_mb := _peak_mb() - before_mb) > MOST_MB.get(kind, OTHER_MB):
        return "failed", f"memory {kind}", f"The process grew by {used_mb:.0f} MB."
    if watch.seen and kind != "runs" and outcome[0] != "failed":
        return "failed", f"{watch.seen[0]:.80}", "\n".join(watch.seen)
    return outcome


def _peak_mb() -> float:
    """The largest resident size since the last call."""
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    Path("/proc/self/clear_refs").write_text("5")
    return int(peak[1]) / 1024 if peak else 0.0


def _failure(error: BaseException) -> tuple[str, str, str]:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/swtformer/" in frame.filename]
    inner = frames[-1] if frames else traceback.extract_tb(error.__traceback__)[-1]
    where = f"{inner.filename.rpartition('swtformer/')[2]}:{inner.name}:{inner.lineno}"
    lines = traceback.format_exception(error)
    return "failed", f"{type(error).__name__} {where}", "".join(lines)[-6000:]


def fuzz(
    kinds: Sequence[str], corpus: Sequence[Path], seconds: float, failures: Path, seed: int
) -> tuple[Counter[Any], dict[str, str]]:
    """Counts of cases by kind and outcome, and the failures by name, each with the folder that keeps it."""
    seeds = trees(corpus)
    kinds = [kind for kind in kinds if seeds[kind]]
    print({kind: len(seeds[kind]) for kind in kinds}, flush=True)
    import_all()
    counts: Counter[Any] = Counter()
    found: dict[str, str] = {}
    base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    end = time.monotonic() + seconds
    with tempfile.TemporaryDirectory(dir=base) as name:
        scratch = Path(name).resolve()
        (scratch / "fuzz-canary").mkdir()
        (scratch / "fuzz-canary" / "a.png").write_bytes(CANARY)
        while time.monotonic() < end:
            seed += 1
            listen, told = os.pipe()
            process = os.fork()
            if process == 0:
                try:
                    work(kinds, seeds, scratch, seed, told)
                finally:
                    os._exit(1)
            os.close(told)
            failure = _listen(listen, end, counts)
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            os.close(listen)
            if failure is not None and failure[0] not in found:
                found[failure[0]] = str(_keep(scratch, failures, *failure))
                print(f"{failure[0]}\n    python benchmarks/fuzz.py --again {found[failure[0]]}", flush=True)
    return counts, found


def _listen(listen: int, end: float, counts: Counter[Any]) -> tuple[str, str] | None:
    """Count a process's cases until one fails, it dies, it is silent for a minute, or the time is over."""
    rest = b""
    silent_since = time.monotonic()
    while time.monotonic() < end:
        if not select.select([listen], [], [], 1.0)[0]:
            if time.monotonic() - silent_since > 60:
                return "silence", "No answer for a minute; the watchdog was not obeyed."
            continue
        silent_since = time.monotonic()
        if not (part := os.read(listen, 1 << 16)):
            return "death", "The process died."
        *lines, rest = (rest + part).split(b"\n")
        for line in lines:
            if line != b"ready":
                kind, outcome, name, about = json.loads(line)
                counts[kind, outcome] += 1
                if outcome == "failed":
                    return name, about
    return None


def _keep(scratch: Path, failures: Path, name: str, about: str) -> Path:
    """A copy of the case, by the digest of the failure's name."""
    kept = failures / hashlib.sha256(name.encode()).hexdigest()[:10]
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(scratch / "case", kept / "case")
    shutil.copyfile(scratch / "case.json", kept / "case.json")
    (kept / "failure.txt").write_text(f"{name}\n{about}\n", encoding="utf-8", errors="replace")
    return kept


def again(kept: Path) -> None:
    """Read a kept case without any watch."""
    case = json.loads((kept / "case.json").read_text())
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "case"
        shutil.copytree(kept / "case", copy)
        KINDS[case["kind"]][3](copy / case["place"], random.Random(case["seed"]))


def import_all() -> None:
    """Import what readings import on the way, so that every process has it and no search for it is heard."""
    sys.dont_write_bytecode = True
    for module in pkgutil.walk_packages(swtformer.__path__, "swtformer."):
        if not module.name.startswith(("swtformer.app", "swtformer.__main__", "swtformer.cli")):
            importlib.import_module(module.name)


def write_corpus(folder: Path) -> list[Path]:
    """The folders that the tests write."""
    files = [str(ROOT / "tests" / name) for name in SEEDS]
    keep = ["-o", "tmp_path_retention_policy=all", f"--basetemp={folder}", "-p", "no:cacheprovider", "-q"]
    subprocess.run(
        [sys.executable, "-m", "pytest", *keep, *files], cwd=ROOT, check=False, stdout=subprocess.DEVNULL
    )
    return sorted(folder.iterdir())


CANARY = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)


LEFT = (
    "`memory images`: an image may have 179 million pixels, which its first bytes claim for nothing; reading "
    "takes up to 16 bytes a pixel",
    "`silence`: no answer for a minute; tried again, the file is refused at once",
)

PAGE = """# Damaged and hostile files

    python benchmarks/fuzz.py --seconds {last:.0f} --seed {seed}

Made on {day}; {machine}, one process, Python {python}, torch {torch}, Pillow {pillow}, numpy {numpy}.
{about}

{cases:,} cases in {all_minutes:.0f} minutes (runs: {runs}):

| kind | what is read | cases | read | refused | failed |
|---|---|---|---|---|---|
{rows}

The last run took {minutes:.0f} minutes. {found}

Found by this and by earlier runs, and mended, each with a test:

{mended}

Found and left:

{left}
"""


def page(runs: Sequence[dict[str, Any]]) -> str:
    """The page: the cases of all runs, and what failed in the last one."""
    last = runs[-1]
    rows = []
    for kind in KINDS:
        counts = [sum(run["cases"].get(kind, {}).get(name, 0) for run in runs) for name in OUTCOMES]
        numbers = (sum(counts), *counts)
        rows.append(f"| {kind} | {WHAT[kind]} | " + " | ".join(f"{number:,}" for number in numbers) + " |")
    return PAGE.format(
        last=last["seconds"],
        seed=last["seed"],
        day=date.today().isoformat(),
        machine=processor_name(),
        python=sys.version.split()[0],
        torch=torch.__version__.partition("+")[0],
        pillow=PIL.__version__,
        numpy=np.__version__,
        about=(__doc__ or "").split("\n\n")[2].strip(),
        minutes=last["seconds"] / 60,
        rows="\n".join(rows),
        found=" ".join(f"`{name}` failed." for name in last["found"]) or "Nothing failed.",
        runs=len(runs),
        all_minutes=sum(run["seconds"] for run in runs) / 60,
        cases=sum(sum(counts.values()) for run in runs for counts in run["cases"].values()),
        mended="\n".join(f"- {each}" for each in MENDED),
        left="\n".join(f"- {each}" for each in LEFT),
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--only", default=",".join(KINDS), help="kinds, separated by commas")
    parser.add_argument("--corpus", type=Path, help="folder of folders to start from")
    parser.add_argument(
        "--failures", type=Path, default=Path("fuzz-failures"), help="keeps failures and runs.jsonl"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--again", type=Path, help="a kept failure, which is read once")
    options = parser.parse_args()
    if options.again:
        again(options.again)
        return
    kinds = options.only.split(",")
    with tempfile.TemporaryDirectory() as folder:
        corpus = sorted(options.corpus.iterdir()) if options.corpus else write_corpus(Path(folder) / "seeds")
        counts, found = fuzz(kinds, corpus, options.seconds, options.failures, options.seed)
    cases = {kind: {each: counts[kind, each] for each in OUTCOMES} for kind in KINDS if kind in kinds}
    run = {"seconds": options.seconds, "seed": options.seed, "cases": cases, "found": sorted(found)}
    options.failures.mkdir(parents=True, exist_ok=True)
    with (options.failures / "runs.jsonl").open("a") as stream:
        stream.write(json.dumps(run) + "\n")
    lines = (options.failures / "runs.jsonl").read_text().splitlines()
    text = page([json.loads(line) for line in lines])
    if kinds == list(KINDS):
        write_text(RESULT, text)
    print(text)


if __name__ == "__main__":
    main()
