from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import cross_entropy

from swtformer.label_values import IGNORED, values_in
from swtformer.store.masks import voc_palette


def test_ignored_is_the_largest_label_of_an_image_and_void_in_pascal_voc() -> None:
    assert np.asarray(Image.new("P", (1, 1), IGNORED)).tolist() == [[np.iinfo(np.uint8).max]]
    assert voc_palette()[IGNORED].tolist() == [224, 224, 192]  # the cream of VOC's masks


def test_torch_leaves_ignored_pixels_out() -> None:
    logits = torch.tensor([[2.0, 0.0], [0.0, 9.0]])
    loss = cross_entropy(logits, torch.tensor([0, IGNORED]), ignore_index=IGNORED)
    assert torch.equal(loss, cross_entropy(logits[:1], torch.tensor([0])))


@pytest.mark.parametrize("shape", [(0, 0), (1, 1), (1, 7), (13, 17)])
@pytest.mark.parametrize("values", [(3,), (0, 255), (0, 1, 9, 254)])
def test_values_are_those_that_a_set_holds(shape: tuple[int, int], values: tuple[int, ...]) -> None:
    labels = np.random.default_rng(0).choice(np.array(values, dtype=np.uint8), shape)
    assert values_in(labels) == sorted(set(labels.ravel().tolist()))
    assert values_in(labels.T) == values_in(labels)
