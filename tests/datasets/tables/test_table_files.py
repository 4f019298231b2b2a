"""Which files of a folder are its tables of labels."""

from __future__ import annotations

from pathlib import Path

import pytest

from swtformer.datasets.tables.table_files import find_tables, holds_table
from swtformer.errors import DataError

LABELS = "image,labels\na.jpg,cat\n"


def folder(path: Path, *names: str, text: str = LABELS) -> Path:
    for name in names:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text)
    return path


def found(path: Path) -> dict[str, str]:
    return {split: str(file.relative_to(path)) for split, file in find_tables(path).items()}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["labels.csv", "other.csv"], {"": "labels.csv"}),
        (["pets.csv"], {"": "pets.csv"}),
        (["pets.csv", "sample_submission.csv", "class_dict.csv"], {"": "pets.csv"}),
        (["train.csv", "val.csv"], {"train": "train.csv", "val": "val.csv"}),
        (
            ["train/metadata.csv", "test/metadata.csv"],
            {"test": "test/metadata.csv", "train": "train/metadata.csv"},
        ),
        (["train/_annotations.csv"], {"train": "train/_annotations.csv"}),
        (["annotations/pets.csv"], {"": "annotations/pets.csv"}),
    ],
)
def test_where_tables_are_found(names: list[str], expected: dict[str, str], tmp_path: Path) -> None:
    assert found(folder(tmp_path, *names)) == expected
    assert holds_table(tmp_path)


def test_tables_without_images_give_way(tmp_path: Path) -> None:
    folder(tmp_path, "pets.csv")
    folder(tmp_path, "prices.csv", text="year,price\n2020,3\n")
    assert found(tmp_path) == {"": "pets.csv"}


def test_several_tables_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds several tables: cats\.csv, dogs\.csv"):
        find_tables(folder(tmp_path, "cats.csv", "dogs.csv"))


def test_a_folder_without_tables(tmp_path: Path) -> None:
    folder(tmp_path, "readme.txt", text="nothing here")
    assert find_tables(tmp_path) == {}
    assert not holds_table(tmp_path)
