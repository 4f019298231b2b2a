from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from swtformer.errors import SwtformerError
from swtformer.functional.thresholds import label_free_threshold, score_histogram
from swtformer.labelling.start_maps import all_channels, label_free_power, source_of

IDS = ["a", "b", "none", "sub/c"]


def test_auto_takes_what_the_method_makes(draw: Callable[..., Any]) -> None:
    assert source_of(draw().run, IDS, "auto") == "rcam"
    cams = draw(rcam=False).run
    assert source_of(cams, IDS, "auto") == "cam"
    with pytest.raises(SwtformerError, match="no R-CAMs"):
        source_of(cams, IDS, "rcam")


def test_the_background_wins_up_to_the_label_free_threshold(draw: Callable[..., Any]) -> None:
    drawn = draw()
    histogram = score_histogram(torch.zeros(0, 1, 1))
    for id in IDS:
        histogram += score_histogram(torch.from_numpy(drawn.maps(id).cam))
    threshold = label_free_threshold(histogram)
    assert 0 < threshold < 0.5
    power = label_free_power(drawn.run, IDS)
    assert (1 - threshold) ** power == pytest.approx(threshold)
    channels = all_channels(drawn.maps("b"), "cam", power=power)
    cam = drawn.maps("b").cam.astype(np.float32)
    np.testing.assert_array_equal(channels[1:].numpy(), cam)
    near = np.abs(cam.max(0) - threshold) < 1e-3
    np.testing.assert_array_equal((channels.argmax(0).numpy() > 0)[~near], (cam.max(0) > threshold)[~near])


def test_an_image_without_a_class_is_background(draw: Callable[..., Any]) -> None:
    assert torch.equal(all_channels(draw().maps("none"), "cam", power=3.0), torch.ones(1, 5, 8))


def test_rcams_bring_their_own_background(draw: Callable[..., Any]) -> None:
    drawn = draw()
    maps = drawn.maps("a")
    np.testing.assert_array_equal(all_channels(maps, "rcam", power=9.0).numpy(), maps.rcam)
    drawn.change("a", rcam=None)
    with pytest.raises(SwtformerError, match="there are no R-CAMs"):
        all_channels(drawn.maps("a"), "rcam", power=1.0)
