"""SC-CAM: rounds, clusters and losses by hand; the contract of all methods is in test_contract."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from support.models import tiny
from swtformer.methods import Batch, TrainingImages

PRESENT = torch.tensor([[1, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [1, 0, 0], [1, 1, 0]])


class Colours(TrainingImages):
    """Images of one colour each: red at an even position, blue at an odd one.

    Args:
        unreadable: position of an image that gives way to the next one.
    """

    def __init__(self, unreadable: int | None = None, size: tuple[int, int] = (32, 64)) -> None:
        self.unreadable = unreadable
        self.size = size

    @property
    def present(self) -> torch.Tensor:
        return PRESENT

    def __len__(self) -> int:
        return len(PRESENT)

    def __getitem__(self, index: int) -> Batch:
        place = range(len(self))[index]
        if place == self.unreadable:
            place += 1
        image = torch.zeros(1, 3, *self.size, dtype=torch.uint8)
        image[:, 0 if place % 2 == 0 else 2] = 250 - place  # shades differ a little
        return Batch(image, PRESENT[[place]], index=torch.tensor([place]))


def sc_cam(**options: Any) -> Any:
    return tiny("sc_cam", **{"long_side_px": 64, **options})


def clustered(model: Any, images: TrainingImages) -> torch.Tensor:
    torch.manual_seed(0)
    with torch.no_grad():
        made: torch.Tensor = model.clustered(images)
    return made


@pytest.mark.parametrize(
    ("epochs", "options", "starts"),
    [
        (60, {}, [15, 30, 45]),
        (30, {}, [7, 15, 22]),
        (30, {"round_zero": 0.0}, [0, 10, 20]),
        (30, {"round_zero": 0.1, "rounds": 1}, [3]),
        (61, {"round_zero": 0.5, "rounds": 2}, [30, 45]),
        (3, {}, [0, 1, 2]),
        (2, {}, [0, 1, 1]),
        (1, {}, [0, 0, 0]),
    ],
)
def test_rounds_start_at_equal_distances(epochs: int, options: dict[str, Any], starts: list[int]) -> None:
    assert list(sc_cam(**options).round_starts(epochs)) == starts


def test_parts_that_floats_miss_by_a_hair_are_whole_epochs() -> None:
    """(0.1 + 0.9 · 2/3) · 90 is a little below 63 in floats; so are others."""
    for epochs in range(10, 200, 10):
        assert list(sc_cam(round_zero=0.1).round_starts(epochs)) == [
            epochs // 10,
            epochs * 4 // 10,
            epochs * 7 // 10,
        ]


def test_images_are_clustered_when_a_round_starts() -> None:
    model, images = sc_cam(round_zero=0.5, rounds=2, sub_categories=2), Colours()
    torch.manual_seed(0)
    seen = []
    for epoch in range(4):
        with torch.no_grad():
            model.before_epoch(epoch, images, epochs=4)
        seen.append((model.training_state.get("sub_categories"), model.sub_head.weight.clone()))
    assert seen[0][0] is seen[1][0] is None
    assert seen[2][0] is not None
    assert seen[3][0] is not seen[2][0]
    assert torch.equal(seen[0][1], seen[1][1])
    assert not torch.equal(seen[1][1], seen[2][1]), "the sub-category head starts again"
    assert not torch.equal(seen[2][1], seen[3][1])


def test_the_bias_of_the_sub_category_head_starts_again() -> None:
    model = sc_cam(bias=True)
    with torch.no_grad():
        model.sub_head.bias.fill_(1)
        model.before_epoch(0, Colours(), epochs=1)
    assert not model.sub_head.bias.any()
    assert sc_cam().sub_head.bias is None


def test_sub_categories_are_clusters_of_the_pooled_features() -> None:
    """Red images are one cluster of the first class, blue ones the other."""
    made = clustered(sc_cam(sub_categories=2), Colours())
    assert made.shape == PRESENT.shape
    first = made[:, 0]
    assert first[0] == first[2] == first[4]
    assert first[1] == first[5] != first[0]
    second = made[:, 1]
    assert {int(second[2]), int(second[3])} == {0, 1}
    assert second[3] == second[5]
    assert not made[PRESENT == 0].any()


def test_a_class_may_have_fewer_images_than_clusters() -> None:
    made = clustered(sc_cam(sub_categories=10), Colours())
    assert sorted(made[PRESENT[:, 1] == 1, 1].tolist()) == [0, 1, 2]
    assert sorted(made[PRESENT[:, 0] == 1, 0].tolist()) == [0, 1, 2, 3, 4]


def test_images_that_cannot_be_read_are_left_out() -> None:
    """Position 2 is read as 3, which the second class alone shows, so the first has four images left."""
    made = clustered(sc_cam(sub_categories=10), Colours(unreadable=2))
    assert sorted(made[[0, 1, 4, 5], 0].tolist()) == [0, 1, 2, 3]
    assert not made[2].any()


def test_pooled_features_are_the_mean_over_the_whole_image() -> None:
    model = sc_cam()
    image = Colours(size=(64, 128))[0].images
    half = torch.nn.functional.interpolate(image.float() / 255, (32, 64), mode="bilinear", antialias=True)
    with torch.no_grad():
        last = model.encode(half).pyramid[-1]
        torch.testing.assert_close(model.pooled(image), last.mean((2, 3)))
        torch.testing.assert_close(model.pooled(image.float() / 255), last.mean((2, 3)))
        assert model.pooled(torch.zeros(1, 3, 2, 500, dtype=torch.uint8)).isfinite().all()


def loss_by_hand(logits: np.ndarray, labels: np.ndarray) -> float:
    total = 0.0
    for row, marks in zip(logits, labels, strict=True):
        for logit, mark in zip(row, marks, strict=True):
            probability = 1 / (1 + np.exp(-logit))
            total -= np.log(probability if mark else 1 - probability)
    return total / labels.size


def test_losses_by_hand() -> None:
    """Crops know their images by the index; an image has one sub-category in each class that it shows."""
    model = sc_cam(sub_categories=2)
    model.training_state = {"sub_categories": torch.tensor([[1, 0, 0], [0, 1, 0]], dtype=torch.int16)}
    batch = Batch(
        torch.rand(2, 3, 32, 64), torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]), index=torch.tensor([1, 0])
    )
    labels = np.array([[1, 0, 0, 1, 0, 0], [0, 0, 0, 0, 1, 0]])
    assert model.sub_labels(batch).tolist() == labels.tolist()
    with torch.no_grad():
        losses = model.losses(batch, epoch=0.0)
        encoding = model.encode(batch.images)
    pooled = encoding.pyramid[-1].mean((2, 3)).numpy()
    sub_logits = pooled @ model.sub_head.weight.detach().numpy().T
    assert losses["cls"].item() == pytest.approx(loss_by_hand(encoding.logits.numpy(), batch.present.numpy()))
    assert losses["sub_cls"].item() == pytest.approx(loss_by_hand(sub_logits, labels))
    assert model.loss_weights(0.0) == {"cls": 1.0, "sub_cls": 5.0}


def test_round_zero_trains_the_class_head_alone() -> None:
    model = sc_cam()
    batch = Batch(torch.rand(1, 3, 32, 64), torch.ones(1, 3), index=torch.tensor([0]))
    assert set(model.losses(batch, epoch=0.0)) == {"cls"}
    assert model.has_idle_parameters()


def test_both_heads_see_the_same_channels_dropped() -> None:
    """With one class and one sub-category that have equal weights, both logits are equal."""
    model = sc_cam(sub_categories=1, dropout=0.5).train()
    model.training_state = {"sub_categories": torch.zeros(1, 3, dtype=torch.int16)}
    with torch.no_grad():
        model.sub_head.weight.copy_(model.head.weight[:, :, 0, 0])
    batch = Batch(torch.rand(1, 3, 32, 64), torch.tensor([[1.0, 0.0, 1.0]]), index=torch.tensor([0]))
    drawn = [model.losses(batch, epoch=0.0) for _ in range(2)]
    torch.testing.assert_close(drawn[0]["cls"], drawn[0]["sub_cls"])
    assert drawn[0]["cls"] != drawn[1]["cls"], "channels are dropped in training"
    model.eval()
    assert model.losses(batch, epoch=0.0)["cls"] == model.losses(batch, epoch=0.0)["cls"]
