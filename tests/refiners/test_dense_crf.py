import sys

import pytest
import torch

from swtformer.errors import SwtformerError
from swtformer.functional.dense_crf import PairwiseTerms, label_energies, map_energies, mean_field
from swtformer.functional.labels import upsample
from swtformer.refiners import create_refiner


def disc() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A bright disc on dark ground, a map of a square that covers most of it, and the disc."""
    y, x = torch.meshgrid(torch.arange(40), torch.arange(48), indexing="ij")
    inside = (y - 20) ** 2 + (x - 24) ** 2 < 14**2
    image = torch.where(inside, 0.8, 0.1).expand(3, 40, 48).contiguous()
    maps = torch.zeros(2, 10, 12)
    maps[1, 2:8, 3:9] = 0.9
    maps[0] = 0.8 - maps[1] * 0.8
    return image, maps, inside


def test_the_square_becomes_the_disc() -> None:
    image, maps, inside = disc()
    labels = create_refiner("dense_crf").refine(image, maps).argmax(0).bool()
    start = upsample(maps, (40, 48)).argmax(0).bool()
    assert float((start == inside).float().mean()) < 0.95
    assert float((labels == inside).float().mean()) > 0.98


@pytest.mark.parametrize("unary", ["labels", "maps"])
def test_the_settings_are_those_of_the_mean_field(unary: str) -> None:
    image, maps, _ = disc()
    options = {
        "unary": unary,
        "certainty": 0.6,
        "iterations": 3,
        "gaussian_px": 2,
        "gaussian_weight": 1,
        "bilateral_px": 9,
        "bilateral_rgb": 11,
        "bilateral_weight": 2,
    }
    full = upsample(maps, (40, 48))
    energies = (
        label_energies(full.argmax(0), count=2, certainty=0.6) if unary == "labels" else map_energies(full)
    )
    expected = mean_field(energies, image, terms=PairwiseTerms(2, 1, 9, 11, 2), iterations=3)
    torch.testing.assert_close(create_refiner("dense_crf", options).refine(image, maps), expected)


@pytest.mark.parametrize("changes", [{}, {"gaussian_weight": 0}, {"unary": "maps"}])
def test_both_engines_agree(changes: dict[str, object]) -> None:
    pytest.importorskip("pydensecrf.densecrf")
    image, maps, _ = disc()
    image = (image * 255).round() / 255
    found = [
        create_refiner("dense_crf", {"engine": engine, **changes}).refine(image, maps)
        for engine in ("torch", "pydensecrf")
    ]
    torch.testing.assert_close(found[0], found[1], atol=2e-3, rtol=0)


@pytest.mark.parametrize("deviation", ["gaussian_px", "bilateral_px", "bilateral_rgb"])
def test_deviations_that_leave_the_range_of_floats_are_refused(deviation: str) -> None:
    image, maps, _ = disc()
    with pytest.raises(SwtformerError, match=r"too small for 1 image\(s\) of 48x40 px"):
        create_refiner("dense_crf", {deviation: 1e-38}).refine(image, maps)


def test_too_small_standard_deviations_are_named() -> None:
    image, maps, _ = disc()
    options = {"bilateral_px": 0.01, "bilateral_rgb": 0.02}
    with pytest.raises(SwtformerError, match=r"bilateral_rgb \(0\.02\), refiner\.bilateral_px \(0\.01\)"):
        create_refiner("dense_crf", options).refine(image, maps)


def test_a_batch_may_fail_where_its_images_are_refined_alone() -> None:
    image, maps, _ = disc()
    refiner = create_refiner("dense_crf", {"bilateral_px": 0.1, "bilateral_rgb": 0.12, "iterations": 1})
    with pytest.raises(SwtformerError, match=r"too small for 4 image\(s\)"):
        refiner.refine_batch([image] * 4, [maps] * 4)
    assert refiner.refine(image, maps).isfinite().all()


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydensecrf", None)
    with pytest.raises(SwtformerError, match=r"swtformer\[crf\]'.*refiner\.engine torch"):
        create_refiner("dense_crf", {"engine": "pydensecrf"})
