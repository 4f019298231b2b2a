"""Images with a file each: which belongs to which, and what images without one are."""

from __future__ import annotations

import pytest

from swtformer.datasets.annotations.sidecars import Annotation, Kind, pair, read_sidecars
from swtformer.datasets.problems import Problems
from swtformer.errors import DataError
from swtformer.settings import DataSettings

AUTO = DataSettings()


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


def paired(folder, **settings):
    problems = Problems()
    found = pair(folder, DataSettings(**settings), ".txt", problems)
    problems.raise_fatal("set")
    return found, [problem.kind for problem in problems.warnings]


@pytest.mark.parametrize(
    ("image", "file"),
    [
        ("a.jpg", "a.txt"),
        ("a.jpg", "a.jpg.txt"),
        ("a.b.jpg", "a.b.txt"),
        ("images/train/a.jpg", "labels/train/a.txt"),
        ("train/images/a.jpg", "train/labels/a.txt"),
        ("JPEGImages/a.jpg", "Annotations/a.TXT"),
    ],
)
def test_files_are_found_where_tools_put_them(tmp_path, image, file):
    touch(tmp_path, image, file)
    found, said = paired(tmp_path)
    assert (found.files, found.images, found.left, said) == ({image: file}, (image,), (), [])


def test_names_alone_count_where_they_are_unique(tmp_path):
    touch(tmp_path, "x/a.jpg", "y/a.txt", "x/b.jpg", "z/b.jpg", "y/b.txt")
    found, said = paired(tmp_path)
    assert (found.files, found.left) == ({"x/a.jpg": "y/a.txt"}, ("y/b.txt",))
    assert said == ["paired_by_name"]


@pytest.mark.parametrize("names", [("a.jpg", "a.png", "a.txt"), ("images/a.jpg", "a.txt", "labels/a.txt")])
def test_one_name_for_two_is_refused(tmp_path, names):
    touch(tmp_path, *names)
    with pytest.raises(DataError, match="have one name; keep one of each"):
        paired(tmp_path)


def test_masks_are_no_images(tmp_path):
    touch(tmp_path, "images/a.jpg", "masks/a.png", "drawn/a.png", "labels/a.txt")
    found, said = paired(tmp_path, masks=tmp_path / "drawn")
    assert (found.images, said) == (("images/a.jpg",), ["masks_left_out"])


def test_folders_of_splits(tmp_path):
    touch(tmp_path, "images/train/a.jpg", "valid/images/b.jpg")
    assert paired(tmp_path)[0].splits() == {"train": {"images/train/a.jpg"}, "valid": {"valid/images/b.jpg"}}
    touch(tmp_path, "c.jpg")
    assert paired(tmp_path)[0].splits() == {}, "an image lies in no split"


def read(folder, without_file="unknown", *, split=None, order=(), is_default=False, of_image=()):
    """A set whose files hold the names of classes; one that begins with # is of another kind."""

    def content(file, problems):
        words = file.read_text().split()
        return None if words[:1] == ["#"] else Annotation(tuple(words), of_image=frozenset(of_image))

    problems = Problems()
    pairs = pair(folder, AUTO, ".txt", problems)
    kind = Kind("voc-xml", "words", content, without_file, order, is_default)
    data = read_sidecars(folder, AUTO, split, kind, pairs=pairs, problems=problems)
    labels = {
        record.id: None if record.present is None else [data.classes[k] for k in record.present]
        for record in data.records
    }
    return labels, data


@pytest.fixture
def folder(tmp_path):
    """The image a of two classes, b of none, c without a file."""
    touch(tmp_path, "a.jpg", "b.jpg", "c.jpg")
    (tmp_path / "a.txt").write_text("dog cat")
    (tmp_path / "b.txt").write_text("")
    return tmp_path


@pytest.mark.parametrize(
    ("without_file", "labels"), [("unknown", {"c": None}), ("background", {"c": []}), ("leave_out", {})]
)
def test_images_without_a_file(folder, without_file, labels):
    found, data = read(folder, without_file)
    assert found == {"a": ["cat", "dog"], "b": [], **labels}
    assert "1 of 3 images have no file of words, c.jpg first" in data.problems[0].message


def test_background_is_not_the_default_of_most_images(folder):
    (folder / "b.txt").unlink()
    with pytest.raises(DataError, match=r"2 of 3 images have no file of words.*set `reader.without_file`"):
        read(folder, "background", is_default=True)
    assert read(folder, "background")[0] == {"a": ["cat", "dog"], "b": [], "c": []}


def test_files_of_another_kind_are_none(folder):
    (folder / "b.txt").write_text("# notes")
    assert read(folder)[0] == {"a": ["cat", "dog"], "b": None, "c": None}
    (folder / "a.txt").write_text("# notes")
    with pytest.raises(DataError, match="no image has a file of words; expected one of the same name"):
        read(folder)


def test_the_order_of_the_format_and_classes_of_all_splits(tmp_path):
    touch(tmp_path, "train/a.jpg", "val/b.jpg")
    (tmp_path / "train" / "a.txt").write_text("dog")
    (tmp_path / "val" / "b.txt").write_text("cat")
    assert read(tmp_path)[1].classes == ("cat", "dog")
    labels, data = read(tmp_path, split="val", order=("emu", "dog", "background", "cat"))
    assert (labels, data.classes, data.split) == ({"b": ["cat"]}, ("emu", "dog", "cat"), "val")
    assert len(read(tmp_path, split="all")[0]) == 2


def test_what_is_said_of_the_image_may_mean_nothing(folder):
    (folder / "a.txt").write_text("normal")
    assert read(folder)[0]["a"] == ["normal"], "an object may be called so"
    assert read(folder, of_image=["normal"])[0]["a"] == []
