from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress

import pytest

from swtformer.datasets import open_dataset, recognise
from swtformer.datasets.check import check
from swtformer.datasets.registry import READERS
from swtformer.errors import DataError, PluginError
from swtformer.settings import DataSettings

AUTO = DataSettings()


@pytest.fixture
def sets(tmp_path, write_images):
    """One tiny data set of each format, by format name."""
    for name, images in (
        ("voc", "JPEGImages/a.jpg"),
        ("coco", "images/a.jpg"),
        ("table", "images/a.jpg"),
        ("folder", "cat/a.jpg"),
        ("shapes", "images/a.jpg"),
        ("label-studio", "images/a.jpg"),
        ("fiftyone", "data/a.jpg"),
        ("json", "images/a.jpg"),
        ("cvat", "images/a.jpg"),
        ("labelme", "a.jpg"),
        ("voc-xml", "a.jpg"),
        ("yolo", "train/images/a.jpg"),
    ):
        write_images(tmp_path / name, [images])
    (tmp_path / "voc" / "ImageSets" / "Main").mkdir(parents=True)
    (tmp_path / "voc" / "ImageSets" / "Main" / "train.txt").write_text("a")
    (tmp_path / "voc" / "labels.csv").write_text("image,labels\na,cat\n")
    (tmp_path / "coco" / "annotations").mkdir()
    (tmp_path / "coco" / "annotations" / "instances_train.json").write_text(
        '{"images": [{"id": 1, "file_name": "a.jpg"}], "categories": [{"id": 1, "name": "cat"}],'
        ' "annotations": [{"image_id": 1, "category_id": 1}]}'
    )
    (tmp_path / "table" / "anything.csv").write_text("image,labels\na,cat\n")
    (tmp_path / "shapes" / "labels.csv").write_text("image,labels\na,cat\n")
    (tmp_path / "shapes" / "shapes.json").write_text('{"classes": ["cat"]}')
    (tmp_path / "label-studio" / "project-1.json").write_text(
        '[{"id": 1, "data": {"image": "/data/upload/1/1a2b3c4d-a.jpg"}, "annotations": [{"result":'
        ' [{"type": "choices", "from_name": "x", "value": {"choices": ["cat"]}}]}]}]'
    )
    (tmp_path / "fiftyone" / "labels.json").write_text('{"classes": ["cat"], "labels": {"a": 0}}')
    (tmp_path / "json" / "anything.json").write_text('{"a.jpg": ["cat"]}')
    (tmp_path / "cvat" / "annotations.xml").write_text(
        '<annotations><image id="0" name="a.jpg"><tag label="cat"/></image></annotations>'
    )
    (tmp_path / "labelme" / "a.json").write_text('{"version": "5.0", "flags": {"cat": true}, "shapes": []}')
    (tmp_path / "voc-xml" / "a.xml").write_text("<annotation><object><name>cat</name></object></annotation>")
    (tmp_path / "yolo" / "train" / "labels").mkdir()
    (tmp_path / "yolo" / "train" / "labels" / "a.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    (tmp_path / "yolo" / "data.yaml").write_text("train: ../train/images\nnc: 1\nnames: [cat]\n")
    return {name: tmp_path / name for name in READERS.own_names}


@pytest.mark.parametrize("name", READERS.own_names)
def test_every_format_is_recognised_and_read(sets, name):
    assert recognise(sets[name]) == name
    assert recognise(str(sets[name])) == name
    for settings in (AUTO, DataSettings(format=name)):
        data = open_dataset(sets[name], settings)
        assert data.format == name
        (record,) = data.records
        assert "cat" in data.classes
        assert record.present == (data.class_index("cat"),)
        assert record.image.is_file()
        assert record.id in {"a", "cat/a"}


@pytest.mark.parametrize("name", READERS.own_names)
def test_every_format_is_opened_again_as_it_was(sets, name):
    data = open_dataset(sets[name], AUTO)
    assert (data.opened.path, data.opened.settings.format) == (sets[name], name)
    assert open_dataset(data.opened.path, data.opened.settings, reader=data.opened.reader) == data


@pytest.mark.parametrize("name", READERS.own_names)
def test_every_format_refuses_an_unknown_split(sets, name):
    with pytest.raises(DataError, match="split 'tset'"):
        open_dataset(sets[name], AUTO, split="tset")


@pytest.mark.parametrize("name", READERS.own_names)
def test_every_format_refuses_an_unknown_class(sets, name):
    with pytest.raises(DataError, match=r"unknown class 'cat'\. Did you mean 'cap'\?"):
        open_dataset(sets[name], DataSettings(classes=("dog", "cap")))


@pytest.mark.parametrize("name", READERS.own_names)
def test_no_format_waits_for_pipes_or_follows_loops(sets, name):  # faults 13, 55, 61
    root = sets[name]
    folders = [root, *(path for path in root.rglob("*") if path.is_dir())]
    for folder in folders:
        (folder / "loop").symlink_to(root)
        (folder / "self").symlink_to("self")
        (folder / "out").symlink_to(root.parent)
        if folder != root:
            (folder / "self.jpg").symlink_to("self.jpg")
    data = open_dataset(root, AUTO)
    assert data.format == name
    assert sum(record.present == (data.class_index("cat"),) for record in data.records) >= 1
    for folder in folders:
        os.mkfifo(folder / "zz.jpg")
        for suffix in ("csv", "jsonl", "json", "xml", "txt", "yaml", "parquet", "xlsx", "zip"):
            os.mkfifo(folder / f"zzz.{suffix}")
        (folder / "device.jpg").symlink_to("/dev/zero")
    with suppress(DataError):  # what a pipe of this name may hold cannot be looked at
        check(open_dataset(root, AUTO), settings=AUTO)


def test_a_reader_that_gives_no_image_set_is_named(sets, monkeypatch):
    monkeypatch.setattr(READERS["table"], "read", lambda *_: None)
    with pytest.raises(PluginError, match="The reader 'table': read gave NoneType; expected an ImageSet"):
        open_dataset(sets["table"], AUTO)


def test_files_are_recognised(sets):
    assert recognise(sets["table"] / "anything.csv") == "table"
    assert recognise(sets["coco"] / "annotations" / "instances_train.json") == "coco"


def test_paths_without_a_data_set(tmp_path, write_images):
    with pytest.raises(DataError, match=r"not a data set of a known format; .*VOC folder"):
        recognise(tmp_path)
    write_images(tmp_path, ["photo.jpg"])
    with pytest.raises(DataError, match="is a single image; give the folder"):
        recognise(tmp_path / "photo.jpg")
    with pytest.raises(DataError, match=r"does not exist\. Did you mean 'photo\.jpg'\?"):
        open_dataset(tmp_path / "foto.jpg", AUTO)
    with pytest.raises(DataError, match="does not exist"):
        open_dataset(tmp_path / "no" / "where", AUTO)
    with pytest.raises(DataError, match="cannot be read"):
        open_dataset(tmp_path / ("x" * 300), AUTO)


def test_a_pipe_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(DataError, match="is neither a file nor a folder"):
        open_dataset(tmp_path / "pipe.csv", AUTO)


@pytest.mark.parametrize("format", READERS.own_names)
def test_a_format_that_does_not_fit_is_a_data_error(tmp_path, format):
    (tmp_path / "notes.md").write_text("# Nothing\n")
    with pytest.raises(DataError, match=r"notes\.md"):
        open_dataset(tmp_path / "notes.md", DataSettings(format=format))


def test_readers_import_without_torch():
    code = "import sys, swtformer.datasets; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_settings_may_be_left_out(tmp_path, write_images):
    write_images(tmp_path, ["a.jpg"])
    (tmp_path / "labels.csv").write_text("image,labels\na.jpg,cow\n")
    assert open_dataset(tmp_path / "labels.csv").classes == ("cow",)


@pytest.mark.parametrize(
    "opening", ['{"train": ', '{"a.jpg": ', '[{"image": "a.jpg", "label": ', '{"label": ', "["]
)
@pytest.mark.parametrize("depth", [200, 450, 700, 900])
def test_deep_nesting_is_refused(tmp_path, write_images, opening, depth):
    write_images(tmp_path, ["a.jpg"])
    closing = "".join({"{": "}", "[": "]"}[sign] for sign in reversed(opening) if sign in "{[")
    content = opening * depth + "[1]" + closing * depth
    for text in (
        content,
        f'{{"images": [], "categories": [{content}], "annotations": []}}',
        f'{{"a.jpg": {content}}}',
    ):
        (tmp_path / "labels.json").write_text(text)
        with pytest.raises(DataError):
            open_dataset(tmp_path / "labels.json", AUTO)
