from __future__ import annotations

from pathlib import Path

import pytest

from swtformer.datasets.splits import choose_split
from swtformer.errors import DataError

ROOT = Path("pets")


@pytest.mark.parametrize(
    ("asked", "known", "default", "chosen"),
    [
        ("val", ["train", "val"], ["train"], "val"),
        (None, ["val", "train"], ["train"], "train"),
        (None, ["train", "trainaug"], ["trainaug", "train"], "trainaug"),
        (None, ["train"], ["trainaug", "train"], "train"),
        (None, ["one", "two"], ["train"], None),
        (None, [], ["train"], None),
        (None, ["train"], [], None),
        ("all", ["all", "train"], ["train"], "all"),
        ("Train", ["train"], [], "train"),
        ("val", ["train", "valid"], [], "valid"),
        ("validation", ["val", "test"], [], "val"),
        (None, ["Training", "val"], ["train"], "Training"),
    ],
)
def test_the_asked_one_else_the_first_default_that_exists(asked, known, default, chosen):
    assert choose_split(ROOT, asked, known, default=default) == chosen


@pytest.mark.parametrize(
    ("asked", "known", "message"),
    [
        ("val", [], r"^pets: has no splits, so .* 'val'"),
        (
            "tset",
            ["val", "test", "val"],
            r"^pets: has no split 'tset'\. Did you mean 'test'\? There are: test, val\.$",
        ),
        ("xyz", ["val", "test"], r"^pets: has no split 'xyz'\. There are: test, val\.$"),
        ("validation", ["val", "valid"], r"has no split 'validation'\. Did you mean 'valid"),
        ("", ["train"], r"has no split ''\. There are: train\.$"),
    ],
)
def test_a_split_that_does_not_exist(asked, known, message):
    with pytest.raises(DataError, match=message):
        choose_split(ROOT, asked, iter(known), default=["train"])
