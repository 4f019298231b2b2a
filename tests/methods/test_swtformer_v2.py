"""V2: what reaches what, and that a V2 network holds a V1 network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from support.models import tiny
from swtformer.functional.seeds import prototype_refinement, refined_maps
from swtformer.methods import Batch


def _gradient_of(
    loss: str, images: torch.Tensor, present: torch.Tensor, **settings: object
) -> dict[str, float]:
    """Largest gradient that one loss sends to each part of the network."""
    model = tiny(**settings).train()
    model.losses(Batch(images, present), epoch=1.0)[loss].backward()
    parts: dict[str, float] = {"backbone": 0.0, "head": 0.0, "fusion": 0.0}
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            part = name.split(".")[0]
            parts[part] = max(parts[part], float(parameter.grad.abs().max()))
    return parts


def test_classification_does_not_touch_the_fusion(images: torch.Tensor, present: torch.Tensor) -> None:
    reached = _gradient_of("cls", images, present)
    assert reached["backbone"] > 0
    assert reached["head"] > 0
    assert reached["fusion"] == 0


@pytest.mark.parametrize("loss", ["gsc", "ccl"])
@pytest.mark.parametrize("reading", ["literal", "per_class", "matrix"])
def test_gsc_and_ccl_reach_all_parts(
    loss: str, reading: str, images: torch.Tensor, present: torch.Tensor
) -> None:
    reached = _gradient_of(loss, images, present, ccl_reading=reading, detach="none")
    assert min(reached.values()) > 0


@pytest.mark.parametrize("loss", ["gsc", "ccl"])
def test_detaching_the_cam_trains_only_the_fusion(
    loss: str, images: torch.Tensor, present: torch.Tensor
) -> None:
    """The fusion's features are detached from the backbone and the seeds carry no gradient."""
    reached = _gradient_of(loss, images, present, detach="cam")
    assert reached["fusion"] > 0
    assert reached["backbone"] == reached["head"] == 0


@pytest.mark.parametrize("loss", ["gsc", "ccl"])
def test_detaching_the_rcam_trains_all_but_the_fusion(
    loss: str, images: torch.Tensor, present: torch.Tensor
) -> None:
    reached = _gradient_of(loss, images, present, detach="rcam")
    assert reached["fusion"] == 0
    assert min(reached["backbone"], reached["head"]) > 0


def test_losses_of_weight_zero_are_left_out(images: torch.Tensor, present: torch.Tensor) -> None:
    batch = Batch(images, present)
    assert set(tiny(gsc=0, ccl=0).losses(batch, epoch=1.0)) == {"cls"}
    assert set(tiny(ccl_reading="off").losses(batch, epoch=1.0)) == {"cls", "gsc"}
    assert set(tiny(gsc=0).losses(batch, epoch=1.0)) == {"cls", "ccl"}


def test_consistency_and_contrast_rise_over_the_first_epochs() -> None:
    model = tiny(gsc=2, ccl=3, ramp_epochs=4)
    assert model.loss_weights(1.0) == {"cls": 1, "gsc": 0.5, "ccl": 0.75}
    assert model.loss_weights(9.0) == {"cls": 1, "gsc": 2, "ccl": 3}
    assert tiny(gsc=2).loss_weights(0.0)["gsc"] == 2


def test_padded_pixels_do_not_count(images: torch.Tensor, present: torch.Tensor) -> None:
    """With a mask, the losses equal those of the maps cut to the valid part."""
    model = tiny(gsc_over="all")
    encoding = model.encode(images)
    valid = torch.zeros(2, 1, 64, 96)
    valid[..., :48] = 1
    made = model.localize(encoding, present)
    assert made.rcam is not None
    half = made.cam.shape[-1] // 2
    expected = (made.cam[..., :half] - made.rcam[..., :half]).abs().mean()
    losses = model.losses(Batch(images, present, valid), epoch=1.0)
    torch.testing.assert_close(losses["gsc"], expected)


def test_cam_of_v2_is_the_cam_of_v1(images: torch.Tensor, present: torch.Tensor) -> None:
    second, first = tiny("swtformer_v2"), tiny("swtformer_v1")
    missing, unexpected = first.load_state_dict(second.state_dict(), strict=False)
    assert missing == []
    assert all(name.startswith("fusion.") for name in unexpected)
    with torch.no_grad():
        logits_two, made_two = second(images, present)
        logits_one, made_one = first(images, present)
    torch.testing.assert_close(logits_one, logits_two)
    enlarged = F.interpolate(made_one.cam, made_two.cam.shape[-2:], mode="bilinear", align_corners=False)
    torch.testing.assert_close(enlarged, made_two.cam)


def test_refined_maps_are_those_of_the_formulas(images: torch.Tensor, present: torch.Tensor) -> None:
    model = tiny()
    with torch.no_grad():
        encoding = model.encode(images)
        made = model.localize(encoding, present)
        raw = encoding.activations.clamp_min(0)
        maps = raw / (raw.amax((-2, -1), keepdim=True) + 1e-5) * present[:, :, None, None]
        cam = torch.cat([1 - maps.amax(1, keepdim=True), maps], dim=1)
        expected = prototype_refinement(
            encoding.pyramid[-1],
            model.fusion(encoding.pyramid),
            cam,
            present,
            affinity="abs",
            background_weight=0.5,
            seedless="closest",
        )
    torch.testing.assert_close(made.seeds, expected.seeds)
    torch.testing.assert_close(made.rcam, refined_maps(expected.similarities, scaled="each"))


def test_given_maps_choose_the_seeds(images: torch.Tensor) -> None:
    model = tiny()
    present = torch.tensor([[1.0, 0.0, 0.0]])
    with torch.no_grad():
        encoding = model.encode(images[:1])
        nothing = model.localize(encoding, present, maps=torch.zeros(1, 3, 16, 24))
        everything = model.localize(encoding, present, maps=torch.ones(1, 3, 16, 24))
    assert nothing.seeds is not None
    assert everything.seeds is not None
    assert nothing.seeds[0, 0].all()
    assert everything.seeds[0, 1].all()


def test_permuting_classes_permutes_maps(images: torch.Tensor, present: torch.Tensor) -> None:
    order = [2, 0, 1]
    model, moved = tiny(), tiny()
    with torch.no_grad():
        moved.head.weight.copy_(model.head.weight[order])
        moved.head.bias.copy_(model.head.bias[order])
        _, made = model(images, present)
        _, permuted = moved(images, present[:, order])
    assert made.rcam is not None
    assert permuted.rcam is not None
    np.testing.assert_allclose(permuted.rcam[:, 1:], made.rcam[:, 1:][:, order], atol=1e-5)
    np.testing.assert_allclose(permuted.rcam[:, 0], made.rcam[:, 0], atol=1e-5)
