"""What lies in a folder in PASCAL VOC's format; what comes back of it: test_label_map."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from support.label_images import CLASSES, by_id, labelled_images, reading_of
from swtformer.datasets import open_dataset
from swtformer.datasets.mask_images import read_mask
from swtformer.errors import SwtformerError
from swtformer.exporters import LabelledImage
from swtformer.exporters.voc import VocExporter
from swtformer.settings import ExportSettings
from swtformer.store.masks import voc_palette


def test_voc_holds_values_lists_and_names(tmp_path: Path) -> None:
    images = labelled_images()
    out = tmp_path / "voc"
    VocExporter().write(images, out, classes=CLASSES, settings=ExportSettings())
    for image in images:
        path = out / "SegmentationClass" / f"{image.id}.png"
        np.testing.assert_array_equal(read_mask(path), image.labels)
        with Image.open(path) as opened:
            np.testing.assert_array_equal(np.asarray(opened.convert("RGB")), voc_palette()[image.labels])
    listed = (out / "ImageSets/Segmentation/default.txt").read_text(encoding="utf-8")
    assert listed.splitlines() == [image.id for image in images]
    assert (out / "classes.txt").read_text(encoding="utf-8").splitlines() == list(CLASSES)


def test_our_own_reader_of_data_sets_takes_the_voc_folder(tmp_path: Path) -> None:
    labels = np.array([[0, 1, 255], [0, 3, 3]], dtype=np.uint8)
    photograph = tmp_path / "photograph.png"
    Image.new("RGB", (3, 2)).save(photograph)
    images = [LabelledImage("b/a", "b/a.png", photograph, labels)]
    out = tmp_path / "voc"
    VocExporter().write(images, out, classes=CLASSES, settings=ExportSettings(images="copy"))
    (record,) = open_dataset(out, split="default").records
    assert (record.id, record.present) == ("b/a", (0, 2))
    assert record.mask is not None
    np.testing.assert_array_equal(read_mask(record.mask), labels)


@pytest.mark.parametrize(
    ("ignored", "last"), [("keep", ["ignored:224,224,192::"]), ("drop", ["x & <y>:0,0,128::"])]
)
def test_the_label_map_lists_ignored_pixels_only_where_there_are_any(
    ignored: str, last: list[str], tmp_path: Path
) -> None:
    labels = np.array([[0, 1, 255]], dtype=np.uint8)
    settings = ExportSettings.model_validate({"ignored": ignored})
    out = tmp_path / "voc"
    VocExporter().write([LabelledImage("a", "a.jpg", None, labels)], out, classes=CLASSES, settings=settings)
    lines = (out / "labelmap.txt").read_text(encoding="utf-8").splitlines()
    assert lines[1:5] == ["background:0,0,0::", "cat:128,0,0::", "träktor:0,128,0::", "hot dog:128,128,0::"]
    assert lines[-1:] == last


def test_names_that_the_label_map_cannot_hold_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    images = iter(labelled_images())
    with pytest.raises(SwtformerError, match=r"'a:b' cannot be written to labelmap\.txt"):
        VocExporter().write(images, tmp_path / "voc", classes=("a:b",), settings=ExportSettings())
    assert next(images).id == "plain"
    assert list(tmp_path.iterdir()) == []


def test_a_packed_folder_comes_back_though_it_is_recognised_as_cvats(tmp_path: Path) -> None:
    images = labelled_images()
    out = tmp_path / "voc"
    VocExporter().write(images, out, classes=CLASSES, settings=ExportSettings())
    packed = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path, "voc"))
    assert VocExporter().recognises(out)
    assert not VocExporter().recognises(packed)
    reading, problems = reading_of(images)
    found = by_id(list(VocExporter().read(packed, reading)))
    problems.raise_fatal("voc")
    for image in images:
        np.testing.assert_array_equal(found[image.id], image.labels)


def test_names_that_end_in_a_tab_come_back(tmp_path: Path) -> None:
    image = LabelledImage("tab\t", "tab\t.png", None, np.array([[0, 1]], dtype=np.uint8))
    VocExporter().write([image], tmp_path / "voc", classes=CLASSES, settings=ExportSettings())
    reading, problems = reading_of([image])
    found = list(VocExporter().read(tmp_path / "voc", reading))
    assert [(item.id, item.labels.tolist()) for item in found] == [("tab\t", [[0, 1]])]
    assert problems.warnings == ()
