from __future__ import annotations

import json
from pathlib import Path

import pytest

from swtformer.datasets import open_dataset
from swtformer.errors import DataError
from swtformer.settings import DataSettings

AUTO = DataSettings()

CONTENT = {
    "images": [
        {"id": 7, "file_name": "a.jpg"},
        {"id": 3, "file_name": "deep/b 猫.jpg"},
        {"id": 9, "file_name": "c.jpg"},
    ],
    "categories": [{"id": 18, "name": "dog"}, {"id": 1, "name": "person"}, {"id": 17, "name": "cat"}],
    "annotations": [
        {"id": 1, "image_id": 7, "category_id": 18, "iscrowd": 0},
        {"id": 2, "image_id": 7, "category_id": 18, "iscrowd": 0},
        {"id": 3, "image_id": 7, "category_id": 1, "iscrowd": 1},
        {"id": 4, "image_id": 3, "category_id": 17},
    ],
}


@pytest.fixture
def coco(tmp_path, write_images):
    """A folder in COCO's layout, and the writer of its annotation files."""

    def write(content=CONTENT, name: str = "instances_train2017", images: str = "train2017") -> Path:
        write_images(tmp_path / images, ["a.jpg", "deep/b 猫.jpg", "c.jpg"])
        file = tmp_path / "annotations" / f"{name}.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(content if isinstance(content, str) else json.dumps(content))
        return tmp_path

    return write


def changed(**keys):
    return {**CONTENT, **keys}


def test_labels_are_the_categories_of_the_annotations(coco):
    folder = coco()
    data = open_dataset(folder, AUTO)
    assert (data.format, data.split, data.name) == ("coco", "train2017", f"{folder.name}/train2017")
    assert data.classes == ("person", "cat", "dog"), "in the order of the category ids"
    assert [(record.id, record.present) for record in data.records] == [
        ("a", (0, 2)),  # the crowd of persons counts
        ("deep/b 猫", (1,)),
        ("c", ()),
    ]
    assert data.records[1].image == folder / "train2017" / "deep" / "b 猫.jpg"
    assert data.records[1].mask is None
    assert data.labels_from == "categories in instances_train2017.json"
    assert data.problems == ()


@pytest.mark.parametrize("outline", [[[0, 0, 4, 0, 4, 4]], {"size": [8, 8], "counts": "PPf2"}])
def test_objects_with_outlines_are_told(coco, outline):
    annotation = {"image_id": 7, "category_id": 1, "bbox": [0, 0, 4, 4], "segmentation": []}
    boxes = open_dataset(coco(changed(annotations=[annotation])), AUTO)
    assert boxes.labels_from == "categories in instances_train2017.json"
    outlined = open_dataset(
        coco(changed(annotations=[annotation, {**annotation, "segmentation": outline}])), AUTO
    )
    assert outlined.labels_from == "categories of outlined objects in instances_train2017.json"
    assert [record.present for record in outlined.records] == [record.present for record in boxes.records]


@pytest.mark.parametrize("images", ["train2017", "images/train2017", "images", ".", "annotations"])
def test_images_are_found_in_the_usual_folders(coco, images):
    folder = coco(images=images)
    assert len(open_dataset(folder, AUTO)) == 3
    assert len(open_dataset(folder / "annotations" / "instances_train2017.json", AUTO)) == 3


def test_the_images_folder_can_be_named(coco, tmp_path):
    coco(images="mine")
    assert len(open_dataset(tmp_path, DataSettings(images=tmp_path / "mine"))) == 3
    with pytest.raises(DataError, match="the folder of images does not exist"):
        open_dataset(tmp_path, DataSettings(images=tmp_path / "nowhere"))


def test_splits_are_annotation_files(coco):
    coco()
    coco(name="captions_val2017")
    folder = coco(changed(annotations=[]), name="instances_val2017", images="val2017")
    assert open_dataset(folder, AUTO).split == "train2017"
    for asked in ("val2017", "instances_val2017", "val"):
        data = open_dataset(folder, AUTO, split=asked)
        assert data.split == "val2017"
        assert [record.present for record in data.records] == [(), (), ()]
        assert data.records[0].image.parent.name == "val2017"
    file = folder / "annotations" / "instances_train2017.json"
    assert open_dataset(file, AUTO, split="val2017").split == "val2017"
    with pytest.raises(DataError, match=r"'vall2017'\. Did .* are: train2017, val2017"):
        open_dataset(folder, AUTO, split="vall2017")


def test_several_files_without_a_train_need_a_name(coco):
    coco(name="one")
    folder = coco(name="two")
    with pytest.raises(DataError, match=r"several annotation files; .*: one, two"):
        open_dataset(folder, AUTO)


def test_roboflow_layout(tmp_path, write_images):
    for split in ("train", "valid"):
        write_images(tmp_path / split, ["a.jpg", "deep/b 猫.jpg", "c.jpg"])
        (tmp_path / split / "_annotations.coco.json").write_text(json.dumps(CONTENT))
    assert open_dataset(tmp_path, AUTO).split == "train"
    data = open_dataset(tmp_path, AUTO, split="valid")
    assert data.records[0].image == tmp_path / "valid" / "a.jpg"


def test_a_file_without_annotations_is_unlabelled(coco):
    content = {key: CONTENT[key] for key in ("images", "categories")}
    folder = coco(content, name="image_info_test2017", images="images/test2017")
    data = open_dataset(folder / "annotations" / "image_info_test2017.json", AUTO)
    assert data.split == "test2017"
    assert [record.present for record in data.records] == [None, None, None]
    assert data.labels_from == "none"


def test_masks_only_from_the_setting(coco, tmp_path, write_mask):
    write_mask(tmp_path / "truth" / "a.png", 1)
    data = open_dataset(coco(), DataSettings(masks=tmp_path / "truth"))
    assert [record.mask for record in data.records] == [tmp_path / "truth" / "a.png", None, None]


def test_classes_of_the_settings_give_the_order(coco):
    data = open_dataset(coco(), DataSettings(classes=("dog", "cat", "person")))
    assert data.records[0].present == (0, 2)
    with pytest.raises(DataError, match=r"images\[1\]: unknown class 'cat'.*'cut'"):
        open_dataset(coco(), DataSettings(classes=("dog", "cut", "person")))


def test_missing_images_are_left_out(coco):  # fault 18
    images = [*CONTENT["images"], {"id": 10, "file_name": "gone.jpg"}]
    data = open_dataset(coco(changed(images=images)), AUTO)
    assert len(data) == 3
    assert [(p.kind, p.id) for p in data.problems] == [("missing_image", "gone")]


@pytest.mark.parametrize("name", ["../a.jpg", "/etc/passwd", "a\0.jpg"])
def test_unsafe_names_are_refused(coco, name):  # faults 22, 24
    with pytest.raises(DataError, match=r"images\[0\]: image name"):
        open_dataset(coco(changed(images=[{"id": 7, "file_name": name}], annotations=[])), AUTO)


def test_duplicate_and_empty_sets_are_refused(coco, tmp_path, write_images):  # faults 17, 21, 23
    twice = [*CONTENT["images"], {"id": 10, "file_name": "a.jpg"}]
    with pytest.raises(DataError, match=r"images\[3\]: 'a' .* '', but 'dog;person'"):
        open_dataset(coco(changed(images=twice)), AUTO)
    write_images(tmp_path / "train2017", ["a.png"])
    twin = [*CONTENT["images"], {"id": 10, "file_name": "a.png"}]
    with pytest.raises(DataError, match="the same output name 'a'"):
        open_dataset(coco(changed(images=twin)), AUTO)
    with pytest.raises(DataError, match="lists no images"):
        open_dataset(coco(changed(images=[], annotations=[])), AUTO)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (json.dumps(CONTENT)[:-5], r"instances_train2017\.json:1: is incomplete or damaged JSON"),
        ("[" * 100_000, "cannot be read as JSON"),
        ("1" * 5000, "cannot be read as JSON"),
        ("3", "is not a COCO file"),
        ("{}", "is not a COCO file"),
        (changed(annotations={}), "is not a COCO file"),
        (changed(images=[{"id": [1], "file_name": "a.jpg"}]), r"images\[0\]: needs an id and a file_name"),
        (changed(images=[{"id": 1}]), r"images\[0\]: needs an id and a file_name"),
        (changed(images=["a.jpg"]), r"images\[0\]: needs an id and a file_name"),
        (changed(images=CONTENT["images"][:1] * 2), r"images\[1\]: id 7 appears twice"),
        (changed(categories=[{"id": 1, "name": ""}]), r"categories\[0\]: .* a whole-number id"),
        (changed(categories=["cat"]), r"categories\[0\]: .* a whole-number id"),
        (
            changed(categories=[{"id": 1, "name": "x"}, {"id": 2, "name": "x"}]),
            r"categories\[1\]: .* appears twice",
        ),
        (changed(annotations=[3]), r"annotations\[0\]: expected an object"),
        (
            changed(annotations=[{"image_id": 8, "category_id": 1}]),
            r"annotations\[0\]: image_id 8 is not an id",
        ),
        (
            changed(annotations=[{"image_id": 7, "category_id": 2}]),
            r"annotations\[0\]: category_id 2 is not",
        ),
        (
            changed(annotations=[{"image_id": {}, "category_id": 1}]),
            r"annotations\[0\]: image_id {} is not an id",
        ),
    ],
)
def test_files_that_cannot_be_used(coco, content, message):
    with pytest.raises(DataError, match=message):
        open_dataset(coco(content), AUTO)


def test_a_folder_without_annotations_is_no_coco(tmp_path):
    with pytest.raises(DataError, match="has no COCO annotations"):
        open_dataset(tmp_path, DataSettings(format="coco"))
