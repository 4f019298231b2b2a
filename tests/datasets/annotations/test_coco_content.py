"""What COCO files say of their images."""

from __future__ import annotations

import json

import pytest

from swtformer.datasets.annotations.coco_content import looks_like_coco, read_coco
from swtformer.datasets.problems import Problems
from swtformer.errors import DataError

CATEGORIES = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
IMAGES = [{"id": k, "file_name": f"{k}.jpg"} for k in (7, 8, 9)]


@pytest.fixture
def read(tmp_path):
    """Reads a file of some annotations, with other lists as they are named."""

    def read_content(annotations, *, drop=False, **lists):
        file = tmp_path / "x.json"
        content = {"images": IMAGES, "categories": CATEGORIES, "annotations": annotations, **lists}
        file.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))
        problems = Problems()
        found = read_coco(file, None, problems, drop_strays=drop)
        problems.raise_fatal("set")
        return found, [problem.kind for problem in problems.warnings]

    return read_content


def on(image, category, **fields):
    return {"image_id": image, "category_id": category, **fields}


@pytest.mark.parametrize(
    ("value", "is_coco"),
    [
        ({"images": [], "annotations": []}, True),
        ({"images": [{"id": 1, "file_name": "a"}]}, True),
        ({"annotations": [{"image_id": 1}]}, True),
        ({"categories": [{"id": 1, "name": "cat"}]}, True),
        ({"categories": [{"name": "cat"}]}, False),
        ({"images": ["a.jpg"]}, False),
        ({"annotations": {}}, False),
        ([{"image_id": 1, "category_id": 1}], False),  # results
    ],
)
def test_recognised_by_its_lists(value, is_coco):
    assert looks_like_coco(value) == is_coco


def test_each_class_once_in_the_order_of_the_file(read):
    content, kinds = read([on(7, 2), on(8, 1), on("7", 1), on(7, 2, iscrowd=1)])
    assert content.classes == ("cat", "dog")
    assert content.labels == {7: ("dog", "cat"), 8: ("cat",), 9: ()}
    assert list(content.without) == [9]
    assert not content.is_outlined
    assert kinds == []


def test_segments_of_panoptic_files_are_objects(read):
    segments = {"image_id": 7, "segments_info": [{"category_id": 2}, {"category_id": 1}]}
    content, _ = read([segments, {"image_id": 8, "segments_info": []}])
    assert content.labels == {7: ("dog", "cat"), 8: (), 9: ()}
    assert list(content.without) == [9], "an empty list of segments is an annotation"
    assert content.is_outlined


def test_without_annotations_nothing_is_known(read):
    content, _ = read(None)
    assert (content.labels, content.without) == ({}, {})


def test_captions_say_nothing_of_classes(read):
    content, kinds = read([on(7, 1), {"image_id": 7, "caption": "x"}, {"image_id": 8, "caption": "y"}])
    assert content.labels == {7: ("cat",), 8: None, 9: ()}
    assert kinds == ["coco_caption"]


def test_another_name_of_the_image_is_kept(read):
    images = [{"id": 7, "coco_url": "http://x/7.jpg", "extra": {"name": "seven.jpg"}}]
    content, _ = read([], images=images)
    (reference,) = content.images.values()
    assert (reference.name, reference.other) == ("http://x/7.jpg", "seven.jpg")


@pytest.mark.parametrize(
    ("annotations", "message"),
    [
        (
            [on(7, 5), on(7, 5), on(7, None)],
            r"annotations\[0\] \(7\.jpg\): category_id 5 \(2 anno.*, None are not",
        ),
        (["cat"], r"annotations\[0\]: expected an object, got 'cat'"),
        ([on(70, 1)], "image_id 70 is not in images. None fits an image"),
        ([on(7, 1), on(70, 1)], r"They may belong to images without annotations \(2 are listed\)"),
    ],
)
def test_faults_of_annotations(read, annotations, message):
    with pytest.raises(DataError, match=message):
        read(annotations)


def test_strays_can_be_dropped(read):
    content, kinds = read([on(7, 1), on(70, 2)], drop=True)
    assert content.labels == {7: ("cat",), 8: (), 9: ()}
    assert kinds == ["coco_annotation"]


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([{"id": 7, "file_name": "a"}, {"id": 7.0, "file_name": "b"}], r"images\[1\]: id 7 appears twice"),
        ([{"id": 7, "file_name": 5}], r"images\[0\]: needs an id and a file_name"),
    ],
)
def test_faults_of_images(read, images, message):
    with pytest.raises(DataError, match=message):
        read([], images=images)


def test_another_file_is_refused(read):
    with pytest.raises(DataError, match="is not a COCO file; expected the lists images, annotations, categ"):
        read([], categories={"1": "cat"})
