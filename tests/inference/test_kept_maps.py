"""The maps of one image of a batch are those of its own classes."""

from __future__ import annotations

import numpy as np
import torch

from swtformer.inference.kept_maps import maps_of
from swtformer.methods import Maps


def test_kept_maps_are_those_of_the_image_s_own_classes() -> None:
    present = torch.tensor([[0.0, 1, 0], [1, 0, 1]])
    cam, rcam = torch.rand(2, 3, 4, 5), torch.rand(2, 4, 4, 5)
    probabilities = torch.rand(2, 3)
    maps = maps_of(Maps(present, cam, rcam, probabilities), 1, size=(16, 20))
    assert (maps.values.tolist(), maps.size) == ([1, 3], (16, 20))
    np.testing.assert_array_equal(maps.cam, cam[1, [0, 2]].half())
    assert maps.rcam is not None
    np.testing.assert_array_equal(maps.rcam, rcam[1, [0, 1, 3]].half())
    np.testing.assert_array_equal(maps.probabilities, probabilities[1])
    assert maps_of(Maps(present, cam, None, probabilities), 0, size=(16, 20)).rcam is None


def test_an_image_without_classes_keeps_its_background_alone() -> None:
    nothing = Maps(torch.zeros(1, 2), torch.rand(1, 2, 4, 5), torch.rand(1, 3, 4, 5), torch.rand(1, 2))
    maps = maps_of(nothing, 0, size=(16, 20))
    assert maps.cam.shape == (0, 4, 5)
    assert maps.rcam is not None
    assert maps.rcam.shape == (1, 4, 5)
