"""Figures of rows, and when they may stand beside published ones."""

from __future__ import annotations

import pytest
import torch

from swtformer.reproduction.measured import confusion_ratio, differences, spread
from swtformer.reproduction.rows import rows_of


def test_spread_is_of_a_sample() -> None:
    """Of 1, 2 and 3: mean 2, standard deviation √(2/2) = 1."""
    assert spread([1.0, 2.0, 3.0]) == (2.0, 1.0)
    assert spread([5.0]) == (5.0, None)


def test_confusion_ratio_by_hand() -> None:
    """Class 1: 4 hits, 1 + 2 false alarms; class 2 is never hit; undecided pixels are no class."""
    counts = torch.tensor([[9, 1, 0, 5], [0, 4, 0, 5], [3, 2, 0, 5]])
    ratio = confusion_ratio(counts)
    assert ratio[0] == pytest.approx(3 / 9)
    assert ratio[1] == pytest.approx(3 / 4)
    assert ratio[2].isnan()


def test_what_makes_a_figure_incomparable_is_named() -> None:
    row = rows_of("table3", ("swtformer_v2",))[0]
    own = row.settings({}, seed=0)
    assert differences(row, own, table="table2", images=1464) == []
    changed = row.settings(
        {
            "model": {"weights": "none", "backbone": "swin_nano"},
            "train": {"epochs": 2},
            "localize": {"scales": [1.0]},
        },
        seed=0,
    )
    found = differences(row, changed, table="table2", images=10)
    assert found == [
        "10 images in place of VOC's 1,464",
        "random weights in place of ImageNet-1k weights of Swin-T",
        "backbone swin_nano in place of swin_tiny_patch4_window7_224",
        "epochs 2 in place of 30",
        "scales 1 in place of 0.5, 1, 1.5, 2",
    ]
    held_out = differences(row, own, table="table1", images=None)
    assert held_out == ["a held-out part of the training images in place of VOC's 1,449"]
