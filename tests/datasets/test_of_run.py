"""A run's data: noted, opened again as it was, and compared with what it was."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.chain_data import draw_photos
from swtformer.datasets import ImageSet, Record, open_dataset
from swtformer.datasets.of_run import (
    changes_since_training,
    groups_also_trained_on,
    notes_of,
    open_data_of,
    write_labels,
)
from swtformer.errors import SwtformerError
from swtformer.settings import DataSettings, Settings
from swtformer.store.known_data import data_of
from swtformer.store.notes import DataNotes, training_notes, update_training_notes
from swtformer.store.run import Run


def noted(folder: Path, data: ImageSet) -> Run:
    """A run that was trained on a data set."""
    run = Run(folder)
    run.write_settings(Settings())
    update_training_notes(run, **notes_of(data))
    write_labels(run, data)
    return run


def write_coco(file: Path, images: dict[str, list[str]]) -> Path:
    names = sorted({name for labels in images.values() for name in labels})
    content = {
        "images": [{"id": index, "file_name": name} for index, name in enumerate(images)],
        "categories": [{"id": index + 1, "name": name} for index, name in enumerate(names)],
        "annotations": [
            {"image_id": index, "category_id": names.index(name) + 1}
            for index, labels in enumerate(images.values())
            for name in labels
        ],
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content))
    return file


def test_the_data_of_a_training_and_of_another_result(tmp_path: Path) -> None:
    own, other = draw_photos(tmp_path / "own", count=4), draw_photos(tmp_path / "other", count=6)
    run = Run(tmp_path / "run")
    run.write_settings(Settings(data=DataSettings(classes=("dog", "cow", "cat"))))
    with pytest.raises(SwtformerError, match="does not know its data set"):
        open_data_of(run, training_notes(run))
    update_training_notes(run, data=own.resolve())
    opened = open_data_of(run, training_notes(run))
    assert (len(opened), opened.classes) == (4, ("dog", "cow", "cat"))
    assert len(open_data_of(run, DataNotes(data=other.resolve()))) == 6


@pytest.mark.parametrize("name", ["own.json", "instances_val.json", "annotations/my labels.json"])
def test_a_coco_file_named_by_path_is_that_file_whatever_lies_beside_it(
    tmp_path: Path, write_images, name: str
) -> None:
    write_images(tmp_path / "images", ["a.jpg", "b.jpg"])
    write_coco(tmp_path / "instances_train.json", {"a.jpg": ["cow"], "b.jpg": ["pig"]})
    write_coco(tmp_path / "annotations" / "instances_train.json", {"b.jpg": ["pig"]})
    data = open_dataset(write_coco(tmp_path / name, {"a.jpg": ["cat"]}))
    again = open_data_of(noted(tmp_path / "run", data), training_notes(Run(tmp_path / "run")))
    assert (again.classes, [record.id for record in again.records]) == (("cat",), ["a"])
    assert again == data


def test_split_format_folders_and_options_are_opened_as_they_were(tmp_path: Path, write_images) -> None:
    for split in ("train", "val"):
        write_images(tmp_path / "data" / split / "cat", [f"{split}.jpg"])
    write_images(tmp_path / "data" / "train" / "dog", ["dog.jpg"])
    whole = open_dataset(tmp_path / "data", split="all")
    run = noted(tmp_path / "run", whole)
    assert len(open_data_of(run, training_notes(run))) == 3
    (tmp_path / "data" / "labels.csv").write_text("image,labels\ntrain/cat/train.jpg,horse\n")
    assert open_data_of(run, training_notes(run)) == whole


def test_folders_of_another_data_set_are_those_that_it_was_opened_with(tmp_path: Path, monkeypatch) -> None:
    own = open_dataset(draw_photos(tmp_path / "own", count=3))
    run = noted(tmp_path / "run", own)
    table = draw_photos(tmp_path / "far" / "other", count=4)
    (tmp_path / "far" / "other" / "images").rename(tmp_path / "far" / "images")
    monkeypatch.chdir(tmp_path / "far")
    other = open_dataset(table, DataSettings(images=Path(), masks=Path("other/masks")))
    monkeypatch.chdir(tmp_path)
    again = open_data_of(run, DataNotes(**notes_of(other)))
    assert [record.image for record in again.records] == [
        tmp_path / "far" / "images" / f"{index}.png" for index in range(4)
    ]
    assert all(record.mask for record in again.records)


def test_moved_data_is_asked_for_and_opened_as_it_was(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "disk" / "new"
    table = draw_photos(old, count=4)
    data = open_dataset(table, DataSettings(masks=old / "masks", classes=("cow", "cat", "dog")))
    run = noted(tmp_path / "run", data)
    new.parent.mkdir()
    old.rename(new)
    with pytest.raises(SwtformerError, match="name its new place after the run"):
        data_of(run, None, training_notes(run))
    path, settings = data_of(run, new / "labels.csv", training_notes(run))
    moved = open_dataset(path, settings.data)
    assert moved.classes == ("cow", "cat", "dog")
    assert [record.mask for record in moved.records] == [
        new / "masks" / "images" / f"{index}.png" for index in range(4)
    ]
    assert changes_since_training(run, moved) == []


def test_changes_are_told_by_name_and_number(tmp_path: Path, write_images) -> None:
    names = [f"{index}.jpg" for index in range(9)]
    write_images(tmp_path, names)
    table = tmp_path / "labels.csv"

    def opened(labels: dict[str, str]) -> ImageSet:
        table.write_text("image,labels\n" + "".join(f"{name},{label}\n" for name, label in labels.items()))
        return open_dataset(table, DataSettings(classes=("cat", "dog")))

    before = opened({"0.jpg": "cat", "1.jpg": "dog", "2.jpg": "", "3.jpg": "cat"})
    run = noted(tmp_path / "run", before)
    assert changes_since_training(run, before) == []
    now = opened({"0.jpg": "cat;dog", "2.jpg": "dog", **dict.fromkeys(names[3:], "cat")})
    assert changes_since_training(run, now) == [
        "5 images were added (4, 5, 6, 7, 8)",
        "1 image was removed (1)",
        "2 images were labelled differently (0: cat → cat; dog, 2: no class → dog)",
    ]
    assert changes_since_training(Run(tmp_path / "unknown"), now) == []


def of_groups(**groups: str | None) -> ImageSet:
    records = tuple(Record(id, Path(f"{id}.jpg"), (0,), group=group) for id, group in groups.items())
    return ImageSet("toy", "table", Path("toy"), ("cat",), records)


def test_groups_of_other_images_that_were_trained_on(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    trained = of_groups(a="p1", b="p2", c=None, d="p3")
    assert groups_also_trained_on(run, trained) == [], "nothing is known of the run"
    write_labels(run, trained)
    assert groups_also_trained_on(run, trained) == []
    assert groups_also_trained_on(run, of_groups(a="p1", x="p2", y="p4", z=None, w="p3")) == ["p2", "p3"]
    assert groups_also_trained_on(run, of_groups(x=None)) == []
    assert changes_since_training(run, trained) == []


@pytest.mark.parametrize("content", [b'["a", ["cat"]]\n', b"5\n", b"[\n", b"\xff\n"])
def test_a_damaged_list_of_labels_is_named(content: bytes, tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.labels_file.write_bytes(content)
    with pytest.raises(SwtformerError, match=r"labels\.jsonl: .*Remove it"):
        changes_since_training(run, of_groups(a="x"))
