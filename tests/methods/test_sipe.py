"""SIPE against loops that are written from its paper and code, on the features of a small network.

The loops know nothing of the package's own functions. What the public code does beyond the paper is in them:
the background's overlap is halved, affinities are positive, padded pixels of a crop have a CAM of 0 and no
seed, and at inference all classes compete for seeds, which are located by the fused features of an image and
its mirror image together.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from support.models import tiny
from swtformer.methods import Batch, Encoding
from swtformer.settings import LocalizeSettings

NOBODY = -1
"""In the place of a seed."""

VIEW = LocalizeSettings(scales=(1.0,), flip=True, seeds="view", stride=16)


def fused_by_hand(model: Any, encoding: Encoding) -> np.ndarray:
    """Each stage projected, divided by its norm at each place + 1e-5, and resized to the third's grid."""
    grid = encoding.pyramid[2].shape[-2:]
    parts = []
    for stage, projection in zip(encoding.pyramid, model.fusion.projections, strict=True):
        weights = projection.weight.detach().numpy()[:, :, 0, 0]
        projected = np.einsum("oc,bchw->bohw", weights, stage.detach().numpy())
        unit = projected / (np.linalg.norm(projected, axis=1, keepdims=True) + 1e-5)
        parts.append(F.interpolate(torch.from_numpy(unit), grid, mode="bilinear").numpy())
    return np.concatenate(parts, axis=1)


def cam_by_hand(activations: np.ndarray, present: np.ndarray) -> np.ndarray:
    """(C, h, w) raw activations to (C+1, h, w) CAMs; the background is 1 minus the maximum of all classes."""
    maps = np.maximum(activations, 0)
    maps = maps / (maps.max((1, 2), keepdims=True) + 1e-5)
    return np.concatenate([1 - maps.max(0, keepdims=True), maps * present[:, None, None]])


def seeds_by_hand(tokens: np.ndarray, cam: np.ndarray, *, background_weight: float = 0.5) -> np.ndarray:
    """Class of each place: the largest soft IoU of the place's positive affinities and a class's map."""
    flat = tokens.reshape(len(tokens), -1)
    maps = cam.reshape(len(cam), -1)
    seeds = np.zeros(flat.shape[1], int)
    for i in range(flat.shape[1]):
        affinity = np.array(
            [
                max(flat[:, i] @ flat[:, j] / np.linalg.norm(flat[:, i]) / np.linalg.norm(flat[:, j]), 0)
                for j in range(flat.shape[1])
            ]
        )
        overlaps = []
        for channel, values in enumerate(maps):
            shared = (affinity * values).sum()
            overlap = shared / (affinity.sum() + values.sum() - shared)
            overlaps.append(overlap * background_weight if channel == 0 else overlap)
        seeds[i] = int(np.argmax(overlaps))
    return seeds.reshape(cam.shape[1:])


def similarity_by_hand(fused: np.ndarray, seeds: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Positive cosine of every feature to the mean feature of each class's seeds."""
    rows, columns = (fused.shape[axis + 1] // seeds.shape[axis] for axis in range(2))
    seeds = np.kron(seeds, np.ones((rows, columns), int))
    made = np.zeros((len(present) + 1, *fused.shape[1:]))
    for channel in range(len(made)):
        chosen = fused[:, seeds == channel]
        if (channel > 0 and not present[channel - 1]) or chosen.size == 0:
            continue
        prototype = chosen.mean(1)
        norms = np.linalg.norm(fused, axis=0) * np.linalg.norm(prototype)
        made[channel] = np.maximum(np.einsum("d,dhw->hw", prototype, fused) / norms, 0)
    return made


def scaled(maps: np.ndarray) -> np.ndarray:
    return maps / (maps.max((1, 2), keepdims=True) + 1e-5)


@pytest.fixture
def images() -> torch.Tensor:
    """Patches of random colours; with this seed, each departure from the formulas changes the maps."""
    colours = torch.randint(0, 256, (2, 3, 4, 6), generator=torch.Generator().manual_seed(3))
    return F.interpolate(colours.float(), (64, 96), mode="nearest").to(torch.uint8)


def sipe(**options: object) -> Any:
    """A network whose CAM head is not near 0, so that the maps of classes differ."""
    model = tiny("sipe", **options)
    with torch.no_grad():
        model.head.weight.normal_(generator=torch.Generator().manual_seed(3))
    return model


@pytest.fixture
def model() -> Any:
    return sipe()


def trained_on_by_hand(
    model: Any,
    images: torch.Tensor,
    present: torch.Tensor,
    *,
    background_weight: float = 0.5,
    padded_columns: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """CAM and R-CAM of a training step, on the grid of the fused features.

    The rightmost columns of the last stage's grid can be padding.
    """
    with torch.no_grad():
        encoding = model.encode(images)
    fused = fused_by_hand(model, encoding)
    cams, rcams = [], []
    for index, labels in enumerate(present.numpy()):
        cam = cam_by_hand(encoding.activations[index].numpy(), labels)
        tokens = encoding.pyramid[-1][index].numpy()
        width = cam.shape[-1] - padded_columns
        cam[..., width:] = 0
        seeds = seeds_by_hand(tokens, cam, background_weight=background_weight)
        seeds[:, width:] = NOBODY
        rcams.append(scaled(similarity_by_hand(fused[index], seeds, labels)))
        resized = F.interpolate(torch.from_numpy(cam)[None], fused.shape[-2:], mode="bilinear")
        cams.append(resized[0].numpy())
    return np.stack(cams), np.stack(rcams)


def test_maps_of_a_training_step(model: Any, images: torch.Tensor, present: torch.Tensor) -> None:
    with torch.no_grad():
        made = model(images, present)[1]
    cam, rcam = trained_on_by_hand(model, images, present)
    np.testing.assert_allclose(made.cam, cam, atol=1e-5)
    np.testing.assert_allclose(made.rcam, rcam, atol=1e-5)
    _, unhalved = trained_on_by_hand(model, images, present, background_weight=1.0)
    assert np.abs(unhalved - rcam).max() > 0.1, "these images show the factor"


def test_gsc_is_the_mean_gap_of_all_channels(model: Any, images: torch.Tensor, present: torch.Tensor) -> None:
    """Absent classes count, as zeros that agree."""
    cam, rcam = trained_on_by_hand(model, images, present)
    losses = model.losses(Batch(images, present), epoch=0.0)
    assert losses["gsc"].item() == pytest.approx(np.abs(cam - rcam).mean(), abs=1e-5)


def test_padded_pixels_have_no_cam_and_no_seed_in_gsc(
    model: Any, images: torch.Tensor, present: torch.Tensor
) -> None:
    valid = torch.ones(2, 1, *images.shape[-2:])
    valid[..., 64:] = 0
    cam, rcam = trained_on_by_hand(model, images, present, padded_columns=1)
    losses = model.losses(Batch(images, present, valid), epoch=0.0)
    assert losses["gsc"].item() == pytest.approx(np.abs(cam - rcam).mean(), abs=1e-5)
    assert rcam[..., 4:].max() > 0.1, "the R-CAM of padded pixels counts"
    _, unmasked = trained_on_by_hand(model, images, present)
    assert np.abs(unmasked - rcam).max() > 0.05, "these images show that padded pixels are no seeds"


def test_gsc_steers_both_sides(model: Any, images: torch.Tensor, present: torch.Tensor) -> None:
    """CAM and R-CAM both have gradients; the features that are fused have none."""
    model.train().losses(Batch(images, present), epoch=0.0)["gsc"].backward()
    assert model.head.weight.grad.any()
    assert all(projection.weight.grad.any() for projection in model.fusion.projections)


def inferred_by_hand(
    model: Any,
    images: torch.Tensor,
    present: torch.Tensor,
    *,
    adds_mirrored: bool = True,
    located_by: str = "fused",
    competing: str = "all",
) -> np.ndarray:
    """R-CAMs of one view and its mirror image, added before the prototypes."""
    with torch.no_grad():
        plain, mirrored = model.encode(images), model.encode(images.flip(-1))

    def both(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return first + second[..., ::-1] if adds_mirrored else first

    activations = both(plain.activations.numpy(), mirrored.activations.numpy())
    fused = both(fused_by_hand(model, plain), fused_by_hand(model, mirrored))
    tokens = both(plain.pyramid[-1].numpy(), mirrored.pyramid[-1].numpy())
    rcams = []
    for index, labels in enumerate(present.numpy()):
        cam = cam_by_hand(activations[index], np.ones_like(labels) if competing == "all" else labels)
        if located_by == "fused":
            cam = F.interpolate(torch.from_numpy(cam)[None], fused.shape[-2:], mode="bilinear")[0].numpy()
        seeds = seeds_by_hand(fused[index] if located_by == "fused" else tokens[index], cam)
        rcams.append(scaled(similarity_by_hand(fused[index], seeds, labels)))
    return np.stack(rcams)


def test_maps_at_inference(model: Any, images: torch.Tensor, present: torch.Tensor) -> None:
    """A stride of 16 is the grid of the fused features, so nothing is resized afterwards."""
    made = model.maps(images, present, settings=VIEW)
    expected = inferred_by_hand(model, images, present)
    np.testing.assert_allclose(made.rcam, expected, atol=1e-4)
    alone = inferred_by_hand(model, images, present, adds_mirrored=False)
    assert np.abs(alone - expected).max() > 0.05, "these images show that mirror images are added"
    np.testing.assert_allclose(
        model.maps(images, present, settings=VIEW.model_copy(update={"flip": False})).rcam, alone, atol=1e-4
    )


def test_absent_classes_may_stay_out_of_the_competition(images: torch.Tensor, present: torch.Tensor) -> None:
    among_present = inferred_by_hand(sipe(), images, present, competing="present")
    made = sipe(seed_classes="present").maps(images, present, settings=VIEW)
    np.testing.assert_allclose(made.rcam, among_present, atol=1e-4)
    assert np.abs(among_present - inferred_by_hand(sipe(), images, present)).max() > 0.05


def test_absent_classes_compete_where_the_background_leaves_them_out(
    images: torch.Tensor, present: torch.Tensor
) -> None:
    """Then too an image's maps do not depend on the classes of its neighbours."""
    model = sipe(background_over="present")
    both = model.maps(images, present, settings=VIEW)
    alone = model.maps(images[1:], present[1:], settings=VIEW)
    torch.testing.assert_close(both.rcam[1:], alone.rcam, atol=1e-4, rtol=1e-3)
    others = sipe(background_over="present", seed_classes="present").maps(images, present, settings=VIEW)
    assert (others.rcam - both.rcam).abs().max() > 0.05


def test_seeds_can_be_located_by_the_last_stage(images: torch.Tensor, present: torch.Tensor) -> None:
    model = sipe(seed_features="last")
    by_last = inferred_by_hand(model, images, present, located_by="last")
    np.testing.assert_allclose(model.maps(images, present, settings=VIEW).rcam, by_last, atol=1e-4)
    assert np.abs(by_last - inferred_by_hand(model, images, present)).max() > 0.05


def test_weights_of_the_losses() -> None:
    assert tiny("sipe").loss_weights(0) == {"cls": 1, "gsc": 1}
    assert tiny("sipe", gsc=0.5).loss_weights(9) == {"cls": 1, "gsc": 0.5}


def test_without_gsc_the_fusion_is_idle(images: torch.Tensor, present: torch.Tensor) -> None:
    model = tiny("sipe", gsc=0)
    assert set(model.losses(Batch(images, present), epoch=0.0)) == {"cls"}
    assert model.has_idle_parameters()
    assert not tiny("sipe").has_idle_parameters()
