"""Views of images, and maps that go back to the image's grid."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from swtformer.functional.views import on_grid, resized, views, views_by_scale


def test_views_are_every_scale_and_its_mirror_image() -> None:
    images = torch.randint(0, 256, (2, 3, 40, 64), dtype=torch.uint8)
    made = views(images, scales=(1.0, 1.5), flip=True)
    assert [is_mirrored for is_mirrored, _ in made] == [False, True, False, True]
    assert [tuple(view.shape[-2:]) for _, view in made] == [(40, 64), (40, 64), (60, 96), (60, 96)]
    assert torch.equal(made[0][1], images / 255)
    assert torch.equal(made[3][1], made[2][1].flip(-1))
    assert len(views(images, scales=(1.0, 1.5), flip=False)) == 2


def test_in_turn_every_second_scale_is_mirrored_and_none_is_seen_twice() -> None:
    images = torch.randint(0, 256, (2, 3, 40, 64), dtype=torch.uint8)
    scales = (0.8, 1.0, 1.5)
    seen, every = (views_by_scale(images, scales=scales, flip=flip) for flip in ("in_turn", True))
    for place, (alone, both) in enumerate(zip(seen, every, strict=True)):
        ((is_mirrored, view),) = alone
        assert is_mirrored == (place == 1)
        assert torch.equal(view, both[place % 2][1])


def test_no_view_is_smaller_than_backbones_take() -> None:
    ((_, view),) = views(torch.zeros(1, 3, 40, 80, dtype=torch.uint8), scales=(0.5,), flip=False)
    assert tuple(view.shape[-2:]) == (32, 64)


@pytest.mark.parametrize("antialias", [False, True])
def test_resized_maps_keep_constants(antialias: bool) -> None:
    maps = torch.full((1, 2, 7, 5), 0.3)
    assert resized(maps, (7, 5), antialias=antialias) is maps
    torch.testing.assert_close(resized(maps, (11, 3), antialias=antialias), torch.full((1, 2, 11, 3), 0.3))


def test_antialiased_maps_keep_their_mean() -> None:
    maps = torch.rand(1, 2, 24, 24)
    small = resized(maps, (6, 6), antialias=True)
    np.testing.assert_allclose(small.mean((-2, -1)), maps.mean((-2, -1)), atol=0.05)
    assert not torch.allclose(small, resized(maps, (6, 6)), atol=0.05)


def test_maps_of_a_mirror_image_are_turned_back() -> None:
    maps = torch.arange(4.0).view(1, 1, 1, 4)
    assert on_grid(maps, False, (1, 2)).flatten().tolist() == [0.5, 2.5]
    assert on_grid(maps, True, (1, 2)).flatten().tolist() == [2.5, 0.5]
