from __future__ import annotations

import contextlib
import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO

from support.label_images import CLASSES, by_id, labelled_images, reading_of
from swtformer.datasets import open_dataset
from swtformer.errors import DataError
from swtformer.exporters import LabelledImage
from swtformer.exporters.coco import CocoExporter, CocoSettings
from swtformer.settings import ExportSettings

IMAGE = LabelledImage("a/b", "a/b.jpg", None, np.zeros((4, 6), dtype=np.uint8))
SQUARE = [1.0, 1.0, 3.0, 1.0, 3.0, 3.0, 1.0, 3.0]
OTHER_SQUARE = [3.0, 0.0, 6.0, 0.0, 6.0, 1.0, 3.0, 1.0]


def written(folder: Path, images: list[LabelledImage], *, segmentation: str = "rle", **settings: str) -> Path:
    out = folder / "instances.json"
    plug_in = CocoExporter(CocoSettings.model_validate({"segmentation": segmentation}))
    plug_in.write(images, out, classes=CLASSES, settings=ExportSettings.model_validate(settings))
    return out


def foreign(folder: Path, **changes: Any) -> Path:
    """A file as another tool might write it, with one annotation."""
    annotation = {"id": 1, "image_id": 7, "category_id": 12, **changes.pop("annotation", {})}
    content = {
        "images": [{"id": 7, "file_name": "b.jpg", "height": 4, "width": 6, **changes.pop("image", {})}],
        "annotations": [annotation],
        "categories": [{"id": 12, "name": "hot dog", "supercategory": "food"}, {"id": 90, "name": "dragon"}],
        **changes,
    }
    path = folder / "foreign.json"
    path.write_text(json.dumps(content))
    return path


def read(path: Path) -> np.ndarray:
    reading, problems = reading_of([IMAGE])
    found = by_id(list(CocoExporter().read(path, reading)))
    problems.raise_fatal("coco")
    return found["a/b"]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools under NumPy 2
@pytest.mark.parametrize("segmentation", ["rle", "polygon"])
@pytest.mark.parametrize("objects", ["class", "component"])
def test_pycocotools_reads_equal_pixels(objects: str, segmentation: str, tmp_path: Path) -> None:
    images = labelled_images()
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(written(tmp_path, images, objects=objects, segmentation=segmentation)))
    assert {type(item["segmentation"]) for item in coco.anns.values()} == {
        list if segmentation == "polygon" else dict
    }
    assert {k: item["name"] for k, item in coco.cats.items()} == {
        **dict(enumerate(CLASSES, start=1)),
        255: "ignored",
    }
    assert [item["file_name"] for item in coco.imgs.values()] == [image.file_name for image in images]
    for image_id, image in enumerate(images, start=1):
        assert (coco.imgs[image_id]["height"], coco.imgs[image_id]["width"]) == image.size
        labels = np.zeros(image.size, dtype=np.uint8)
        for annotation in coco.loadAnns(coco.getAnnIds(imgIds=image_id)):
            region = coco.annToMask(annotation).astype(bool)
            y, x = np.nonzero(region)
            assert annotation["area"] == region.sum()
            assert annotation["bbox"] == [x.min(), y.min(), np.ptp(x) + 1, np.ptp(y) + 1]
            assert annotation["iscrowd"] == (annotation["category_id"] == 255)
            assert not labels[region].any()
            labels[region] = annotation["category_id"]
        np.testing.assert_array_equal(labels, image.labels)


def test_components_are_annotations_of_their_own(tmp_path: Path) -> None:
    labels = np.zeros((5, 7), dtype=np.uint8)
    labels[0, 0] = labels[1, 1] = labels[4, 4] = 2  # the first two touch at a corner
    labels[0, 6] = labels[4, 6] = 255
    images = [LabelledImage("a", "a.jpg", None, labels)]
    areas = {}
    for objects in ("class", "component"):
        content = json.loads(written(tmp_path, images, objects=objects).read_text())
        areas[objects] = sorted((item["category_id"], item["area"]) for item in content["annotations"])
    assert areas == {"class": [(2, 3), (255, 2)], "component": [(2, 1), (2, 2), (255, 2)]}


def test_the_category_ignored_is_there_only_where_it_is_used(tmp_path: Path) -> None:
    content = json.loads(written(tmp_path, labelled_images(values=(0, 1))).read_text())
    assert [category["name"] for category in content["categories"]] == list(CLASSES)


def test_our_own_reader_of_data_sets_takes_the_file(tmp_path: Path) -> None:
    images = labelled_images(values=(0, 1, 3))
    path = written(tmp_path, images)
    for image in images:
        (tmp_path / "images" / image.file_name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "images" / image.file_name).touch()
    data = open_dataset(path)
    assert data.classes == CLASSES
    present = {record.id: record.present for record in data.records}
    assert present == {image.id: tuple(int(v) - 1 for v in np.unique(image.labels) if v) for image in images}


def test_polygons_and_plain_counts_of_other_tools(tmp_path: Path) -> None:
    expected = np.zeros((4, 6), dtype=np.uint8)
    expected[1:3, 1:3] = 3
    counts = [5, 2, 2, 2, 13]
    for segmentation in ([SQUARE], {"size": [4, 6], "counts": counts}):
        path = foreign(tmp_path, annotation={"segmentation": segmentation, "iscrowd": 1})
        np.testing.assert_array_equal(read(path), expected)


def test_polygons_come_back_to_the_pixel(tmp_path: Path) -> None:
    images = labelled_images(7)
    reading, problems = reading_of(images)
    found = by_id(list(CocoExporter().read(written(tmp_path, images, segmentation="polygon"), reading)))
    problems.raise_fatal("coco")
    assert problems.warnings == ()
    for image in images:
        np.testing.assert_array_equal(found[image.id], image.labels)


def annotated(*segmentations: Any, **fields: Any) -> list[dict[str, Any]]:
    return [
        {"id": n, "image_id": 7, "category_id": 12, "segmentation": item, **fields}
        for n, item in enumerate(segmentations)
    ]


@pytest.mark.parametrize(
    ("odd", "what"),
    [
        ({}, "a box without a segmentation"),
        ({"bbox": [0, 0, 2, 2], "segmentation": []}, "a box without a segmentation"),
        ({"keypoints": [1, 1, 2], "num_keypoints": 1}, "a set of keypoints"),
        ({"segmentation": [[]]}, "in part a polygon of fewer than 3 points"),
        ({"segmentation": [[2, 2]]}, "in part a polygon of fewer than 3 points"),
        ({"segmentation": [[0, 0, 1, 1, 2, 2]]}, "a polygon that covers no pixel"),
    ],
)
def test_annotations_without_a_mask_are_passed_over(odd: dict[str, Any], what: str, tmp_path: Path) -> None:
    annotations = [*annotated([SQUARE]), {"id": 9, "image_id": 7, "category_id": 12, **odd}]
    reading, problems = reading_of([IMAGE])
    (correction,) = CocoExporter().read(foreign(tmp_path, annotations=annotations), reading)
    problems.raise_fatal("coco")
    (problem,) = problems.warnings
    assert (problem.kind, problem.id) == ("passed_over", "a/b")
    assert f"annotations[1]: is {what}, not a mask; passed over." in problem.message
    expected = np.zeros((4, 6), dtype=np.uint8)
    expected[1:3, 1:3] = 3
    np.testing.assert_array_equal(correction.labels, expected)


def test_ids_are_equal_as_text_and_as_numbers(tmp_path: Path) -> None:
    annotations = annotated([SQUARE], image_id="7", category_id=12.0)
    assert (read(foreign(tmp_path, annotations=annotations)) == 3).sum() == 4


def test_annotations_of_no_image_are_counted(tmp_path: Path) -> None:
    annotations = [*annotated([SQUARE]), *annotated([SQUARE], [OTHER_SQUARE], image_id=8)]
    reading, problems = reading_of([IMAGE])
    (correction,) = CocoExporter().read(foreign(tmp_path, annotations=annotations), reading)
    assert (correction.labels == 3).sum() == 4
    assert "2 annotations belong to no image" in problems.warnings[0].message


def test_the_other_polygons_of_an_annotation_are_kept(tmp_path: Path) -> None:
    path = foreign(tmp_path, annotations=annotated([SQUARE, [1, 1], OTHER_SQUARE]))
    reading, problems = reading_of([IMAGE])
    (correction,) = CocoExporter().read(path, reading)
    assert (correction.labels == 3).sum() == 7
    assert [problem.kind for problem in problems.warnings] == ["passed_over"]


@pytest.mark.parametrize(
    "category",
    [
        {"id": 12, "name": "background"},
        {"id": 12, "name": "_background_"},
        {"id": 0, "name": "BG"},
        None,
    ],
)
def test_background_as_a_category_is_background(category: dict[str, Any] | None, tmp_path: Path) -> None:
    categories = [{"id": k + 1, "name": name} for k, name in enumerate(CLASSES)]
    id = 0 if category is None else category["id"]
    annotations = [*annotated([SQUARE], category_id=id), *annotated([OTHER_SQUARE], category_id=3)]
    listed = categories if category is None else [category, *categories]
    reading, problems = reading_of([IMAGE])
    (correction,) = CocoExporter().read(
        foreign(tmp_path, annotations=annotations, categories=listed), reading
    )
    problems.raise_fatal("coco")
    assert [problem.kind for problem in problems.warnings] == ["background"]
    expected = np.zeros((4, 6), dtype=np.uint8)
    expected[0, 3:] = 3
    np.testing.assert_array_equal(correction.labels, expected)


def test_a_misspelt_class_with_id_0_is_not_background(tmp_path: Path) -> None:
    categories = [{"id": 0, "name": "cats"}, *({"id": k, "name": CLASSES[k]} for k in range(1, 4))]
    annotations = annotated([SQUARE], category_id=0)
    with pytest.raises(DataError, match=r"unknown class 'cats'\. Did you mean 'cat'"):
        read(foreign(tmp_path, annotations=annotations, categories=categories))


def test_roboflows_group_category_is_passed_by(tmp_path: Path) -> None:
    categories = [{"id": 0, "name": "animals"}, {"id": 1, "name": "cat", "supercategory": "animals"}]
    labels = read(foreign(tmp_path, annotations=annotated([SQUARE], category_id=1), categories=categories))
    assert (labels == 1).sum() == 4


def test_roboflows_names_are_those_before_the_upload(tmp_path: Path) -> None:
    image = {"file_name": "b_jpg.rf.0123456789abcdef0123456789abcdef.jpg", "extra": {"name": "a/b.jpg"}}
    assert (read(foreign(tmp_path, image=image, annotations=annotated([SQUARE]))) == 3).sum() == 4


@pytest.mark.parametrize("name", ["annotations/instances_default.json", "train/_annotations.coco.json"])
@pytest.mark.parametrize("packed", [True, False])
def test_folders_and_zip_files_of_cvat_and_roboflow(packed: bool, name: str, tmp_path: Path) -> None:
    file = tmp_path / "set" / name
    file.parent.mkdir(parents=True)
    foreign(tmp_path, annotations=annotated([SQUARE])).rename(file)
    (tmp_path / "set" / "swtformer.json").write_text("{}")
    (tmp_path / "set" / "captions.json").write_text('[{"a": 1}]')
    path = tmp_path / "set"
    if packed:
        path = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", path))
    assert CocoExporter().recognises(path)
    labels = read(path)
    assert (labels[1:3, 1:3] == 3).all()
    assert (labels == 3).sum() == 4


def test_of_several_files_those_of_instances_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "annotations"
    folder.mkdir()
    for name in ("instances_train.json", "person_keypoints_train.json"):
        foreign(tmp_path, annotations=annotated([SQUARE])).rename(folder / name)
    other = {"id": 7, "file_name": "c.jpg"}
    foreign(tmp_path, image=other, annotations=annotated([OTHER_SQUARE])).rename(
        folder / "instances_val.json"
    )
    images = [IMAGE, LabelledImage("c", "c.jpg", None, IMAGE.labels)]
    reading, problems = reading_of(images)
    found = by_id(list(CocoExporter().read(tmp_path, reading)))
    problems.raise_fatal("coco")
    assert {id: int((labels == 3).sum()) for id, labels in found.items()} == {"a/b": 4, "c": 3}


def test_images_without_annotation_are_background(tmp_path: Path) -> None:
    assert not read(foreign(tmp_path, annotations=[])).any()


def test_the_later_annotation_lies_on_top_and_the_overlap_is_counted(tmp_path: Path) -> None:
    left, middle = ([x, 0, x + 2, 0, x + 2, 4, x, 4] for x in (0, 1))
    annotations = [
        {"id": 1, "image_id": 7, "category_id": 12, "segmentation": [left]},
        {"id": 2, "image_id": 7, "category_id": 90, "segmentation": [middle]},
    ]
    categories = [{"id": 12, "name": "hot dog"}, {"id": 90, "name": "cat"}]
    path = foreign(tmp_path, annotations=annotations, categories=categories)
    reading, problems = reading_of([IMAGE])
    (correction,) = CocoExporter().read(path, reading)
    assert correction.labels[0].tolist() == [3, 1, 1, 0, 0, 0]
    assert "4 pixels in 1 images lie in regions" in problems.warnings[0].message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"annotation": {"segmentation": [3]}}, r"annotations\[0\]: expected an RLE or a list of polygons"),
        ({"annotation": {"segmentation": "abc"}}, "expected an RLE or a list of polygons"),
        ({"annotation": {"segmentation": [[0, 0, 1, 1, 2, 2, 3]]}}, "x and y of each point"),
        (
            {"annotation": {"segmentation": {"size": [6, 4], "counts": [24]}}},
            r"RLE has the size \[6, 4\], its image \[4, 6\]",
        ),
        ({"annotation": {"segmentation": {"size": [4, 6], "counts": [23]}}}, "RLE is for 23 pixels"),
        ({"annotation": {"category_id": 13}}, "category_id 13 is not in categories"),
        ({"annotation": {"category_id": [13]}}, r"category_id \[13\] is not in categories"),
        (
            {"annotation": {"category_id": 90, "segmentation": [SQUARE]}},
            "unknown class 'dragon'. Known: cat, hot dog",
        ),
        ({"image": {"width": 8}}, r"images\[0\] \(b\.jpg\) is for 8×4 pixels, masks/a/b\.png has 6×4"),
        ({"image": {"width": None}}, "is for None×4 pixels"),
        ({"image": {"file_name": "../a/b.jpg"}}, "leaves the images' folder by '..'"),
        ({"image": {"file_name": "/etc/passwd"}}, "is an absolute path"),
        ({"image": {"file_name": 3}}, r"images\[0\]: needs an id and a file_name"),
        ({"image": {"id": [7]}}, r"images\[0\]: needs an id and a file_name"),
        ({"annotation": {"image_id": {}}}, r"annotations\[0\]: needs an image_id"),
        ({"categories": [{"id": 1}]}, r"categories\[0\]: needs an id and a name"),
        ({"annotations": {}}, "expected the lists images, annotations"),
    ],
)
def test_what_cannot_be_used_is_named(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        read(foreign(tmp_path, **changes))


@pytest.mark.parametrize("content", ["{", "[" * 100_000, "\ufffe"])
def test_what_is_no_json_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(DataError, match=r"x\.json: (is not|cannot be)"):
        read(path)
