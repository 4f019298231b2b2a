from __future__ import annotations

import json
from pathlib import Path

import pytest

from swtformer.datasets import open_dataset
from swtformer.errors import DataError
from swtformer.settings import DataSettings

AUTO = DataSettings()
EMPTY = {"empty": "background"}

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
    assert [problem.kind for problem in data.problems] == ["without_annotation"]


@pytest.mark.parametrize("outline", [[[0, 0, 4, 0, 4, 4]], {"size": [8, 8], "counts": "PPf2"}])
def test_objects_with_outlines_are_told(coco, outline):
    annotation = {"image_id": 7, "category_id": 1, "bbox": [0, 0, 4, 4], "segmentation": []}
    boxes = open_dataset(coco(changed(annotations=[annotation])), AUTO, reader=EMPTY)
    assert boxes.labels_from == "categories in instances_train2017.json"
    outlined = open_dataset(
        coco(changed(annotations=[annotation, {**annotation, "segmentation": outline}])), AUTO, reader=EMPTY
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
        data = open_dataset(folder, AUTO, split=asked, reader=EMPTY)
        assert data.split == "val2017"
        assert [record.present for record in data.records] == [(), (), ()]
        assert data.records[0].image.parent.name == "val2017"
    file = folder / "annotations" / "instances_train2017.json"
    assert open_dataset(file, AUTO, split="val2017", reader=EMPTY).split == "val2017"
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
    assert [(p.kind, p.id) for p in data.problems[1:]] == [("missing_image", "gone")]


@pytest.mark.parametrize("name", ["../a.jpg", "../../train2017/a.jpg", "/etc/passwd", "a\0.jpg"])
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
        (changed(categories=[{"id": 1, "name": ""}]), r"categories\[0\]: needs an id and a name"),
        (changed(categories=["cat"]), r"categories\[0\]: needs an id and a name"),
        (
            changed(categories=[{"id": 1, "name": "x"}, {"id": "1", "name": "y"}]),
            r"categories\[1\]: id 1 appears twice",
        ),
        (changed(annotations=[3]), r"annotations\[0\]: expected an object"),
        (
            changed(annotations=[{"image_id": 8, "category_id": 1}]),
            r"annotations\[0\]: image_id 8 is not in images",
        ),
        (
            changed(annotations=[{"image_id": 7, "category_id": 2}]),
            r"annotations\[0\] \(a\.jpg\): category_id 2 is",
        ),
        (
            changed(annotations=[{"image_id": {}, "category_id": 1}]),
            r"annotations\[0\]: image_id {} is not in images",
        ),
    ],
)
def test_files_that_cannot_be_used(coco, content, message):
    with pytest.raises(DataError, match=message):
        open_dataset(coco(content), AUTO)


def test_a_folder_without_annotations_is_no_coco(tmp_path):
    with pytest.raises(DataError, match="has no COCO annotations"):
        open_dataset(tmp_path, DataSettings(format="coco"))


def labels_of(data) -> list[tuple[str, ...] | None]:
    """Class names of each image."""
    return [
        None if record.present is None else tuple(data.classes[k] for k in record.present)
        for record in data.records
    ]


LABELS = [("person", "dog"), ("cat",), ()]
NUMBERS = {"person": 0, "cat": 1, "dog": 2}


def with_ids(category, image=lambda id: id):
    """The contents with other ids: `category` of 1 for person, 2 for cat, 3 for dog."""
    new = {1: category(1), 17: category(2), 18: category(3)}
    return changed(
        images=[{**item, "id": image(item["id"])} for item in CONTENT["images"]],
        categories=[{**item, "id": new[item["id"]]} for item in CONTENT["categories"]],
        annotations=[
            {**item, "image_id": image(item["image_id"]), "category_id": new[item["category_id"]]}
            for item in CONTENT["annotations"]
        ],
    )


@pytest.mark.parametrize(
    "content",
    [
        with_ids(lambda id: id - 1),
        with_ids(lambda id: id - 9),
        with_ids(float, float),
        with_ids(str, str),
        with_ids(lambda id: str(id + 8)),  # by number: "9" comes before "10"
        with_ids(lambda id: f"{id}-x", lambda id: f"img {id}"),
        with_ids(lambda id: f"a{id}"),
        {
            **with_ids(int),
            "categories": with_ids(str)["categories"],
            "images": with_ids(int, lambda id: f" {id}.0".removesuffix(".0"))["images"],
        },
    ],
)
def test_ids_of_any_kind(coco, content):
    data = open_dataset(coco(content), AUTO)
    assert [problem.kind for problem in data.problems] == ["without_annotation"]
    assert [set(labels) for labels in labels_of(data)] == [set(labels) for labels in LABELS]
    if str(content["categories"][0]["id"]).strip("-.0123456789") == "":
        assert data.classes == ("person", "cat", "dog")


def test_text_ids_with_zeros_stay_apart(coco):
    content = changed(
        categories=[{"id": "7", "name": "cat"}, {"id": "007", "name": "dog"}],
        annotations=[{"image_id": 7, "category_id": "007"}, {"image_id": 3, "category_id": 7}],
    )
    assert labels_of(open_dataset(coco(content), AUTO)) == [("dog",), ("cat",), ()]


@pytest.mark.parametrize("id", [True, 1.5, None, [1]])
def test_what_is_no_id(coco, id):
    with pytest.raises(DataError, match=r"categories\[0\]: needs an id and a name"):
        open_dataset(coco(changed(categories=[{"id": id, "name": "cat"}])), AUTO)


@pytest.mark.parametrize("name", ["background", "_background_", "Background", "none"])
def test_background_is_no_class(coco, name):
    categories = [{"id": 0, "name": name}, *CONTENT["categories"]]
    annotations = [*CONTENT["annotations"], {"image_id": 9, "category_id": 0}]
    data = open_dataset(coco(changed(categories=categories, annotations=annotations)), AUTO)
    assert labels_of(data) == LABELS
    assert [problem.kind for problem in data.problems] == ["background"]


def test_the_group_of_roboflow_is_no_class(coco):
    group = {"id": 0, "name": "animals-dog", "supercategory": "none"}
    grouped = [{**item, "supercategory": "animals-dog"} for item in CONTENT["categories"]]
    data = open_dataset(coco(changed(categories=[group, *grouped])), AUTO)
    assert data.classes == ("person", "cat", "dog")
    assert "'animals-dog' only groups the others" in data.problems[0].message
    used = [*CONTENT["annotations"], {"image_id": 9, "category_id": 0}]
    data = open_dataset(coco(changed(categories=[group, *grouped], annotations=used)), AUTO)
    assert data.classes == ("animals-dog", "person", "cat", "dog"), "it has an object"
    data = open_dataset(coco(changed(categories=[group, *CONTENT["categories"]])), AUTO)
    assert "animals-dog" in data.classes, "the others do not name it"


def test_a_group_with_the_name_of_its_only_class(coco):
    categories = [
        {"id": 0, "name": "cell", "supercategory": "none"},
        {"id": 1, "name": "cell", "supercategory": "cell"},
    ]
    annotations = [{"image_id": 7, "category_id": 1}]
    data = open_dataset(coco(changed(categories=categories, annotations=annotations)), AUTO, reader=EMPTY)
    assert (data.classes, labels_of(data)) == (("cell",), [("cell",), (), ()])


def test_categories_of_one_name_are_one_class(coco):
    extra = {"id": 30, "name": "dog", "supercategory": "toy"}
    annotations = [*CONTENT["annotations"], {"image_id": 9, "category_id": 30}]
    data = open_dataset(
        coco(changed(categories=[*CONTENT["categories"], extra], annotations=annotations)), AUTO
    )
    assert (data.classes, labels_of(data)[2]) == (("person", "cat", "dog"), ("dog",))
    assert "(ids 18 in 'none', 30 in 'toy')" in data.problems[0].message


def test_our_own_ignored_is_no_class(coco):
    categories = [*CONTENT["categories"], {"id": 255, "name": "ignored"}]
    annotations = [*CONTENT["annotations"], {"image_id": 9, "category_id": 255, "iscrowd": 1, "ignore": 1}]
    data = open_dataset(coco(changed(categories=categories, annotations=annotations)), AUTO)
    assert labels_of(data) == LABELS
    assert [problem.kind for problem in data.problems] == ["coco_ignored"]


def test_objects_marked_ignore_count(coco):
    annotations = [{"image_id": 9, "category_id": 17, "ignore": 1}]
    data = open_dataset(coco(changed(annotations=annotations)), AUTO, reader=EMPTY)
    assert labels_of(data)[2] == ("cat",)


def test_captions_are_passed_over(coco):
    captions = [{"image_id": 7, "caption": "a dog"}, {"image_id": 9, "caption": "a cat?"}]
    data = open_dataset(coco(changed(annotations=[*CONTENT["annotations"], *captions])), AUTO)
    assert labels_of(data) == [*LABELS[:2], None]
    assert "1 of 2 images with captions have no object" in data.problems[0].message
    with pytest.raises(DataError, match="holds captions alone"):
        open_dataset(coco(changed(annotations=captions)), AUTO)


def test_unknown_categories_are_told_in_one_line(coco):
    strange = [{"image_id": 7, "category_id": id} for id in (40, 40, 41, None)]
    with pytest.raises(DataError) as caught:
        open_dataset(coco(changed(annotations=[*CONTENT["annotations"], *strange])), AUTO)
    (line,) = str(caught.value).splitlines()[1:]
    assert "annotations[4] (a.jpg): category_id 40 (2 annotations), 41, None are not in categories" in line


def test_annotations_of_unlisted_images(coco):
    strays = [{"image_id": id, "category_id": 17} for id in range(100, 107)]
    content = changed(annotations=[*CONTENT["annotations"], *strays])
    with pytest.raises(DataError, match=r"2 more ids \(7 annotations in all\) are.*\(1 are listed\)"):
        open_dataset(coco(content), AUTO)
    data = open_dataset(coco(content), AUTO, reader={"strays": "drop"})
    assert labels_of(data) == LABELS
    complete = changed(images=CONTENT["images"][:2], annotations=content["annotations"])
    data = open_dataset(coco(complete), AUTO)
    assert labels_of(data) == LABELS[:2]
    assert "annotations[4]: image_id 100, 101" in data.problems[0].message


def test_a_file_without_categories_needs_names(coco):
    content = {key: CONTENT[key] for key in ("images", "annotations")}
    with pytest.raises(DataError, match=r"category ids 1, 17, 18 are not known.*name 3 classes"):
        open_dataset(coco(content), AUTO)
    with pytest.raises(DataError, match=r"data\.classes, not 2"):
        open_dataset(coco(content), DataSettings(classes=("person", "cat")))
    data = open_dataset(coco(content), DataSettings(classes=("person", "cat", "dog")))
    assert labels_of(data) == LABELS
    assert "1=person, 17=cat, 18=dog" in data.problems[0].message


def test_panoptic_segments_are_labels(coco):
    content = changed(
        annotations=[
            {"image_id": 7, "file_name": "a.png", "segments_info": [{"id": 5, "category_id": 18}]},
            {"image_id": 3, "file_name": "b.png", "segments_info": [{"category_id": 1}, {"category_id": 17}]},
            {"image_id": 9, "file_name": "c.png", "segments_info": []},
        ]
    )
    data = open_dataset(coco(content, name="panoptic_train2017"), AUTO)
    assert labels_of(data) == [("dog",), ("person", "cat"), ()]
    assert data.split == "train2017"
    assert data.labels_from.startswith("categories of outlined objects")
    assert labels_of(open_dataset(coco(), AUTO)) == LABELS, "instances are preferred"


def test_lvis_names_images_by_address(coco):
    images = [
        {"id": 7, "coco_url": "http://images.cocodataset.org/train2017/a.jpg", "neg_category_ids": [1]},
        {"id": 9, "coco_url": "http://images.cocodataset.org/train2017/c.jpg", "neg_category_ids": []},
    ]
    annotations = [item for item in CONTENT["annotations"] if item["image_id"] == 7]
    data = open_dataset(coco(changed(images=images, annotations=annotations), name="lvis_v1_train"), AUTO)
    assert [record.id for record in data.records] == ["train2017/a", "train2017/c"]
    assert labels_of(data) == [("person", "dog"), ()]
    assert {problem.kind for problem in data.problems} >= {"partly_labelled", "image_reference"}


@pytest.mark.parametrize(
    "prefix",
    [
        "/content/dataset/train2017/",
        "..\\..\\media\\upload\\1\\1a2b3c4d-",
        "images/1/1a2b3c4d-",
        "train2017/",
    ],
)
def test_image_names_of_other_tools(coco, prefix):
    images = [{"id": id, "file_name": f"{prefix}{name}.jpg"} for id, name in ((7, "a"), (3, "e"), (9, "c"))]
    content = changed(images=[images[0], images[2]], annotations=CONTENT["annotations"][:3])
    data = open_dataset(coco(content), AUTO)
    assert [record.image.name for record in data.records] == ["a.jpg", "c.jpg"]
    assert labels_of(data) == [("person", "dog"), ()]


def test_renamed_files_of_roboflow(coco):
    images = [{"id": 7, "file_name": "a_jpg.rf.00ff.jpg", "extra": {"name": "a.jpg"}}]
    data = open_dataset(coco(changed(images=images, annotations=CONTENT["annotations"][:3])), AUTO)
    assert [record.id for record in data.records] == ["a"]


@pytest.mark.parametrize("name", ["result", "labels", "my coco", "annotations", "train"])
@pytest.mark.parametrize("images", ["images", ".", "data"])
def test_a_file_of_any_name_beside_the_images(tmp_path, write_images, name, images):
    write_images(tmp_path / images, ["a.jpg", "deep/b 猫.jpg", "c.jpg"])
    file = tmp_path / f"{name}.json"
    file.write_text(json.dumps(CONTENT))
    for path in (tmp_path, file):
        data = open_dataset(path, AUTO)
        assert (data.format, data.split, labels_of(data)) == ("coco", name, LABELS)
        assert labels_of(open_dataset(path, AUTO, split=data.split)) == LABELS


def test_the_file_that_is_named_is_read_whatever_lies_beside_it(coco):  # fault 63
    folder = coco()
    other = folder / "annotations" / "mine.json"
    other.write_text(json.dumps(changed(annotations=[])))
    for split in (None, "mine"):
        data = open_dataset(other, AUTO, split=split, reader=EMPTY)
        assert (data.split, labels_of(data)) == ("mine", [(), (), ()])
    twin = folder / "train2017.json"
    twin.write_text(json.dumps(changed(annotations=[])))
    data = open_dataset(twin, AUTO, split="train2017", reader=EMPTY)
    assert labels_of(data) == [(), (), ()]


def test_several_files_beside_the_images_need_a_name(tmp_path, write_images):
    write_images(tmp_path, ["a.jpg", "deep/b 猫.jpg", "c.jpg"])
    for name in ("one", "two"):
        (tmp_path / f"{name}.json").write_text(json.dumps(CONTENT))
    with pytest.raises(DataError, match=r"several annotation files; .*: one, two"):
        open_dataset(tmp_path, AUTO)
    assert labels_of(open_dataset(tmp_path, AUTO, split="two")) == LABELS


def test_one_file_in_the_folder_of_each_split(tmp_path, write_images):
    for split in ("train", "val"):
        write_images(tmp_path / split / "data", ["a.jpg", "deep/b 猫.jpg", "c.jpg"])
        (tmp_path / split / "labels.json").write_text(json.dumps(CONTENT))
    data = open_dataset(tmp_path, AUTO)
    assert (data.split, labels_of(data)) == ("train", LABELS)
    data = open_dataset(tmp_path, AUTO, split="val")
    assert data.records[0].image == tmp_path / "val" / "data" / "a.jpg"


def test_a_file_of_roboflow_is_called_by_its_folder(tmp_path, write_images):
    for split in ("train", "valid"):
        write_images(tmp_path / split, ["a.jpg", "deep/b 猫.jpg", "c.jpg"])
        (tmp_path / split / "_annotations.coco.json").write_text(json.dumps(CONTENT))
    data = open_dataset(tmp_path / "valid" / "_annotations.coco.json", AUTO)
    assert (data.split, data.records[0].image) == ("valid", tmp_path / "valid" / "a.jpg")


def test_an_export_beside_a_table_is_not_read(tmp_path, write_images):
    write_images(tmp_path / "images", ["a.jpg"])
    (tmp_path / "labels.csv").write_text("image,labels\na.jpg,cow\n")
    (tmp_path / "masks.json").write_text(json.dumps(CONTENT))
    assert open_dataset(tmp_path, AUTO).classes == ("cow",)
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "masks.json").write_text(json.dumps(CONTENT))
    assert open_dataset(tmp_path, AUTO).classes == ("cow",)


def test_large_files_are_recognised_by_their_beginning(tmp_path, write_images):
    write_images(tmp_path / "images", ["a.jpg", "deep/b 猫.jpg", "c.jpg"])
    long = [{"image_id": 7, "category_id": 18, "segmentation": [[1.5] * 8000]} for _ in range(10)]
    content = {"annotations": long, **{key: CONTENT[key] for key in ("images", "categories")}}
    (tmp_path / "big.json").write_text(json.dumps(content))
    assert (tmp_path / "big.json").stat().st_size > 1 << 18
    assert labels_of(open_dataset(tmp_path, AUTO, reader=EMPTY)) == [("dog",), (), ()]


def test_faults_of_one_kind_are_one_line(coco):
    with pytest.raises(DataError, match=r"images\[0\]: needs an id.*There are 30 such faults") as caught:
        open_dataset(coco(changed(images=["a.jpg"] * 30, annotations=[])), AUTO)
    assert "2 problems" in str(caught.value), "and that no image is listed"


def test_annotations_with_scores_are_said(coco):
    annotations = [{**item, "score": 0.04} for item in CONTENT["annotations"][:2]]
    data = open_dataset(coco(changed(annotations=[*annotations, *CONTENT["annotations"][2:]])), AUTO)
    assert labels_of(data) == LABELS
    assert "2 of 4 annotations have a score" in data.problems[0].message


class TestImagesWithoutAnnotations:
    def test_they_are_background_and_counted(self, coco):
        data = open_dataset(coco(), AUTO)
        assert labels_of(data) == LABELS
        (problem,) = data.problems
        assert "1 of 3 images have no annotation, c.jpg first; they count as background" in problem.message

    def test_they_can_be_unknown(self, coco):
        data = open_dataset(coco(), AUTO, reader={"empty": "unknown"})
        assert labels_of(data) == [*LABELS[:2], None]
        assert labels_of(open_dataset(coco(), AUTO, reader={"empty": "leave_out"})) == LABELS[:2]

    @pytest.mark.parametrize("annotations", [CONTENT["annotations"][:1], []])
    def test_where_most_are_so_it_has_to_be_said(self, coco, annotations):
        folder = coco(changed(annotations=annotations))
        with pytest.raises(DataError, match=r"of 3 images have no annotation.*set `reader\.empty`"):
            open_dataset(folder, AUTO)
        assert labels_of(open_dataset(folder, AUTO, reader=EMPTY))[1:] == [(), ()]

    def test_leaving_out_all_of_them_is_refused(self, coco):
        with pytest.raises(DataError, match="none of 3 images has an annotation") as refused:
            open_dataset(coco(changed(annotations=[])), AUTO, reader={"empty": "leave_out"})
        assert "lists no images" not in str(refused.value)

    def test_an_annotation_of_background_is_one(self, coco):
        categories = [*CONTENT["categories"], {"id": 99, "name": "background"}]
        annotations = [*CONTENT["annotations"], {"image_id": 9, "category_id": 99}]
        content = changed(categories=categories, annotations=annotations)
        data = open_dataset(coco(content), AUTO, reader={"empty": "unknown"})
        assert labels_of(data) == LABELS
