from __future__ import annotations

import json

import pytest

from swtformer.datasets import open_dataset
from swtformer.errors import DataError
from swtformer.settings import DataSettings

AUTO = DataSettings()


def labels_of(data):
    return {
        record.id: None if record.present is None else [data.classes[index] for index in record.present]
        for record in data.records
    }


CLEAN = "image,labels\na.jpg,cat\nb.jpg,cat;dog\nc.jpg,\n"
READ = {"a": ["cat"], "b": ["cat", "dog"], "c": []}


@pytest.mark.parametrize(
    "text",
    [
        CLEAN,
        "\ufeff" + CLEAN,
        CLEAN.replace("\n", "\r\n"),
        CLEAN.replace("\n", "\r"),
        CLEAN.replace(",", " ,  ").replace("\n", "  \n"),
        CLEAN.rstrip("\n"),
        CLEAN.replace("\n", "\n\n") + "  \n,\n",
        CLEAN.replace(";", "|"),
        CLEAN.replace(",", "\t"),
        CLEAN.replace(",", ";").replace("cat;dog", "cat,dog"),
        CLEAN.replace("cat;dog", '"cat, dog"'),
        CLEAN.replace("cat;dog", '"[""cat"", ""dog""]"'),
        CLEAN.replace("image,labels", "File_Name,Categories"),
        CLEAN.replace(".jpg", ""),
        "weight,path,class\n1.5,a.jpg,cat\n2,b.jpg,dog|cat\n3,c.jpg,background\n",
        "image,cat,dog\na.jpg,1,0\nb.jpg,1,1\nc.jpg,0,0\n",
        "image,cat,dog\na.jpg,True,False\nb.jpg,1.0,TRUE\nc.jpg,0.0,0\n",
    ],
)
def test_every_way_to_write_a_table_reads_the_same(photos, text):
    (photos / "labels.csv").write_bytes(text.encode())
    data = open_dataset(photos, AUTO)
    assert data.format == "table"
    assert data.classes == ("cat", "dog")
    assert labels_of(data) == READ
    assert data.labels_from == "labels.csv"
    assert data.name == photos.name
    assert {record.image for record in data.records} == {photos / "images" / f"{name}.jpg" for name in "abc"}


@pytest.mark.parametrize(
    "rows",
    [
        [("image", "labels"), ("a.jpg", ["cat"]), ("b.jpg", ["cat", "dog"]), ("c.jpg", [])],
        [("file_name", "label"), ("a.jpg", "cat"), ("b.jpg", "cat;dog"), ("c.jpg", None)],
        [("image", "cat", "dog"), ("a.jpg", 1, 0), ("b.jpg", True, 1), ("c.jpg", 0, False)],
    ],
)
def test_json_lines(photos, rows):
    columns, *cells = rows
    lines = [json.dumps(dict(zip(columns, row, strict=True))) for row in cells]
    (photos / "labels.jsonl").write_text("\n".join(lines))
    assert labels_of(open_dataset(photos / "labels.jsonl", AUTO)) == READ


def test_hugging_face_folders_are_splits(tmp_path, write_images):
    write_images(tmp_path, ["train/a.jpg", "train/deep/b.jpg", "test/a.jpg"])
    (tmp_path / "train" / "metadata.csv").write_text("file_name,label\na.jpg,cat\ndeep/b.jpg,dog\n")
    (tmp_path / "test" / "metadata.csv").write_text("file_name,label\na.jpg,ape\n")
    train, test = open_dataset(tmp_path, AUTO), open_dataset(tmp_path, AUTO, split="test")
    assert (train.split, test.split) == ("train", "test")
    assert train.classes == test.classes == ("ape", "cat", "dog")
    assert labels_of(train) == {"train/a": ["cat"], "train/deep/b": ["dog"]}
    assert labels_of(test) == {"test/a": ["ape"]}
    assert len(open_dataset(tmp_path, AUTO, split="all")) == 3


def test_split_column(photos):
    table = "image,labels,split\na.jpg,cat,train\nb.jpg,dog,val\nc.jpg,cat,train\n"
    (photos / "labels.csv").write_text(table)
    train = open_dataset(photos, AUTO)
    assert labels_of(train) == {"a": ["cat"], "c": ["cat"]}
    assert (train.split, train.name) == ("train", f"{photos.name}/train")
    assert train.classes == ("cat", "dog"), "classes must not depend on the split"
    assert [p.kind for p in train.problems] == ["class_in_all_images", "class_without_images"]  # fault 20
    assert labels_of(open_dataset(photos, DataSettings(split="val"))) == {"b": ["dog"]}
    assert len(open_dataset(photos, AUTO, split="all")) == 3
    with pytest.raises(DataError, match=r"'vla'\. Did .*'val'.* are: train, val\."):
        open_dataset(photos, AUTO, split="vla")


def test_a_class_that_every_image_shows_is_warned_about(photos):
    def warnings(table):
        (photos / "labels.csv").write_text("image,labels\n" + table)
        return [p.message for p in open_dataset(photos, AUTO).problems if p.kind == "class_in_all_images"]

    (message,) = warnings("a.jpg,cat\nb.jpg,cat;dog\nc.jpg,cat\n")
    assert message.startswith("class 'cat' is in all 3 images, so its AP is n/a.")
    assert message.endswith("its maps mean little.")
    assert warnings("a.jpg,cat\nb.jpg,cat;dog\nc.jpg,\n") == []
    assert warnings("a.jpg,cat\n") == []


def test_a_table_without_splits_says_so(photos):
    (photos / "labels.csv").write_text(CLEAN)
    with pytest.raises(DataError, match="has no splits, so there is no split 'val'"):
        open_dataset(photos, AUTO, split="val")


def test_names_with_blanks_unicode_folders_and_backslashes(tmp_path, write_images):
    names = ["two words.jpg", "Grüße/猫 1.jpg", "deep/er/x.y.png", "e\u0301t\u00e9.jpg", "L" * 200 + ".jpg"]
    write_images(tmp_path, names)
    listed = ["two words.jpg", "Grüße\\猫 1.jpg", "./deep/er/x.y", "\u00e9t\u00e9.jpg", "L" * 200 + ".jpg"]
    (tmp_path / "mine.csv").write_text("image,label\n" + "".join(f"{name},cat\n" for name in listed))
    data = open_dataset(tmp_path, AUTO)
    ids = ["two words", "Grüße/猫 1", "deep/er/x.y", "e\u0301t\u00e9", "L" * 200]
    assert [record.id for record in data.records] == ids
    assert all(record.image.is_file() for record in data.records)


def test_class_order_from_settings_and_from_files(photos):
    (photos / "labels.csv").write_text(CLEAN)
    assert open_dataset(photos, DataSettings(classes=("dog", "cat"))).classes == ("dog", "cat")
    (photos / "classes.txt").write_text("background\r\ndog\r\nape\r\ncat")
    data = open_dataset(photos, AUTO)
    assert data.classes == ("dog", "ape", "cat")
    assert data.records[1].present == (0, 2)
    (photos / "classes.txt").unlink()
    (photos / "classes.json").write_text('["cat", "dog"]')
    assert open_dataset(photos, AUTO).classes == ("cat", "dog")


def test_a_declared_class_may_hold_a_separator(photos):
    (photos / "classes.txt").write_text("tench, Tinca tinca\nbackground noise|hum\n")
    (photos / "labels.csv").write_text(
        'image,label\na.jpg,"tench, Tinca tinca"\nb.jpg,background noise|hum\n'
    )
    assert [record.present for record in open_dataset(photos, AUTO).records] == [(0,), (1,)]


def test_one_class_only(photos):
    (photos / "labels.csv").write_text("image,label\na.jpg,crack\nb.jpg,\n")
    data = open_dataset(photos, AUTO)
    assert data.classes == ("crack",)
    assert data.labels().tolist() == [[1], [0]]


@pytest.mark.parametrize("count", [1, 2, 19])
def test_few_images(tmp_path, write_images, count):  # fault 21
    write_images(tmp_path, [f"{index}.png" for index in range(count)])
    (tmp_path / "labels.csv").write_text("image,label\n" + "".join(f"{i}.png,cat\n" for i in range(count)))
    assert len(open_dataset(tmp_path, AUTO)) == count


def test_unlabelled_table(photos):
    (photos / "labels.csv").write_text("image\na.jpg\nb.jpg\n")
    data = open_dataset(photos, AUTO)
    assert [record.present for record in data.records] == [None, None]
    assert (data.classes, data.labels_from) == ((), "none")


def test_images_without_labels_are_background(photos):  # fault 19
    (photos / "labels.csv").write_text("image,labels\na.jpg,\nb.jpg,none\nc.jpg,[]\nd.jpg,cat\n")
    data = open_dataset(photos, AUTO)
    assert [record.present for record in data.records] == [(), (), (), (0,)]
    assert data.labels().sum() == 1


def test_masks_by_folder_and_by_column(photos, write_mask):
    write_mask(photos / "truth" / "a.png", 1)
    (photos / "labels.csv").write_text("image,labels\na.jpg,cat\nb.jpg,dog\n")
    data = open_dataset(photos, DataSettings(masks=photos / "truth"))
    assert [record.mask for record in data.records] == [photos / "truth" / "a.png", None]
    assert {p.kind for p in data.problems} == {"missing_mask", "class_order"}
    (photos / "labels.csv").write_text(
        "image,labels,mask\na.jpg,cat,truth/a.png\nb.jpg,dog,\nc.jpg,dog,gone.png\n"
    )
    (photos / "classes.txt").write_text("cat\ndog\n")
    data = open_dataset(photos, AUTO)
    assert [record.mask for record in data.records] == [photos / "truth" / "a.png", None, None]
    looked = f"(looked for {photos / 'gone.png'})"
    assert [p.message for p in data.problems] == [
        f"{photos / 'labels.csv'}:4: mask 'gone.png' is missing {looked}; the image is not scored."
    ]
    with pytest.raises(DataError, match="the folder of masks does not exist"):
        open_dataset(photos, DataSettings(masks=photos / "nowhere"))
    with pytest.raises(DataError, match=r"no mask of these images; expected .*images/a\.png"):
        open_dataset(photos, DataSettings(masks=photos / "images"))


def test_masks_outside_the_folder_are_refused(photos):
    (photos / "labels.csv").write_text("image,labels,mask\na.jpg,cat,../a.png\n")
    with pytest.raises(DataError, match=r"csv:2: mask: .*leaves the images' folder"):
        open_dataset(photos, AUTO)


def test_the_images_folder_can_be_named(photos, write_images):
    write_images(photos / "elsewhere", ["sub/a.jpg"])
    (photos / "labels.csv").write_text("image,labels\nsub/a.jpg,cat\n")
    data = open_dataset(photos, DataSettings(images=photos / "elsewhere"))
    assert data.records[0].image == photos / "elsewhere" / "sub" / "a.jpg"
    with pytest.raises(DataError, match="the folder of images does not exist"):
        open_dataset(photos, DataSettings(images=photos / "nowhere"))


def test_a_folder_without_a_table_is_no_table(photos):
    with pytest.raises(DataError, match="holds no label table"):
        open_dataset(photos, DataSettings(format="table"))


class TestEqualNamesInFoldersOfSplits:
    """train/0.jpg and val/0.jpg: the folder of the split that is read, and no other, holds its images."""

    @pytest.fixture
    def folder(self, tmp_path, write_images):
        for split in ("train", "val"):
            write_images(tmp_path / split, ["0.jpg", "1.jpg"])
        return tmp_path

    def test_the_split_decides(self, folder):
        (folder / "labels.csv").write_text("image,labels,split\n0.jpg,cat,train\n1.jpg,dog,val\n")
        for split, image in (("train", "0"), ("val", "1")):
            (record,) = open_dataset(folder, AUTO, split=split).records
            assert record.image == folder / split / f"{image}.jpg"

    def test_without_a_split_it_is_asked(self, folder):
        (folder / "labels.csv").write_text("image,labels\n0.jpg,cat\n1.jpg,dog\n")
        with pytest.raises(DataError, match=r"may be those in .*train and .*val, which have the same names"):
            open_dataset(folder, AUTO)

    def test_a_named_folder_decides(self, folder):
        (folder / "labels.csv").write_text("image,labels\n0.jpg,cat\n1.jpg,dog\n")
        data = open_dataset(folder, DataSettings(images=folder / "val"))
        assert [record.image for record in data.records] == [folder / "val/0.jpg", folder / "val/1.jpg"]

    def test_one_name_in_two_splits_is_told_before_a_split_that_is_missing(self, folder):
        rows = "0.jpg,cat,train\n1.jpg,dog,train\n0.jpg,dog,val\n1.jpg,cat,val\n"
        (folder / "labels.csv").write_text(f"image,labels,split\n{rows}")
        with pytest.raises(
            DataError, match=r"'0\.jpg' is in several splits: train, val\. .*write their fold"
        ):
            open_dataset(folder, AUTO, split="val")


def test_one_name_in_two_folders_is_said(tmp_path):
    for name in ("a/IMG_1.jpg", "b/IMG_1.jpg", "b/IMG_2.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "labels.csv").write_text("image,labels\nIMG_1.jpg,cat\nIMG_2.jpg,dog\n")
    data = open_dataset(tmp_path / "labels.csv", AUTO)
    assert {record.image.parent.name for record in data.records} == {"b"}
    (problem,) = [problem for problem in data.problems if problem.kind == "ambiguous_name"]
    assert not problem.fatal
    assert f"IMG_1.jpg lies in {tmp_path / 'b'} and in {tmp_path / 'a'}" in problem.message
    named = open_dataset(tmp_path / "labels.csv", DataSettings(images=tmp_path / "b"))
    assert not [problem for problem in named.problems if problem.kind == "ambiguous_name"]
