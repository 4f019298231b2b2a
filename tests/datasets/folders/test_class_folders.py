"""Doubts about whether sub-folders are named after classes."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from swtformer.datasets.folders.class_folders import doubts, image_folders


def files(*folders: str) -> list[str]:
    return [f"{folder}/{folder.replace('/', '_')}_{index}.jpg" for folder in folders for index in range(2)]


def test_top_folders() -> None:
    assert image_folders(["b/1.jpg", "a/x/2.jpg", "b/3.jpg", "4.jpg"]) == ["a", "b"]


@pytest.mark.parametrize(
    "names",
    [
        files("cat", "dog"),
        files("cat", "dog", "background"),
        files("cat/one", "cat/two", "dog/one"),
        files("cat"),
        ["loose.jpg"],
    ],
)
def test_folders_of_classes_raise_none(names: Sequence[str]) -> None:
    assert list(doubts(names, ())) == []


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (files("images"), "all images lie in images"),
        (files("images/cat", "images/dog"), "give the path of images"),
        (files("pets/cat", "pets/dog"), "the only folder is pets, with the folders cat, dog in it"),
        (files("train/cat", "val/cat", "other/cat"), "look like splits, but not other beside them"),
        (files("cat/train", "cat/val"), "cat holds the splits train, val"),
        (files("raw/cat", "raw/dog", "blurred/cat", "blurred/dog"), "all hold the folders cat, dog"),
        (files("cat", "dog", "copy/cat", "copy/dog"), "copy holds the folders cat, dog, which lie beside it"),
        (
            [*files("cat"), "masks/cat_0.png", "masks/cat_1.png"],
            "files named like the other images, as masks",
        ),
    ],
)
def test_folders_of_something_else(names: Sequence[str], message: str) -> None:
    assert any(message in doubt for doubt in doubts(names, ())), list(doubts(names, ()))


def test_declared_names_are_beyond_doubt() -> None:
    assert list(doubts(files("images"), ("images",))) == []
