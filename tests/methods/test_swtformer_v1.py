"""V1 by hand, on activations that are written down; the contract of all methods is in test_contract."""

from __future__ import annotations

import math

import pytest
import torch

from support.models import tiny
from swtformer.methods import Batch, Encoding

ACTIVATIONS = torch.tensor([[[[-1.0, 2.0]], [[4.0, 1.0]], [[8.0, 8.0]]]])
"""Raw output of the CAM head for one image, three classes and two places."""

PRESENT = torch.tensor([[1.0, 1.0, 0.0]])


def encoding(activations: torch.Tensor = ACTIVATIONS, logits: tuple[float, ...] = (0, 0, 0)) -> Encoding:
    return Encoding((), activations, torch.tensor([logits]))


@pytest.mark.parametrize(
    ("settings", "cam"),
    [
        ({}, [[0, 0], [0, 1], [1, 0.25], [0, 0]]),
        ({"norm": "minmax"}, [[0, 0], [0, 1], [1, 0], [0, 0]]),
        ({"background_over": "all"}, [[0, 0], [0, 1], [1, 0.25], [0, 0]]),
    ],
)
def test_cams_by_hand(settings: dict[str, str], cam: list[list[float]]) -> None:
    """The positive part over its maximum (Eq. 1); 1 − the largest of the present classes (Eq. 3)."""
    made = tiny("swtformer_v1", **settings).localize(encoding(), PRESENT)
    torch.testing.assert_close(made.cam[0, :, 0], torch.tensor(cam).float(), atol=1e-4, rtol=0)
    assert made.rcam is made.similarities is made.seeds is None


@pytest.mark.parametrize(("over", "background"), [("present", [1.0, 0.0]), ("all", [0.0, 0.0])])
def test_absent_classes_take_background_only_where_all_classes_compete(
    over: str, background: list[float]
) -> None:
    made = tiny("swtformer_v1", background_over=over).localize(encoding(), torch.tensor([[1.0, 0.0, 0.0]]))
    torch.testing.assert_close(made.cam[0, 0, 0], torch.tensor(background), atol=1e-4, rtol=0)
    assert not made.cam[0, 2:].any()


def test_given_maps_take_the_place_of_its_own() -> None:
    given = torch.tensor([[[[0.5, 0.25]], [[0.0, 1.0]], [[0.75, 0.75]]]])
    made = tiny("swtformer_v1").localize(encoding(), PRESENT, maps=given)
    assert made.cam[0, :, 0].tolist() == [[0.5, 0], [0.5, 0.25], [0, 1], [0, 0]]


def test_given_maps_of_another_grid_are_brought_to_its_own() -> None:
    """Half-pixel centres: from twice the size, each place is the mean of its four."""
    given = torch.zeros(1, 3, 2, 4)
    given[0, 0] = torch.tensor([[1.0, 0.5, 0, 0], [0.25, 0.25, 0, 1.0]])
    made = tiny("swtformer_v1").localize(encoding(), PRESENT, maps=given)
    assert made.cam.shape == (1, 4, 1, 2)
    assert made.cam[0, :2, 0].tolist() == [[0.5, 0.75], [0.5, 0.25]]


def test_half_precision_makes_maps_and_losses_in_single() -> None:
    model = tiny("swtformer_v1")
    half = Encoding((), ACTIVATIONS.half(), torch.zeros(1, 3).half())
    assert model.localize(half, PRESENT).cam.dtype == torch.float32
    batch = Batch(torch.rand(1, 3, 32, 32), PRESENT)
    with torch.autocast("cpu", torch.bfloat16):
        assert model.losses(batch, epoch=0)["cls"].dtype == torch.float32


@pytest.mark.parametrize(
    ("logits", "loss"),
    [
        ((0, 0, 0), math.log(2)),
        # A sigmoid of ln 3 is 3/4: right about the first and the third class, wrong about the second.
        ((math.log(3), -math.log(3), -math.log(3)), (2 * math.log(4 / 3) + math.log(4)) / 3),
    ],
)
def test_the_loss_is_the_mean_binary_cross_entropy(logits: tuple[float, ...], loss: float) -> None:
    model = tiny("swtformer_v1", cls=0.25)
    with torch.no_grad():
        model.head.weight.zero_()
        model.head.bias.copy_(torch.tensor(logits))
    losses = model.losses(Batch(torch.rand(1, 3, 32, 32), PRESENT), epoch=0)
    assert list(losses) == ["cls"]
    assert losses["cls"].item() == pytest.approx(loss), "losses are unweighted"
    assert model.loss_weights(0) == {"cls": 0.25}
