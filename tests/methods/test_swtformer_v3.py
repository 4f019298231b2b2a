"""SWTformer-V3 against its parts: what it adds to V1, and how its views come together."""

from __future__ import annotations

import pytest
import torch

from support.models import tiny
from swtformer.functional.activation import normalised, with_background
from swtformer.functional.seeds import prototype_refinement
from swtformer.methods.fusion import side_by_side
from swtformer.settings import LocalizeSettings

VIEW = LocalizeSettings(scales=(1.0,), flip=True, seeds="view", stride=16)
PRESENT = torch.tensor([[1.0, 1.0, 0.0], [0.0, 1.0, 0.0]])


def images() -> torch.Tensor:
    return torch.randint(
        0, 256, (2, 3, 64, 96), dtype=torch.uint8, generator=torch.Generator().manual_seed(3)
    )


def test_nothing_is_trained_beside_v1() -> None:
    model, plain = tiny("swtformer_v3"), tiny("swtformer_v1")
    assert set(model.state_dict()) == set(plain.state_dict())
    assert model.loss_names == plain.loss_names == ("cls",)


def similarities(fused: torch.Tensor, activations: torch.Tensor) -> torch.Tensor:
    """Prototype similarities of features and activations that lie as the image does."""
    cam = torch.nn.functional.interpolate(
        with_background(normalised(activations, norm="max"), PRESENT, over="present"),
        fused.shape[-2:],
        mode="bilinear",
        align_corners=False,
    )
    return prototype_refinement(
        fused, fused, cam, PRESENT, affinity="relu", background_weight=None, seedless="closest"
    ).similarities


@pytest.mark.parametrize("views", ["both", "in_turn"])
def test_maps_are_those_of_an_image_and_its_mirror_image_together_where_both_are_seen(views: str) -> None:
    model = tiny("swtformer_v3")
    scales = (1.0,) if views == "both" else (1.0, 1.0)
    with torch.no_grad():
        made = model.maps(
            images(), PRESENT, settings=VIEW.model_copy(update={"views": views, "scales": scales})
        )
        one, mirrored = model.encode(images()), model.encode(images().flip(-1))
        fused = side_by_side(one.pyramid), side_by_side(mirrored.pyramid).flip(-1)
        activations = one.activations, mirrored.activations.flip(-1)
        together = similarities(sum(fused), sum(activations))
        alone = sum(similarities(*view) for view in zip(fused, activations, strict=True))
    expected, other = (together, alone) if views == "both" else (alone, together)
    expected, other = (each / (each.amax((1, 2, 3), keepdim=True) + 1e-5) for each in (expected, other))
    assert made.rcam is not None
    torch.testing.assert_close(made.rcam, expected, atol=1e-4, rtol=1e-4)
    assert (other - expected).abs().max() > 1e-3, "these images tell the two apart"
    assert (made.rcam.amax((2, 3)) < 0.999).any(), "maps are not divided by their own maxima"


def test_a_weight_that_is_given_holds_for_all_images() -> None:
    auto, large = (tiny("swtformer_v3", background_weight=weight) for weight in ("auto", 4.0))
    large.load_state_dict(auto.state_dict())
    with torch.no_grad():
        by_image = auto.forward(images(), PRESENT)[1]
        by_number = large.forward(images(), PRESENT)[1]
    assert by_image.seeds is not None
    assert by_number.seeds is not None
    assert by_number.seeds[:, 0].sum() > by_image.seeds[:, 0].sum()
