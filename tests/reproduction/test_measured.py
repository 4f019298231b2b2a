"""Figures of rows, and when they may stand beside published ones."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from swtformer.functional.scores import label_areas
from swtformer.reproduction.measured import confusion_ratio, differences, spread
from swtformer.reproduction.rows import Published, Row, rows_of


def test_spread_is_of_a_sample() -> None:
    """Of 1, 2 and 3: mean 2, standard deviation √(2/2) = 1."""
    assert spread([1.0, 2.0, 3.0]) == (2.0, 1.0)
    assert spread([5.0]) == (5.0, None)


def test_confusion_ratio_by_hand() -> None:
    """Class 1: 4 hits, 1 + 2 false alarms; class 2 is never hit; undecided pixels are no class."""
    counts = torch.tensor([[9, 1, 0, 5], [0, 4, 0, 5], [3, 2, 0, 5]])
    ratio = confusion_ratio(label_areas(counts))
    assert ratio[0] == pytest.approx(3 / 9)
    assert ratio[1] == pytest.approx(3 / 4)
    assert ratio[2].isnan()


VALIDATED = {"data": {"validation_split": "val"}}
"""What leaves all training images to the training."""


def published(row: Row, column: str) -> Published:
    found = row.published(column)
    assert found is not None
    return found


def test_what_makes_a_figure_incomparable_is_named() -> None:
    row = rows_of("table3", ("swtformer_v2",))[0]
    own = row.settings(VALIDATED, seed=0)
    figure = published(row, "table2")
    assert differences(row, own, figure, table="table2", images=1464, trained=10582) == []
    changed = row.settings(
        {
            **VALIDATED,
            "model": {"weights": "none", "backbone": "swin_nano"},
            "train": {"epochs": 2},
            "localize": {"scales": [1.0]},
            "evaluate": {"score_classes": ["cat"]},
        },
        seed=0,
    )
    found = differences(row, changed, figure, table="table2", images=10, trained=20)
    assert found == [
        "10 images in place of VOC's 1,464",
        "training on 20 images in place of VOC's 10,582",
        "random weights in place of ImageNet-1k weights of Swin-T",
        "model.backbone swin_nano in place of swin_tiny_patch4_window7_224",
        "train.epochs 2 in place of 30",
        "localize.scales 1 in place of 0.5, 1, 1.5, 2",
        "a mean over 1 classes and the background",
    ]
    held_out = differences(row, own, figure, table="table1", images=None, trained=10582)
    assert held_out == ["a held-out part of the training images in place of VOC's 1,449"]


def test_images_that_are_held_out_of_the_training_count() -> None:
    row = rows_of("table3", ("swtformer_v2",))[0]
    settings = row.settings({"data": {"validation_fraction": 0.1}}, seed=0)
    found = differences(row, settings, published(row, "table2"), table="table2", images=1464, trained=10582)
    assert found == ["10 % of the training images held out"]


@pytest.mark.parametrize(
    ("section", "changed"),
    [
        ("method", {"affinity": "off"}),
        ("localize", {"flip": False}),
        ("localize", {"stride": 8}),
        ("train", {"batch_size": 1}),
        ("model", {"output_stride": 16}),
    ],
)
def test_every_setting_that_shapes_a_figure_counts(section: str, changed: dict[str, Any]) -> None:
    row = rows_of("table2", ("mctformer_v1",))[0]
    settings = row.settings({**VALIDATED, section: changed}, seed=0)
    found = differences(row, settings, published(row, "full"), table="table2", images=1464, trained=10582)
    assert len(found) == 1
    assert found[0].startswith(f"{section}.{next(iter(changed))} ")


def test_the_refiner_counts_for_refined_maps_alone() -> None:
    row = rows_of("table2", ("psa",))[0]
    settings = row.settings({**VALIDATED, "refine": {"method": "par"}}, seed=0)
    by_column = {
        column: differences(row, settings, published(row, column), table="table2", images=1464, trained=10582)
        for column in ("table2", "full")
    }
    assert by_column["table2"] == []
    assert by_column["full"] == ["refine.method par in place of psa"]
