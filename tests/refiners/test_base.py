"""What every refiner inherits: absent classes, the range, batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import pytest
import torch
from torch import Tensor

from swtformer.errors import NonFiniteError, PluginError
from swtformer.refiners import Refiner, padded, unpadded


@final
class Tripled(Refiner):
    """Three times the maps less a half, in float64, at the images' height; notes what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.given: list[list[tuple[int, ...]]] = []

    def _refined(self, images: Tensor, maps: Sequence[Tensor]) -> list[Tensor]:
        assert not torch.is_grad_enabled()
        self.given.append([tuple(images.shape), *(tuple(own.shape) for own in maps)])
        return [own.double() * 3 - 0.5 for own in maps]


def test_what_comes_out_is_float32_in_0_to_1() -> None:
    maps = torch.tensor([[[0.1, 0.2, 0.3, 0.6]]])
    refined = Tripled().refine(torch.rand(3, 1, 4), maps)
    assert refined.dtype == torch.float32
    torch.testing.assert_close(refined, torch.tensor([[[0.0, 0.1, 0.4, 1.0]]]))


def test_absent_classes_are_kept_from_the_refiner_and_come_back_as_0() -> None:
    refiner = Tripled()
    maps = torch.tensor([0.5, 0.0, 0.4, 0.0])[:, None, None].expand(4, 2, 3)
    refined = refiner.refine(torch.rand(3, 5, 6), maps)
    assert refiner.given == [[(1, 3, 5, 6), (2, 2, 3)]]
    torch.testing.assert_close(refined[:, 0, 0], torch.tensor([1.0, 0.0, 0.7, 0.0]))


def test_a_background_of_0_is_no_absent_class() -> None:
    refiner = Tripled()
    refiner.refine(torch.rand(3, 5, 6), torch.zeros(3, 2, 3))
    assert refiner.given == [[(1, 3, 5, 6), (1, 2, 3)]]


def test_a_batch_goes_to_the_refiner_at_once() -> None:
    refiner = Tripled()
    maps = [torch.full((2, 2, 3), 0.3), torch.full((3, 4, 4), 0.4)]
    maps[1][1] = 0
    first, second = refiner.refine_batch([torch.rand(3, 5, 6), torch.rand(3, 5, 6)], maps)
    assert refiner.given == [[(2, 3, 5, 6), (2, 2, 3), (2, 4, 4)]]
    torch.testing.assert_close(first, torch.full((2, 2, 3), 0.4))
    torch.testing.assert_close(second[:, 0, 0], torch.tensor([0.7, 0.0, 0.7]))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, r"_refined gave None; expected maps \(K\+1, h, w\) of each image with K\+1 of 2, 2"),
        ([torch.rand(2, 4, 4)], r"gave \[\(2, 4, 4\)\]; "),
        ([torch.rand(1, 4, 4), torch.rand(2, 4, 4)], r"gave \[\(1, 4, 4\), \(2, 4, 4\)\]; "),
        (torch.rand(2, 3, 4, 4), "with K.1 of 2, 2"),
        ([torch.rand(2, 4), torch.rand(2, 4)], r"gave \[\(2, 4\), \(2, 4\)\]; "),
    ],
)
def test_what_is_not_maps_of_the_same_classes_is_refused(
    given: object, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    refiner = Tripled()
    monkeypatch.setattr(refiner, "_refined", lambda *_: given)
    with pytest.raises(PluginError, match=f"The refiner 'Tripled': .*{message}"):
        refiner.refine_batch([IMAGE, IMAGE], [MAPS, MAPS])


def test_nan_names_the_refiner(monkeypatch: pytest.MonkeyPatch) -> None:
    refiner = Tripled()
    monkeypatch.setattr(refiner, "_refined", lambda _, maps: [own / 0 * 0 for own in maps])
    with pytest.raises(NonFiniteError, match=r"refiner 'Tripled' .*not finite"):
        refiner.refine(IMAGE, MAPS)


IMAGE, MAPS = torch.rand(3, 8, 8), torch.rand(2, 2, 2)


@pytest.mark.parametrize(
    ("image", "maps", "message"),
    [
        (IMAGE[:1], MAPS, r"\(3, H, W\) float32 image, got \(1, 8, 8\)"),
        (IMAGE.double(), MAPS, r"float32 image, got \(3, 8, 8\) torch.float64"),
        (IMAGE[:, :0], MAPS, r"\(3, H, W\) float32 image"),
        (IMAGE, MAPS[0], r"\(K\+1, h, w\) float32 maps, got \(2, 2\)"),
        (IMAGE, MAPS[:0], r"\(K\+1, h, w\) float32 maps"),
        (IMAGE, MAPS.half(), r"\(K\+1, h, w\) float32 maps"),
    ],
)
def test_nothing_is_refined_where_one_image_or_its_maps_are_wrong(
    image: Tensor, maps: Tensor, message: str
) -> None:
    refiner = Tripled()
    with pytest.raises(ValueError, match=message):
        refiner.refine_batch([IMAGE, image], [MAPS, maps])
    assert refiner.given == []


def test_a_batch_has_one_size_and_maps_for_each() -> None:
    refiner = Tripled()
    with pytest.raises(ValueError, match=r"one size, got \[\(3, 8, 8\), \(3, 8, 4\)\]"):
        refiner.refine_batch([IMAGE, IMAGE[..., :4]], [MAPS, MAPS])
    with pytest.raises(ValueError, match="got 2 images, 1 maps"):
        refiner.refine_batch([IMAGE, IMAGE], [MAPS])
    with pytest.raises(ValueError, match="got 0 images, 0 maps"):
        refiner.refine_batch([], [])


def test_padding_by_hand() -> None:
    maps = [torch.ones(1, 1, 2), torch.full((3, 1, 2), 2.0)]
    batch = padded(maps)
    assert batch.tolist() == [[[[1, 1]], [[0, 0]], [[0, 0]]], [[[2, 2]]] * 3]
    back = unpadded(batch, maps)
    assert [own.tolist() for own in back] == [own.tolist() for own in maps]


def test_an_incomplete_refiner_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="_refined"):
        type("Incomplete", (Refiner,), {})()
