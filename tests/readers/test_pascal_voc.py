from __future__ import annotations

import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from swtformer.datasets import open_dataset
from swtformer.errors import DataError
from swtformer.readers.pascal_voc import VOC_CLASSES
from swtformer.settings import DataSettings
from swtformer.store.masks import voc_palette

AUTO = DataSettings()
CAT, DOG, PERSON = (VOC_CLASSES.index(name) for name in ("cat", "dog", "person"))


@pytest.fixture
def voc(tmp_path, write_images):
    """A folder in VOC's layout with the images a, b and c, and the list train of them."""
    write_images(tmp_path / "JPEGImages", ["a.jpg", "b.jpg", "c.jpg"])
    write_list(tmp_path, "train", "a\nb\nc\n")
    return tmp_path


def write_list(root, name, text, folder="Segmentation"):
    file = root / "ImageSets" / folder / f"{name}.txt"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text.encode())


def write_boxes(root, id, *names):
    file = root / "Annotations" / f"{id}.xml"
    file.parent.mkdir(exist_ok=True)
    objects = "".join(
        f"<object><name>{name}</name><difficult>1</difficult><part><name>head</name></part></object>"
        for name in names
    )
    file.write_text(f"<annotation><filename>{id}.jpg</filename>{objects}</annotation>")


def present(data):
    return {record.id: record.present for record in data.records}


def test_labels_from_the_table(voc):
    (voc / "labels.csv").write_text("image,labels\na.jpg,dog;cat\nb.jpg,person\nc.jpg,\nd.jpg,sofa\n")
    write_boxes(voc, "a", "sofa")
    data = open_dataset(voc, AUTO)
    assert (data.format, data.split, data.name) == ("voc", "train", f"{voc.name}/train")
    assert data.classes == VOC_CLASSES
    assert present(data) == {"a": (CAT, DOG), "b": (PERSON,), "c": ()}
    assert data.labels_from == "labels.csv"
    assert "labels_from_masks" not in {problem.kind for problem in data.problems}
    assert data.records[0].source == f"{voc / 'ImageSets' / 'Segmentation' / 'train.txt'}:1"


def test_labels_from_boxes_and_masks(voc, write_mask):
    write_boxes(voc, "a", "dog", "cat", "dog")
    write_boxes(voc, "b")
    write_mask(voc / "SegmentationClass" / "a.png", PERSON + 1)
    write_mask(voc / "SegmentationClassAug" / "a.png", PERSON + 1)
    write_mask(voc / "SegmentationClassAug" / "c.png", PERSON + 1, 255, CAT + 1)
    data = open_dataset(voc, AUTO)
    assert present(data) == {"a": (CAT, DOG), "b": (), "c": (CAT, PERSON)}
    assert data.labels_from == "Annotations boxes (2), SegmentationClassAug masks (1)"
    warning = next(problem for problem in data.problems if problem.kind == "labels_from_masks")
    assert not warning.fatal
    assert f"read from drawn masks, as they are nowhere else ({data.labels_from})" in warning.message
    assert [record.mask for record in data.records] == [
        voc / "SegmentationClass" / "a.png",
        None,
        voc / "SegmentationClassAug" / "c.png",
    ]


def test_images_that_no_source_knows_are_unlabelled(voc):
    data = open_dataset(voc, AUTO)
    assert present(data) == {"a": None, "b": None, "c": None}
    assert data.labels_from == "none"


def test_trainaug_is_the_default_and_other_lists_have_names(voc):
    write_list(voc, "trainaug", "a\n")
    write_list(voc, "train", "b\nc\n", folder="Main")
    write_list(voc, "cat_train", "a  1\nb -1\n", folder="Main")
    write_list(voc, "my_list", "b\n", folder="Main")
    assert present(open_dataset(voc, AUTO)) == {"a": (0,)}
    assert list(present(open_dataset(voc, AUTO, split="train"))) == ["a", "b", "c"]
    assert list(present(open_dataset(voc, AUTO, split="Main/train"))) == ["b", "c"]
    with pytest.raises(DataError, match=r"'trian'\. Did .* are: Main/train, my_list, "):
        open_dataset(voc, DataSettings(split="trian"))


def test_without_a_train_list_a_split_must_be_named(voc):
    (voc / "ImageSets" / "Segmentation" / "train.txt").rename(voc / "ImageSets" / "Segmentation" / "test.txt")
    with pytest.raises(DataError, match=r"has no list trainaug .*; name one: test"):
        open_dataset(voc, AUTO)


def test_without_lists_all_images_are_read(tmp_path, write_images):
    write_images(tmp_path / "JPEGImages", ["sub/b.png", "a.jpg"])
    write_boxes(tmp_path, "a", "cat")
    data = open_dataset(tmp_path, AUTO)
    assert present(data) == {"a": (0,), "sub/b": None}
    assert data.classes == ("cat",)
    assert data.split is None


def test_background_in_boxes_is_no_class(voc):
    write_boxes(voc, "a", "defect", "Background")
    write_boxes(voc, "b", "_background_")
    write_boxes(voc, "c", "scratch")
    data = open_dataset(voc, AUTO)
    assert data.classes == ("defect", "scratch")
    assert present(data) == {"a": (0,), "b": (), "c": (1,)}
    assert "'Background', '_background_' means" in data.problems[0].message


def test_a_document_type_and_a_pipe_are_refused(voc):
    write_boxes(voc, "a", "cat")
    (voc / "Annotations" / "b.xml").write_text('<!DOCTYPE a [<!ENTITY x "cat">]><annotation>&x;</annotation>')
    os.mkfifo(voc / "Annotations" / "c.xml")
    with pytest.raises(DataError, match=r"b\.xml:1: has a document type") as error:
        open_dataset(voc, AUTO)
    assert "c.xml: is not a regular file" in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffa\r\nb c\r\nsub/d\r\n",
        "a  \n\n  b c\nsub/d",
        "a.jpg\nb c.jpg\nsub/d.jpg\n",
        "/JPEGImages/a.jpg /SegmentationClassAug/a.png\n/JPEGImages/b c.jpg /SegmentationClassAug/b c.png\n"
        "JPEGImages/sub/d.jpg\n",
    ],
)
def test_every_way_to_write_a_list_reads_the_same(tmp_path, write_images, write_mask, text):  # fault 15
    write_images(tmp_path / "JPEGImages", ["a.jpg", "b c.jpg", "sub/d.jpg"])
    for id in ("a", "b c"):
        write_mask(tmp_path / "SegmentationClassAug" / f"{id}.png", 1)
    write_list(tmp_path, "trainaug", text)
    data = open_dataset(tmp_path, AUTO)
    assert present(data) == {"a": (0,), "b c": (0,), "sub/d": None}
    assert [record.mask and record.mask.name for record in data.records] == ["a.png", "b c.png", None]


def test_a_mask_that_a_list_names_counts(voc, write_mask):
    write_mask(voc / "SegmentationClass" / "a.png", 1)
    write_mask(voc / "mine" / "a.png", 2)
    write_list(voc, "train", "JPEGImages/a.jpg mine/a.png\nJPEGImages/b.jpg mine/b.png\n")
    data = open_dataset(voc, AUTO)
    assert [record.mask for record in data.records] == [voc / "mine" / "a.png", None]
    assert any("train.txt:2: mask 'mine/b.png' is missing" in p.message for p in data.problems)
    write_list(voc, "train", "JPEGImages/a.jpg ../a.png\n")
    with pytest.raises(DataError, match=r"train\.txt:1: mask: .* leaves the images'"):
        open_dataset(voc, AUTO)


def test_the_folder_above_is_found(voc, tmp_path_factory):
    above = tmp_path_factory.mktemp("above")
    (above / "VOCdevkit").mkdir()
    (above / "VOCdevkit" / "VOC2012").symlink_to(voc)
    assert len(open_dataset(above, AUTO)) == 3
    assert len(open_dataset(above / "VOCdevkit", AUTO)) == 3
    assert open_dataset(above, AUTO).format == "voc"


def test_own_classes_in_voc_layout(voc):
    write_boxes(voc, "a", "scratch")
    write_boxes(voc, "b", "dent", "cat")
    write_boxes(voc, "unlisted", "crack")
    data = open_dataset(voc, AUTO)
    assert data.classes == ("cat", "crack", "dent", "scratch"), "of all boxes, whatever the list"
    assert present(data) == {"a": (3,), "b": (0, 2), "c": None}
    (voc / "classes.txt").write_text("scratch\ndent\n")
    with pytest.raises(DataError, match=r"train\.txt:2: unknown class 'cat'"):
        open_dataset(voc, AUTO)
    data = open_dataset(voc, DataSettings(classes=("scratch", "dent", "cat")))
    assert present(data) == {"a": (0,), "b": (1, 2), "c": None}


def test_a_part_of_vocs_classes_warns_about_vocs_masks(voc, write_mask):
    write_mask(voc / "SegmentationClass" / "a.png", 1)
    (voc / "labels.csv").write_text("image,labels\na,dog\nb,cat\nc,\n")
    data = open_dataset(voc, DataSettings(classes=("dog", "cat")))
    assert [p.kind for p in data.problems] == ["class_order"]
    assert "mask values are read as 1=dog, 2=cat" in data.problems[0].message


def test_masks_in_colours_tell_their_classes(voc):
    colours = np.zeros((8, 8, 3), np.uint8)
    colours[2:4] = voc_palette()[CAT + 1]
    mask = voc / "SegmentationClass" / "a.png"
    mask.parent.mkdir()
    Image.fromarray(colours).save(mask)
    assert present(open_dataset(voc, AUTO))["a"] == (CAT,)
    (voc / "palette.txt").write_text(f"scratch 1 2 3\ndent {' '.join(map(str, voc_palette()[CAT + 1]))}\n")
    settings = DataSettings(classes=("scratch", "dent"), palette=voc / "palette.txt")
    assert present(open_dataset(voc, settings))["a"] == (1,)


def test_greys_of_few_bits_count_from_zero(voc):
    mask = voc / "SegmentationClass" / "a.png"
    mask.parent.mkdir()
    rows = zlib.compress(8 * b"\0\x00\x88\x00\x00")  # Pillow makes 136 of 8
    parts = {b"IHDR": struct.pack(">2I5B", 8, 8, 4, 0, 0, 0, 0), b"IDAT": rows, b"IEND": b""}
    chunks = [
        struct.pack(">I", len(part)) + name + part + struct.pack(">I", zlib.crc32(name + part))
        for name, part in parts.items()
    ]
    mask.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    assert present(open_dataset(voc, AUTO))["a"] == (CAT,)


def test_masks_of_ones_are_vocs_first_class_with_a_warning(voc, write_mask):
    write_mask(voc / "SegmentationClass" / "a.png", 1)
    data = open_dataset(voc, AUTO)
    assert present(data)["a"] == (0,)
    assert "all masks hold the value 1 alone, which is aeroplane" in str(data.problems)


def test_a_palette_of_other_classes_is_not_asked_where_a_table_tells_the_labels(voc, write_mask):
    (voc / "labels.csv").write_text("image,labels\na,scratch\nb,dent\nc,\n")
    (voc / "palette.txt").write_text("dent 1 2 3\nscratch 4 5 6\n")
    assert open_dataset(voc, DataSettings(palette=voc / "palette.txt")).classes == ("dent", "scratch")


def test_masks_that_are_not_label_images_are_refused(voc, write_mask):
    write_mask(voc / "SegmentationClass" / "a.png", 1, mode="RGB")
    with pytest.raises(DataError, match=r"a\.png: .* colour"):
        open_dataset(voc, AUTO)


def test_masks_with_strange_values_or_bytes_are_refused(voc, write_mask):
    write_mask(voc / "SegmentationClass" / "a.png", 21)
    with pytest.raises(DataError, match=r"a\.png: holds the value 21, .* 20 classes"):
        open_dataset(voc, AUTO)
    (voc / "SegmentationClass" / "a.png").write_bytes(b"<html>")
    with pytest.raises(DataError, match=r"a\.png: is a web page"):
        open_dataset(voc, AUTO)


def test_broken_boxes_are_refused_with_their_line(voc):
    write_boxes(voc, "a", "cat")
    (voc / "Annotations" / "b.xml").write_text("<annotation>\n<object>\n")
    with pytest.raises(DataError, match=r"b\.xml:3: is incomplete or damaged XML"):
        open_dataset(voc, AUTO)


def test_unknown_classes_and_conflicts_in_the_table(voc):  # faults 16, 17
    (voc / "labels.csv").write_text("image,labels\na,dgo\nb,cat\nb.jpg,dog\n")
    with pytest.raises(DataError, match=r"2 problems") as error:
        open_dataset(voc, DataSettings(classes=VOC_CLASSES))
    assert "labels.csv:4: 'b.jpg' has other labels than in an earlier row" in str(error.value)
    assert "unknown class 'dgo'. Did you mean 'dog'?" in str(error.value)


def test_lists_are_checked_as_tables_are(voc, write_images):  # faults 17, 18, 21, 22, 23, 24
    write_list(voc, "train", "a\nb\na\nd\n")
    data = open_dataset(voc, AUTO)
    assert [p.kind for p in data.problems] == ["duplicate", "missing_image"]
    assert list(present(data)) == ["a", "b"]
    with pytest.raises(DataError, match=r"1 of 3 images .*JPEGImages: d \(\S+:4\)"):
        open_dataset(voc, DataSettings(strict=True))
    write_images(voc / "JPEGImages", ["a.png"])
    write_list(voc, "train", "a.jpg\na.png\n../b\n/etc/x\nx\0\n")
    with pytest.raises(DataError, match=r"4 problems") as error:
        open_dataset(voc, AUTO)
    for line in (2, 3, 4, 5):
        assert f"train.txt:{line}: " in str(error.value)
    write_list(voc, "train", "\n")
    with pytest.raises(DataError, match="lists no images"):
        open_dataset(voc, AUTO)


def test_a_folder_without_images_is_no_voc(tmp_path):
    with pytest.raises(DataError, match="is not a VOC folder; expected JPEGImages"):
        open_dataset(tmp_path, DataSettings(format="voc"))


def test_a_voc_folder_reads_as_a_table_too(voc):
    (voc / "labels.csv").write_text("image,labels\na.jpg,dog;cat\nb.jpg,person\n")
    for path, settings in ((voc / "labels.csv", AUTO), (voc, DataSettings(format="table"))):
        data = open_dataset(path, settings)
        assert (data.format, data.name) == ("table", voc.name)
        assert present(data) == {"a": (0, 1), "b": (2,)}
        assert data.records[0].image == voc / "JPEGImages" / "a.jpg"


def write_verdicts(root, name, text):
    write_list(root, name, text, folder="Main")


def test_lists_of_one_class_are_labels(voc):
    """Lines as VOC writes them: 1 present, 0 difficult objects alone, -1 absent."""
    write_verdicts(voc, "cat_train", "a  1\nb -1\nc -1\n")
    write_verdicts(voc, "traffic_light_train", "a -1\nb  0\nc -1\n")
    data = open_dataset(voc, AUTO)
    assert data.classes == ("cat", "traffic_light")
    assert present(data) == {"a": (0,), "b": (1,), "c": ()}
    assert data.labels_from == "lists of one class"
    warning = next(problem for problem in data.problems if problem.kind == "difficult")
    assert "0 (difficult) counts as present" in warning.message


def test_lists_of_one_class_are_splits_where_there_are_no_others(tmp_path, write_images):
    write_images(tmp_path / "JPEGImages", ["a.jpg", "b.jpg", "c.jpg"])
    for split, lines in {"train": "{} 1\n", "val": "{} -1\n"}.items():
        for name in ("cat", "dog"):
            ids = "a" if split == "train" else "bc"
            write_verdicts(tmp_path, f"{name}_{split}", "".join(map(lines.format, ids)))
    write_verdicts(tmp_path, "dog_train", "a -1\n")
    assert present(open_dataset(tmp_path, AUTO)) == {"a": (0,)}
    validation = open_dataset(tmp_path, AUTO, split="val")
    assert (validation.split, validation.classes) == ("val", ("cat", "dog"))
    assert present(validation) == {"b": (), "c": ()}


def test_declared_classes_choose_among_lists_of_one_class(voc):
    write_verdicts(voc, "cat_train", "a 1\nb 1\nc -1\n")
    write_verdicts(voc, "dog_train", "a 1\nb -1\nc -1\n")
    data = open_dataset(voc, DataSettings(classes=("dog",)))
    assert present(data) == {"a": (0,), "b": (), "c": ()}


def test_boxes_come_before_lists_of_one_class(voc):
    write_boxes(voc, "a", "dog")
    write_verdicts(voc, "cat_train", "a 1\nb 1\nc -1\n")
    data = open_dataset(voc, AUTO)
    assert data.classes == VOC_CLASSES
    assert present(data) == {"a": (DOG,), "b": (CAT,), "c": ()}
    assert data.labels_from == "Annotations boxes (1), lists of one class (2)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a -1\nb 2\nc 1\n", r"dog_train.txt:2: expected an image and 1, 0 or -1, got 'b 2'"),
        ("a -1\nb 1\n", r"cat_train.txt:3: c is not in the list dog_train.txt"),
        ("a -1\nb 1\nc 1\na 1\n", r"dog_train.txt:4: a has another value"),
    ],
)
def test_lists_of_one_class_that_contradict(voc, text, message):
    write_verdicts(voc, "cat_train", "a 1\nb 1\nc -1\n")
    write_verdicts(voc, "dog_train", text)
    with pytest.raises(DataError, match=message):
        open_dataset(voc, AUTO)


@pytest.mark.parametrize("gap", ["line", "split"])
def test_incomplete_lists_of_one_class_leave_images_to_their_masks(voc, write_mask, gap):
    for id, value in {"a": CAT, "b": CAT, "c": DOG}.items():
        write_mask(voc / "SegmentationClass" / f"{id}.png", value + 1)
    write_verdicts(voc, "cat_train", "a 1\nb -1\n" if gap == "line" else "a 1\nb 1\nc -1\n")
    write_verdicts(
        voc, "dog_train" if gap == "line" else "dog_val", "a 1\nb -1\nc 1\n" if gap == "line" else "x -1\n"
    )
    data = open_dataset(voc, AUTO)
    (warning,) = [problem.message for problem in data.problems if problem.kind == "class_list"]
    assert "name the classes in `data.classes`" in warning
    if gap == "line":
        assert present(data) == {"a": (CAT, DOG), "b": (), "c": (DOG,)}
        assert "c is not in the list cat_train.txt" in warning
        assert "1 image" in warning
        assert data.labels_from == "lists of one class (2), SegmentationClass masks (1)"
    else:
        assert present(data) == {"a": (CAT,), "b": (CAT,), "c": (DOG,)}
        assert "4 images" in warning
        assert data.labels_from == "SegmentationClass masks"


def test_incomplete_lists_of_one_class_are_refused_where_they_are_the_splits(
    tmp_path, write_images, write_mask
):
    write_images(tmp_path / "JPEGImages", ["a.jpg", "b.jpg"])
    write_mask(tmp_path / "SegmentationClass" / "b.png", CAT + 1)
    write_verdicts(tmp_path, "cat_train", "a 1\n")
    write_verdicts(tmp_path, "dog_train", "a 1\nb 1\n")
    with pytest.raises(DataError, match=r"b is not in the list cat_train.txt.* `data.classes`"):
        open_dataset(tmp_path, AUTO)


def test_masks_do_not_speak_for_incomplete_lists_of_other_classes(voc, write_mask):
    """Their values would be taken for VOC's classes."""
    for id in "abc":
        write_mask(voc / "SegmentationClass" / f"{id}.png", 1)
    write_verdicts(voc, "wheat_train", "a 1\nb -1\n")
    write_verdicts(voc, "rye_train", "a 1\nb -1\nc 1\n")
    with pytest.raises(DataError, match=r"c is not in the list wheat_train.txt.* `data.classes`"):
        open_dataset(voc, AUTO)
