from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from swtformer.errors import SwtformerError
from swtformer.functional.thresholds import label_free_threshold, score_histogram
from swtformer.settings import MaskSettings, Settings
from swtformer.stages.mask import mask
from swtformer.store.failures import Failure, read_failures, write_failures
from swtformer.store.files import read_json, write_json
from swtformer.store.masks import MaskRule

IDS = ["a", "b", "none", "sub/c"]


def read(drawn: Any, id: str) -> np.ndarray:
    with Image.open(drawn.run.mask_file(id)) as image:
        assert image.mode == "P"
        return np.asarray(image)


def naive(maps: np.ndarray, values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Argmax over up-sampled channels, background first."""
    full = F.interpolate(torch.from_numpy(maps).float()[None], size, mode="bilinear", align_corners=False)[0]
    return np.array([0, *values])[full.argmax(0)]


def with_background(cam: np.ndarray, threshold: float) -> np.ndarray:
    return np.concatenate([np.full((1, *cam.shape[1:]), threshold), cam.astype(np.float64)])


def test_auto_takes_the_argmax_of_rcams(draw: Callable[..., Any]) -> None:
    drawn = draw()
    calls: list[tuple[Any, ...]] = []
    result = mask(drawn.run, progress=lambda *call: calls.append(call))
    assert result.rule == MaskRule("rcam", "argmax", None)
    assert (result.done, result.failures) == (4, ())
    assert calls[-1] == ("mask", 4, 4)
    assert read_json(drawn.run.masks_file) == {
        "source": "rcam",
        "policy": "argmax",
        "threshold": None,
        "images": 4,
    }
    for id in IDS:
        maps = drawn.maps(id)
        np.testing.assert_array_equal(read(drawn, id), naive(maps.rcam, maps.values, maps.size))
    assert set(np.unique(read(drawn, "b"))) == {0, 1, 3}
    assert not read(drawn, "none").any()


def test_auto_takes_the_label_free_threshold_for_cams(draw: Callable[..., Any]) -> None:
    drawn = draw(rcam=False)
    rule = mask(drawn.run).rule
    pooled = sum(score_histogram(torch.from_numpy(drawn.maps(id).cam)) for id in IDS)
    assert isinstance(pooled, torch.Tensor)
    assert rule == MaskRule("cam", "label_free", label_free_threshold(pooled))
    assert rule.threshold is not None
    for id in IDS:
        maps = drawn.maps(id)
        expected = naive(with_background(maps.cam, rule.threshold), maps.values, maps.size)
        np.testing.assert_array_equal(read(drawn, id), expected)


def test_argmax_of_cams_is_one_minus_the_maximum(draw: Callable[..., Any]) -> None:
    drawn = draw()
    assert mask(drawn.run, settings=MaskSettings(source="cam", policy="argmax")).rule.threshold == 0.5
    maps = drawn.maps("a")
    full = F.interpolate(torch.from_numpy(maps.cam).float()[None], maps.size, mode="bilinear")[0]
    expected = torch.cat([1 - full, full]).argmax(0).numpy()
    np.testing.assert_array_equal(read(drawn, "a"), expected)


def test_another_threshold_replaces_all_masks(draw: Callable[..., Any]) -> None:
    drawn = draw()
    mask(drawn.run, settings=MaskSettings(source="cam", policy="fixed", threshold=0.1))
    before = {id: read(drawn, id) for id in IDS}
    mask(drawn.run, settings=MaskSettings(source="cam", policy="fixed", threshold=0.6))
    assert read_json(drawn.run.masks_file)["threshold"] == 0.6
    assert (read(drawn, "a") > 0).sum() < (before["a"] > 0).sum()


def test_masks_of_images_without_maps_are_removed(draw: Callable[..., Any]) -> None:
    drawn = draw()
    mask(drawn.run)
    drawn.run.map_file("sub/c").unlink()
    mask(drawn.run)
    assert sorted(path.name for path in drawn.run.masks.rglob("*.png")) == ["a.png", "b.png", "none.png"]


def test_the_runs_own_settings_are_the_default(draw: Callable[..., Any]) -> None:
    drawn = draw(settings=Settings(mask=MaskSettings(source="cam", policy="fixed", threshold=0.33)))
    assert mask(drawn.run).rule == MaskRule("cam", "fixed", 0.33)


@pytest.mark.parametrize("policy", ["argmax", "label_free"])
def test_truncated_maps_are_skipped_recorded_and_leave_no_old_mask(
    draw: Callable[..., Any], policy: str
) -> None:
    drawn = draw()
    settings = MaskSettings(source="rcam", policy=policy)
    mask(drawn.run, settings=settings)
    whole = drawn.run.map_file("a").read_bytes()
    drawn.run.map_file("a").write_bytes(whole[:-2])
    result = mask(drawn.run, settings=settings)
    assert result.done == 3
    assert [(failure.id, failure.stage) for failure in result.failures] == [("a", "mask")]
    assert not drawn.run.mask_file("a").exists()
    assert "a.npz" in drawn.run.failures_file.read_text()
    assert read_json(drawn.run.masks_file)["images"] == 3
    drawn.run.map_file("a").write_bytes(whole)
    assert mask(drawn.run, settings=settings).failures == ()
    assert not drawn.run.failures_file.exists()


def test_maps_of_one_image_without_rcam_are_skipped(draw: Callable[..., Any]) -> None:
    drawn = draw()
    drawn.change("b", rcam=None)
    result = mask(drawn.run)
    assert [failure.id for failure in result.failures] == ["b"]
    assert "there are no R-CAMs" in result.failures[0].reason


def test_an_interrupted_run_does_not_claim_the_old_rule(draw: Callable[..., Any]) -> None:
    drawn = draw()
    mask(drawn.run)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mask(drawn.run, settings=MaskSettings(policy="fixed"), progress=stop)
    assert not drawn.run.masks_file.exists()


def test_refusals(draw: Callable[..., Any]) -> None:
    drawn = draw(rcam=False)
    with pytest.raises(SwtformerError, match="there are no R-CAMs"):
        mask(drawn.run, settings=MaskSettings(source="rcam"))
    for id in IDS:
        drawn.run.map_file(id).write_bytes(b"")
    with pytest.raises(SwtformerError, match=r"c\.npz: cannot be read"):
        mask(drawn.run)
    for id in IDS:
        drawn.run.map_file(id).unlink()
    with pytest.raises(SwtformerError, match=r"holds no maps; .*`swtformer localize`"):
        mask(drawn.run)


def test_images_whose_map_files_are_gone_have_a_row(draw: Callable[..., Any]) -> None:
    drawn = draw()
    write_json(drawn.run.maps_file, {**read_json(drawn.run.maps_file), "ids": [*IDS, "unread", "gone"]})
    unread = Failure("unread", "localize", "unread.jpg", "cannot be read")
    write_failures(drawn.run, "localize", [unread])
    drawn.run.map_file("b").unlink()
    result = mask(drawn.run)
    assert result.done == 3
    assert [(item.id, item.path) for item in result.failures] == [
        ("b", str(drawn.run.map_file("b"))),
        ("gone", str(drawn.run.map_file("gone"))),
    ]
    assert (
        "its maps were never made, or the file is gone; `swtformer localize` makes them"
        in result.failures[0].reason
    )
    assert read_failures(drawn.run) == [unread, *result.failures]


def test_stale_maps_are_failures(draw: Callable[..., Any]) -> None:
    drawn = draw()
    drawn.change("a", made_by="another model")
    result = mask(drawn.run)
    assert [(failure.id, failure.stage) for failure in result.failures] == [("a", "mask")]
    assert "is stale" in result.failures[0].reason
    assert not drawn.run.mask_file("a").exists()
