import numpy as np
import pytest
import torch

from support.models import CLASSES
from swtformer.inference.network_maps import network_maps
from swtformer.inference.windows import class_probabilities
from swtformer.segmentation import SegmentationNetwork, create_network
from swtformer.settings import LocalizeSettings, SegmentSettings

SETTINGS = LocalizeSettings(scales=(1.0, 0.5), flip=True, stride=4)


def network(side: int | None = None) -> SegmentationNetwork:
    torch.manual_seed(0)
    return create_network(
        SegmentSettings(encoder="lcnet_035", weights="none", long_side_px=side), CLASSES
    ).eval()


def pictures() -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (2, 3, 64, 80), generator=generator, dtype=torch.uint8)


def test_they_are_probabilities_of_the_present_classes_alone() -> None:
    model, images = network(), pictures()
    present = torch.zeros(2, len(CLASSES))
    present[0, [0, 2]] = 1
    made = network_maps(model, images, present, settings=SETTINGS)
    assert made.rcam is not None
    assert made.rcam.shape == (2, len(CLASSES) + 1, 16, 20)
    everything = class_probabilities(model, images, scales=SETTINGS.scales, flip=True, presence=0.0)
    coarse = torch.nn.functional.avg_pool2d(everything, 4).numpy()
    expected = coarse[0, [0, 1, 3]] / coarse[0, [0, 1, 3]].sum(0)
    np.testing.assert_allclose(made.rcam[0, [0, 1, 3]].numpy(), expected, atol=1e-6)
    assert not made.rcam[0, 2].any()
    np.testing.assert_array_equal(made.cam[0].numpy(), made.rcam[0, 1:].numpy())
    np.testing.assert_allclose(made.rcam[1, 0].numpy(), 1)  # no class: background alone


def test_views_may_be_seen_in_turn() -> None:
    """One scale, named twice, is seen as it is and mirrored."""
    model, images, present = network(), pictures(), torch.ones(2, len(CLASSES))
    both = SETTINGS.model_copy(update={"scales": (1.0,)})
    in_turn = SETTINGS.model_copy(update={"scales": (1.0, 1.0), "views": "in_turn"})
    made, expected = (network_maps(model, images, present, settings=each).rcam for each in (in_turn, both))
    torch.testing.assert_close(made, expected)


def test_without_labels_the_network_names_the_classes() -> None:
    model, images = network(), pictures()
    made = network_maps(model, images, None, settings=SETTINGS.model_copy(update={"class_threshold": 1.0}))
    seen = class_probabilities(model, images, scales=SETTINGS.scales, flip=True)
    coarse = torch.nn.functional.avg_pool2d(seen, 4)
    np.testing.assert_array_equal(made.probabilities.numpy(), coarse[:, 1:].amax((2, 3)).numpy())
    assert made.present.sum(1).tolist() == [1, 1]
    assert made.present.argmax(1).tolist() == made.probabilities.argmax(1).tolist()


def test_large_images_are_seen_in_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    model, images = network(), pictures()
    present = torch.ones(2, len(CLASSES))
    monkeypatch.setattr("swtformer.inference.network_maps.WINDOW_PX", 64)
    monkeypatch.setattr("swtformer.inference.network_maps.OVERLAP_PX", 16)
    made = network_maps(model, images, present, settings=SETTINGS)
    assert made.rcam is not None
    assert made.rcam.shape == (2, len(CLASSES) + 1, 16, 20)
    np.testing.assert_allclose(made.rcam.sum(1).numpy(), 1, atol=1e-5)
    for columns, cells in ((slice(0, 64), slice(0, 10)), (slice(16, 80), slice(10, 20))):
        part = network_maps(model, images[..., columns], present, settings=SETTINGS).rcam
        assert part is not None
        seen = slice(cells.start - columns.start // 4, cells.stop - columns.start // 4)
        np.testing.assert_allclose(made.rcam[..., cells].numpy(), part[..., seen].numpy(), atol=1e-5)


def test_images_are_seen_at_the_networks_own_size() -> None:
    images = pictures()
    present = torch.ones(2, len(CLASSES))
    made = network_maps(network(160), images, present, settings=SETTINGS)
    assert made.rcam is not None
    assert made.rcam.shape == (2, len(CLASSES) + 1, 16, 20)
    twice = torch.nn.functional.interpolate(images.float(), (128, 160), mode="bilinear", antialias=True)
    seen = class_probabilities(network(), twice, scales=SETTINGS.scales, flip=True, presence=0.0)
    cells = torch.nn.functional.avg_pool2d(seen, 4)
    expected = torch.nn.functional.interpolate(cells, (16, 20), mode="bilinear", antialias=True)
    np.testing.assert_allclose(made.rcam.numpy(), expected.numpy(), atol=1e-5)
