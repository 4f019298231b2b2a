from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from pycocotools import mask as coco_mask

from support.label_images import CLASSES, by_id, labelled_images, random_labels, reading_of
from swtformer.errors import DataError, SwtformerError
from swtformer.exporters import LabelledImage, recognise
from swtformer.exporters.coco_rle import decode_rle
from swtformer.exporters.yolo import YoloExporter
from swtformer.settings import ExportSettings

IMAGE = LabelledImage("a/b", "a/b.jpg", None, np.zeros((4, 8), dtype=np.uint8))


def written(folder: Path, images: list[LabelledImage]) -> tuple[Path, list[str]]:
    out = folder / "yolo"
    warnings = YoloExporter().write(images, out, classes=CLASSES, settings=ExportSettings())
    assert "photographs are missing in" in warnings[-1]
    return out, warnings[:-1]


def read(path: Path, images: list[LabelledImage]) -> dict[str, np.ndarray]:
    reading, problems = reading_of(images)
    found = by_id(list(YoloExporter().read(path, reading)))
    problems.raise_fatal("yolo")
    return found


def one(labels: np.ndarray) -> list[LabelledImage]:
    return [LabelledImage("a", "a.jpg", None, labels)]


def test_the_lines_are_fractions_of_the_image(tmp_path: Path) -> None:
    labels = np.zeros((4, 8), dtype=np.uint8)
    labels[1:3, 2:6] = 3
    out, warnings = written(tmp_path, one(labels))
    number, *values = (out / "labels" / "a.txt").read_text().split()
    points = list(zip(map(float, values[::2]), map(float, values[1::2]), strict=True))
    assert number == "2"
    assert sorted(points) == [(0.25, 0.25), (0.25, 0.75), (0.75, 0.25), (0.75, 0.75)]
    assert warnings == []
    content = yaml.safe_load((out / "data.yaml").read_text(encoding="utf-8"))
    assert content == {
        "train": "images",
        "val": "images",
        "names": dict(enumerate(CLASSES)),
    }


IDS = ("images/x", "images/deeper/images/y", "train/images/v1.5", "images", "sub/z")


def with_photographs(folder: Path, ids: tuple[str, ...]) -> list[LabelledImage]:
    items = []
    for n, id in enumerate(ids):
        image = folder / "images" / f"{n}.png"
        image.parent.mkdir(exist_ok=True)
        Image.new("RGB", (6, 5), (n, n, n)).save(image)
        labels = np.zeros((5, 6), dtype=np.uint8)
        labels[: n + 1, 1:4] = n % 4 + 1
        items.append(LabelledImage(id, f"{id}.png", image, labels))
    return items


def img2label_path(image: Path) -> Path:
    """Where Ultralytics looks for an image's labels (ultralytics/data/utils.py, img2label_paths)."""
    sa, sb = f"{os.sep}images{os.sep}", f"{os.sep}labels{os.sep}"
    return Path(sb.join(str(image).rsplit(sa, 1)).rsplit(".", 1)[0] + ".txt")


def test_ultralytics_finds_the_labels_of_every_image(tmp_path: Path) -> None:
    images = with_photographs(tmp_path, IDS)
    out = tmp_path / "yolo"
    warnings = YoloExporter().write(images, out, classes=CLASSES, settings=ExportSettings(images="copy"))
    assert warnings == []
    by_content = {item.image.read_bytes(): item for item in images if item.image is not None}
    content = yaml.safe_load((out / "data.yaml").read_text(encoding="utf-8"))
    copied = [path for path in (out / content["train"]).rglob("*") if path.is_file()]
    assert len(copied) == len(list((out / "labels").rglob("*.txt"))) == len(IDS)
    for path in copied:
        item = by_content[path.read_bytes()]
        line = img2label_path(path).read_text()
        assert line.split()[0] == str(item.labels.max() - 1)
    found = read(out, images)
    assert found.keys() == set(IDS)
    for item in images:
        np.testing.assert_array_equal(found[item.id], item.labels)


def test_ids_that_differ_in_a_folder_of_images_alone_are_refused(tmp_path: Path) -> None:
    images = with_photographs(tmp_path, ("a/x", "a/images/x"))
    with pytest.raises(
        SwtformerError, match=r"'a/x' and 'a/images/x' would share the label file labels/a/x\.txt"
    ):
        written(tmp_path, images)
    assert not (tmp_path / "yolo").exists()
    out, _ = written(tmp_path, images[1:])
    assert read(out, images).keys() == {"a/images/x"}
    (out / "swtformer.json").unlink()
    with pytest.raises(DataError, match=r"x\.txt: may be 'a/images/x' or 'a/x'"):
        read(out, images)


def test_photographs_that_are_not_there_are_asked_for(tmp_path: Path) -> None:
    images = with_photographs(tmp_path, ("a", "b"))
    for name, copy, expected in (("none", "none", 2), ("copy", "copy", 1)):
        items = [images[0], LabelledImage("b", "b.jpg", None, images[1].labels)]
        settings = ExportSettings.model_validate({"images": copy})
        (warning,) = YoloExporter().write(items, tmp_path / name, classes=CLASSES, settings=settings)
        assert warning.startswith(
            f"{expected} photographs are missing in {tmp_path / name / 'images'}, where data"
        )


def test_parts_are_lines_of_their_own_and_an_empty_mask_is_an_empty_file(tmp_path: Path) -> None:
    labels = np.zeros((6, 9), dtype=np.uint8)
    labels[0, 0] = labels[5, 3:9] = labels[2, 4] = 1
    images = [*one(labels), LabelledImage("none", "none.jpg", None, np.zeros((3, 3), dtype=np.uint8))]
    out, _ = written(tmp_path, images)
    assert len((out / "labels" / "a.txt").read_text().splitlines()) == 3
    assert (out / "labels" / "none.txt").read_text() == ""
    assert not read(out, images)["none"].any()


def test_holes_are_kept_and_ignored_pixels_are_counted(tmp_path: Path) -> None:
    ring = np.ones((7, 7), dtype=np.uint8)
    ring[3, 3] = ring[1, 1] = 0
    ring[5, 5] = 255
    plain = np.ones((4, 4), dtype=np.uint8)
    out, warnings = written(tmp_path, [*one(ring), LabelledImage("b", "b.jpg", None, plain)])
    (dropped,) = warnings
    assert dropped.startswith("1 pixels with 255 (ignored) in 1 images become background")
    np.testing.assert_array_equal(read(out, one(ring))["a"], np.where(ring == 255, 0, ring))


@pytest.mark.parametrize("seed", range(8))
def test_every_line_alone_covers_its_part_without_the_holes(seed: int, tmp_path: Path) -> None:
    """Painted in any order by pycocotools, as a tool that knows nothing of the order would."""
    labels = random_labels(seed, (31, 23), values=(0, 2, 3))
    out, _ = written(tmp_path, one(labels))
    painted = np.zeros((31, 23), dtype=np.uint8)
    for line in reversed((out / "labels" / "a.txt").read_text().splitlines()):
        number, *values = line.split()
        points = (np.array(values, dtype=float).reshape(-1, 2) * (23, 31)).ravel().tolist()
        (code,) = coco_mask.frPyObjects([points], 31, 23)
        lengths = decode_rle(code["counts"].decode(), (31, 23))
        assert not painted[lengths].any()
        painted[lengths] = int(number) + 1
    np.testing.assert_array_equal(painted, labels)


def test_what_lies_in_a_hole_survives_ours_and_every_reader_that_paints_in_order(tmp_path: Path) -> None:
    labels = np.full((9, 9), 1, dtype=np.uint8)
    labels[2:7, 2:7] = 4
    labels[4, 4] = 2
    out, _ = written(tmp_path, one(labels))
    np.testing.assert_array_equal(read(out, one(labels))["a"], labels)


def test_zip_files_and_lists_of_names_come_back(tmp_path: Path) -> None:
    images = labelled_images(values=(0, 1))
    out, _ = written(tmp_path, images)
    expected = read(out, images)
    (out / "data.yaml").write_text(yaml.safe_dump({"names": list(CLASSES)}))
    archive = shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path, "yolo")
    for id, labels in read(Path(archive), images).items():
        np.testing.assert_array_equal(labels, expected[id])


def test_names_are_mapped_and_numbers_are_the_runs_without_them(tmp_path: Path) -> None:
    (tmp_path / "labels" / "a").mkdir(parents=True)
    (tmp_path / "labels" / "a" / "b.txt").write_text("1 0 0 1 0 1 1 0 1\n\n")
    reading, problems = reading_of([IMAGE])
    (correction,) = YoloExporter().read(tmp_path, reading)
    assert (correction.labels == 2).all()
    assert "numbers are read as 0=cat, 1=träktor" in problems.warnings[0].message
    (tmp_path / "data.yaml").write_text("names: {0: dog, 1: cat}")
    assert (read(tmp_path, [IMAGE])["a/b"] == 1).all()


@pytest.mark.parametrize("place", ["classes.txt", "labels/classes.txt"])
def test_label_studios_list_of_names(place: str, tmp_path: Path) -> None:
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "0a1b2c3d-b.txt").write_text("1 0 0 1 0 1 1 0 1\n")
    (tmp_path / place).write_text("hot dog\ncat\n")
    (tmp_path / "notes.json").write_text('{"categories": [{"id": 0, "name": "hot dog"}], "info": {}}')
    assert recognise(tmp_path).name == "yolo"
    assert (read(tmp_path, [IMAGE])["a/b"] == 1).all()


def test_roboflows_splits_share_the_data_file_above_them(tmp_path: Path) -> None:
    images = [LabelledImage(id, f"{id}.jpg", None, IMAGE.labels) for id in ("a", "b")]
    for split, id in (("train", "a"), ("valid", "b")):
        (tmp_path / split / "labels").mkdir(parents=True)
        file = tmp_path / split / "labels" / f"{id}_jpg.rf.0123456789abcdef.txt"
        file.write_text("1 0 0 1 0 1 1 0 1\n")
    (tmp_path / "data.yaml").write_text("names: [hot dog, cat]")
    found = read(tmp_path, images)
    assert found.keys() == {"a", "b"}
    assert all((labels == 1).all() for labels in found.values())


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 0 0 1 0 1", r"labels/a/b\.txt:1: expected x and y of each point, got 5 numbers"),
        ("cat 0 0 1 0 1 1", "expected a class number and fractions"),
        ("0 0 0 1 0 1 x", "expected a class number and fractions"),
        ("9 0 0 1 0 1 1", "class number 9 has no name"),
        ("0 0 0 1 0 1 nan", "far outside"),
        ("0 0 0 1 0 900 900", "far outside"),
    ],
)
def test_lines_that_cannot_be_used_are_named(line: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "labels" / "a").mkdir(parents=True)
    (tmp_path / "labels" / "a" / "b.txt").write_text(line)
    with pytest.raises(DataError, match=message):
        read(tmp_path, [IMAGE])


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("0 .5 .5 .1 .1", "a box"),
        ("0 0 0 1 0", "a box"),
        ("0", "a polygon of 0 points"),
        ("0 .5 .5", "a polygon of 1 points"),
    ],
)
def test_lines_that_are_not_masks_are_passed_over(line: str, what: str, tmp_path: Path) -> None:
    (tmp_path / "labels" / "a").mkdir(parents=True)
    (tmp_path / "labels" / "a" / "b.txt").write_text(f"{line}\n1 0 0 1 0 1 1 0 1\n")
    (tmp_path / "classes.txt").write_text("\n".join(CLASSES))
    reading, problems = reading_of([IMAGE])
    (correction,) = YoloExporter().read(tmp_path, reading)
    problems.raise_fatal("yolo")
    assert (correction.labels == 2).all()
    (problem,) = problems.warnings
    assert f"b.txt:1: is {what}, not a mask; passed over." in problem.message


def test_lines_of_poses_are_no_polygons(tmp_path: Path) -> None:
    (tmp_path / "labels" / "a").mkdir(parents=True)
    (tmp_path / "labels" / "a" / "b.txt").write_text("0 .5 .5 .2 .2 .4 .4 .6 .6")
    (tmp_path / "data.yaml").write_text("names: [cat]\nkpt_shape: [2, 2]")
    reading, problems = reading_of([IMAGE])
    assert list(YoloExporter().read(tmp_path, reading)) == []
    assert "is a set of keypoints, not a mask" in problems.warnings[0].message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("names: [", r"data\.yaml line 1: is not valid YAML"),
        ("names: cat", r"data\.yaml: expected names"),
        ("names: {cat: 0}", r"data\.yaml: expected names"),
        ("- 1", r"data\.yaml: expected names"),
        ("!!python/object/apply:os.system [true]", r"data\.yaml line 1: is not valid YAML"),
    ],
)
def test_a_data_file_that_cannot_be_used_is_refused(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "b.txt").write_text("")
    (tmp_path / "data.yaml").write_text(content)
    with pytest.raises(DataError, match=message):
        read(tmp_path, [IMAGE])


def test_a_folder_without_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no folder labels"):
        read(tmp_path, [IMAGE])
