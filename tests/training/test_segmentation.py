"""Losses and scores of the segmentation module by hand, on a network whose logits are its biases."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor
from torch.utils.data import DataLoader

from support.models import CLASSES, tiny
from swtformer.errors import NonFiniteError
from swtformer.segmentation import SegmentationNetwork, create_network
from swtformer.settings import SegmentSettings
from swtformer.training.segmentation import SegmentationModule

LN2 = math.log(2)
SIZE = (32, 32)


def network(**settings: Any) -> SegmentationNetwork:
    """At every pixel, labels have the probabilities 1/2, 1/4, 1/8 and 1/8; each class is there by 1/2."""
    torch.manual_seed(0)
    options = SegmentSettings(decoder="segformer", **settings)
    made = create_network(options, CLASSES, start=tiny("swtformer_v1"))
    assert made.head.bias is not None
    with torch.no_grad():
        made.head.weight.zero_()
        made.head.bias.copy_(torch.tensor([4.0, 2.0, 1.0, 1.0]).log())
        if made.presence is not None:
            for parameter in made.presence.parameters():
                parameter.zero_()
    return made


def module(class_weights: Tensor | None = None, **settings: Any) -> SegmentationModule:
    options = SegmentSettings(decoder="segformer", **settings)
    made = SegmentationModule(network(**settings), options, seed=0, class_weights=class_weights)
    return made.eval()


def presence_bias(made: SegmentationModule) -> Tensor:
    """The logits of the image-level head, by class."""
    assert made.model.presence is not None
    bias = made.model.presence.scores.bias
    assert bias is not None
    return bias


def batch(*halves: tuple[int, int]) -> dict[str, Tensor]:
    """Images with a label on each half, the upper one first; all are said to show the class of label 3."""
    masks = torch.tensor(halves, dtype=torch.uint8).repeat_interleave(SIZE[0] // 2, 1)
    return {
        "image": torch.rand(len(halves), 3, *SIZE),
        "mask": masks[:, :, None].expand(-1, -1, SIZE[1]).contiguous(),
        "present": torch.tensor([[0.0, 0.0, 1.0]] * len(halves)),
        "confidence": torch.linspace(0.25, 1.0, len(halves)) if len(halves) > 1 else torch.ones(1),
    }


def losses(made: SegmentationModule, *halves: tuple[int, int]) -> dict[str, float]:
    total = made.training_step(batch(*halves), 0)
    assert total.requires_grad
    assert total.item() == made.latest["loss"].item()
    return {name: value.item() for name, value in made.latest.items()}


def test_the_cross_entropy_alone() -> None:
    """−log 1/2 on one half and −log 1/4 on the other; unknown pixels count for nothing."""
    alone = module(presence=0)
    assert losses(alone, (0, 1)) == pytest.approx({"loss": 1.5 * LN2, "cross_entropy": 1.5 * LN2})
    assert losses(alone, (255, 1)) == pytest.approx({"loss": 2 * LN2, "cross_entropy": 2 * LN2})


def test_labels_have_weights_that_are_not_saved() -> None:
    made = module(torch.tensor([1.0, 3.0, 0.0, 0.0]), presence=0)
    assert losses(made, (0, 1))["cross_entropy"] == pytest.approx((1 + 3 * 2) / 4 * LN2)
    assert made.state_dict().keys() == module(presence=0).state_dict().keys()


@pytest.mark.parametrize(("weighting", "expected"), [("none", 1.5), ("confidence", (0.25 * 1 + 2) / 1.25)])
def test_images_weigh_by_their_confidence_where_they_should(weighting: str, expected: float) -> None:
    made = module(presence=0, weighting=weighting)
    assert losses(made, (0, 0), (1, 1))["cross_entropy"] == pytest.approx(expected * LN2)


def test_dice_and_presence_have_their_weights() -> None:
    """Dice of label 0 is 2 · 1/4 / (1/2 + 1/2), of label 1 it is 2 · 1/8 / (1/4 + 1/2).

    The crop shows label 1 and not 2, −log 1/2 each; 3 may be in the rest of the image and has no loss,
    however sure the head is of it.
    """
    expected = {"cross_entropy": 1.5 * LN2, "dice": ((1 - 1 / 2) + (1 - 1 / 3)) / 2, "presence": LN2}
    made = module(dice=2.0, presence=0.5)
    with torch.no_grad():
        presence_bias(made)[2] = 50
    found = losses(made, (0, 1))
    assert found.pop("loss") == pytest.approx(1.5 * LN2 + 2 * expected["dice"] + 0.5 * LN2)
    assert found == pytest.approx(expected)


def test_the_cross_entropy_ignores_the_presence() -> None:
    made = module(presence=1.0)
    with torch.no_grad():
        presence_bias(made).fill_(-50)
    assert losses(made, (0, 1))["cross_entropy"] == pytest.approx(1.5 * LN2)


def test_a_loss_that_is_not_finite_names_the_section() -> None:
    made = module(presence=0)
    spoiled = batch((0, 1)) | {"image": torch.full((1, 3, *SIZE), float("nan"))}
    with pytest.raises(NonFiniteError, match=r"cross_entropy nan.*segment\.learning_rate"):
        made.training_step(spoiled, 0)


def validated(made: SegmentationModule, *batches: dict[str, Tensor]) -> float:
    trainer = Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    loader: DataLoader[Any] = DataLoader(list(batches), batch_size=None)  # type: ignore[arg-type]
    trainer.validate(made, loader, verbose=False)
    assert trainer.callback_metrics[made.monitored].item() == pytest.approx(made.validation[made.monitored])
    return made.validation[made.monitored]


@pytest.mark.filterwarnings("ignore:::lightning")
def test_the_score_counts_pixels_over_all_batches_and_starts_over() -> None:
    """All is predicted background, and two of three known halves are: IoUs of 2/3 and 0."""
    made = module()
    assert validated(made, batch((0, 0)), batch((255, 1))) == pytest.approx((2 / 3 + 0) / 2)
    assert validated(made, batch((0, 1))) == pytest.approx((1 / 2 + 0) / 2)
    assert validated(made, batch((0, 0))) == 1


@pytest.mark.filterwarnings("ignore:::lightning")
def test_the_score_is_that_of_gated_pixels() -> None:
    """The pixels alone would all be label 1; it is held back, as the class is not there."""
    made = module()
    assert made.model.head.bias is not None
    with torch.no_grad():
        made.model.head.bias[1] = 20
        presence_bias(made)[0] = -50
    assert validated(made, batch((0, 0))) == 1


@pytest.mark.filterwarnings("ignore:::lightning")
def test_where_nothing_is_known_the_score_is_0() -> None:
    assert validated(module(), batch((255, 255))) == 0


@pytest.mark.filterwarnings("ignore:::lightning")
def test_every_loss_and_score_is_announced() -> None:
    made = module(dice=1.0)
    validated(made, batch((0, 1)))
    losses(made, (0, 1))
    assert tuple(made.latest) == ("loss", *made.loss_names)
    assert tuple(made.validation) == made.validation_names
    assert made.monitored in made.validation_names
