"""Files that benchmarks/fuzz.py found: each raised something else than a SwtformerError."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.tiny_sets import write_images as write_images
from swtformer.backbones.weights import read_tensors
from swtformer.datasets.annotations.yolo_layout import read_layout
from swtformer.datasets.mask_colours import MaskColours, read_colours
from swtformer.datasets.of_run import groups_also_trained_on
from swtformer.datasets.problems import Problems
from swtformer.datasets.records import ImageSet, Record
from swtformer.datasets.registry import open_dataset
from swtformer.errors import SwtformerError
from swtformer.report.history import History, read_history
from swtformer.settings import SegmentSettings, read_settings
from swtformer.store.failures import Failure, read_failures
from swtformer.store.maps import ClassActivationMaps
from swtformer.store.notes import TrainingNotes, training_notes
from swtformer.store.pseudo_masks import version_of
from swtformer.store.run import Run
from swtformer.training.network_notes import kept_score

CUT_ARRAY = b"\x93NUMPY\1\0\x0b\0{'descr': ("
LAUGHS = b"a: &a [x, x]\n" + b"".join(
    b"%c: &%c [*%c, *%c, *%c, *%c]\n" % (k, k, k - 1, k - 1, k - 1, k - 1) for k in range(98, 122)
)


def zipped(name: str, content: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(name, content)
    return stream.getvalue()


def palette(file: Path) -> MaskColours:
    return read_colours(file, ("cat",))


def classes(file: Path) -> tuple[str, ...]:
    return Run(file.parent).classes()


def notes(file: Path) -> TrainingNotes:
    return training_notes(Run(file.parent))


def failures(file: Path) -> list[Failure]:
    return read_failures(Run(file.parent))


def history(file: Path) -> History | None:
    return read_history(Run(file.parent))


def score(file: Path) -> float | None:
    return kept_score(Run(file.parent), SegmentSettings())


def layout(file: Path) -> object:
    return read_layout(file, (), Problems())


def version(file: Path) -> str:
    return version_of(file.parent)


@pytest.mark.parametrize(
    ("read", "name", "content", "message"),
    [
        (ClassActivationMaps.load, "a.npz", zipped("size.npy", CUT_ARRAY), "cannot be read as"),
        (ClassActivationMaps.load, "a.npz", zipped("size.npy", b"no array"), "cannot be read as"),
        (read_settings, "a.yaml", b"? [a, b]\n: 1\n", "is not valid YAML"),
        (read_settings, "a.yaml", b"seed: !!timestamp x\n", "is not valid YAML"),
        (read_settings, "a.yaml", b"seed: !!int ''\n", "is not valid YAML"),
        (read_settings, "a.yaml", b"seed: " + b"[" * 5000 + b"]" * 5000, "nested too deeply"),
        (read_settings, "a.yaml", b"train: &a {}\nsegment: *a\n", r"the reference \*a is not read"),
        (read_settings, "a.yaml", LAUGHS, r"the reference \*a is not read"),
        (
            layout,
            "data.yaml",
            b"a: &a {x: 1}\nb: {<<: [*a, *a]}\nnames: [c]\n",
            r"the reference \*a is not read",
        ),
        (palette, "a.json", b"[" * 100_000, "is not valid JSON"),
        (classes, "classes.json", b"1.5", "expected a valid tuple"),
        (classes, "classes.json", b'["cat", 1]', "expected a valid string"),
        (notes, "environment.json", b"[" * 100_000, "cannot be read as JSON"),
        (failures, "failures.csv", b"a,b\n1,2\n", "expected the columns id, stage"),
        (failures, "failures.csv", b"\xff", "cannot be read"),
        (history, "metrics.csv", b"epoch\n\xff\n", "cannot be read"),
        (score, "metrics.csv", b"epoch\n1\n", "expected validation_miou"),
        (score, "metrics.csv", b"validation_miou\nhigh\n", "expected validation_miou"),
        (version, "pseudo_masks.json", b"1", "expected a valid dictionary"),
        (read_tensors, "a.pth", b"\x80\x02X\x01", "truncated or damaged"),
    ],
)
def test_a_file_is_refused(
    read: Callable[[Path], Any], name: str, content: bytes, message: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SwtformerError, match=message):
        read(tmp_path / name)


def test_labels_of_a_training_that_are_nested_too_deeply_are_refused(tmp_path: Path) -> None:
    data = ImageSet("a", "table", tmp_path, ("cat",), (Record("a", tmp_path / "a.png", (0,), group="g"),))
    Run(tmp_path).labels_file.write_bytes(b"[" * 100_000)
    with pytest.raises(SwtformerError, match=r"labels\.jsonl: cannot be read as JSON lines"):
        groups_also_trained_on(Run(tmp_path), data)


def test_notes_with_half_a_character_have_a_version(tmp_path: Path) -> None:
    (tmp_path / "pseudo_masks.json").write_text(r'{"data": "\ud800"}')
    assert len(version_of(tmp_path)) == 16


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("labels.json", b'{"classes": {"' + b"9" * 5000 + b'": "cat"}, "labels": {"a.jpg": 0}}'),
        ("labels.jsonl", b"{}\n"),
        ("labels.csv", b",\na.jpg,cat\n"),
        ("labels.csv", b",\n,\n"),
    ],
)
def test_labels_that_cannot_be_used_are_refused(
    name: str, content: bytes, tmp_path: Path, write_images: Callable[[Path, list[str]], None]
) -> None:
    write_images(tmp_path, ["a.jpg"])
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SwtformerError, match=rf"{name}"):
        open_dataset(tmp_path)
