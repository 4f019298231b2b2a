"""Predictors alone: which model, which rule, which maps; whole calls are tested in test_predict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from support.models import CLASSES, tiny
from support.toy_methods import registered_toys
from swtformer.errors import CheckpointError, SettingsError
from swtformer.inference.predictor import CamPredictor, Predictor, load_predictor
from swtformer.labelling.mask_rule import CAM_ARGMAX_THRESHOLD, label_image
from swtformer.methods import create_model
from swtformer.methods.pretrained import save_pretrained
from swtformer.segmentation import create_network
from swtformer.settings import (
    ImageSettings,
    LocalizeSettings,
    ModelSettings,
    PredictSettings,
    SegmentSettings,
    Settings,
)
from swtformer.store.masks import MaskRule, write_rule
from swtformer.store.run import Run

PHOTO = np.random.default_rng(0).integers(0, 256, (40, 64, 3), dtype=np.uint8)


@pytest.fixture(scope="module", params=["swtformer_v1", "swtformer_v2"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run with a model that makes maps, and nothing else."""
    made = Run(tmp_path_factory.mktemp("run"))
    save_pretrained(tiny(request.param), made.model)
    return made


@pytest.fixture(scope="module")
def v1(tmp_path_factory: pytest.TempPathFactory) -> Run:
    made = Run(tmp_path_factory.mktemp("v1"))
    save_pretrained(tiny("swtformer_v1"), made.model)
    return made


def load(run: Run, **changes: Any) -> Predictor:
    values = {"precision": "fp32", "flip": False, **changes}
    return load_predictor(run.path, PredictSettings.model_validate(values))


def load_cam(run: Run, **changes: Any) -> CamPredictor:
    predictor = load(run, **changes)
    assert isinstance(predictor, CamPredictor)
    return predictor


def test_without_masks_maps_compete_with_their_own_background_or_one_half(run: Run) -> None:
    predictor = load_cam(run)
    is_v2 = predictor.about["method"] == "swtformer_v2"
    assert ("rcam" in predictor.makes) == is_v2
    expected = ("rcam", "argmax", None) if is_v2 else ("cam", "argmax", CAM_ARGMAX_THRESHOLD)
    assert (predictor.rule.source, predictor.rule.policy, predictor.rule.threshold) == expected
    assert (predictor.classes, predictor.folder, predictor.images.exif) == (CLASSES, run.model, "raw")


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        ({"policy": "fixed", "threshold": 0.375}, ("rcam", "fixed", 0.375)),
        ({"source": "cam"}, ("cam", "argmax", CAM_ARGMAX_THRESHOLD)),
        # It would take the maps of many images.
        ({"source": "cam", "policy": "label_free"}, ("cam", "argmax", CAM_ARGMAX_THRESHOLD)),
    ],
)
def test_the_settings_of_a_run_without_masks(
    mask: dict[str, Any], expected: tuple[object, ...], tmp_path: Path
) -> None:
    made = Run(tmp_path)
    model = tiny("swtformer_v2")
    model.images = ImageSettings(exif="apply", range=(0, 4095), page=2)
    save_pretrained(model, made.model)
    made.write_settings(Settings.model_validate({"mask": mask}))
    predictor = load_cam(made)
    assert (predictor.rule.source, predictor.rule.policy, predictor.rule.threshold) == expected
    assert predictor.images == model.images
    assert load_cam(made, exif="raw", range="full").images == ImageSettings(range="full", page=2)
    with pytest.raises(SettingsError, match="names 5 bands; the model was trained on 3"):
        load_cam(made, bands=(1, 2, 3, 4, 5))


def test_labels_are_those_of_the_maps(run: Run) -> None:
    predictor = load_cam(run)
    made = predictor.predict(PHOTO)
    assert made.probabilities is None
    expected = label_image(predictor.maps(PHOTO), predictor.rule).numpy()
    np.testing.assert_array_equal(made.labels, expected)
    assert made.labels.dtype == np.uint8


def test_maps_of_named_classes_at_named_scales(run: Run) -> None:
    predictor = load_cam(run, scales=[1.0])
    maps = predictor.maps(PHOTO, present={2, 0})
    assert maps.values.tolist() == [1, 3]
    assert (maps.size, maps.cam.shape) == ((40, 64), (2, 10, 16))
    assert (maps.rcam is not None) == ("rcam" in predictor.makes)
    assert maps.rcam is None or maps.rcam.shape == (3, 10, 16)
    other = predictor.maps(PHOTO, present={2, 0}, scales=(0.5, 1.0))
    assert not np.array_equal(other.cam, maps.cam)
    same = load_cam(run, scales=[0.5, 1.0]).maps(PHOTO, present={2, 0})
    np.testing.assert_array_equal(other.cam, same.cam)
    nothing = predictor.maps(PHOTO, present=())
    assert nothing.cam.shape == (0, 10, 16)


def test_a_large_image_is_shrunk_and_its_labels_enlarged(tmp_path: Path) -> None:
    model = tiny("swtformer_v1")
    with torch.no_grad():  # the third class is found where the first was
        model.head.weight[2] = model.head.weight[0]
        model.head.bias[2] = model.head.bias[0]
        model.head.weight[0], model.head.bias[0] = 0, -100
    run = Run(tmp_path)
    save_pretrained(model, run.model)
    write_rule(run, MaskRule("cam", "fixed", 0.97), images=1)
    run.write_settings(Settings.model_validate({"localize": {"long_side_px": None}}))
    made = load_cam(run, window_px=64, overlap_px=8, probabilities=True).predict(
        PHOTO.repeat(3, 0).repeat(3, 1)
    )
    assert made.labels.shape == (120, 192)
    blocks = made.labels.reshape(40, 3, 64, 3)
    assert (blocks == blocks[:, 1:2, :, 1:2]).all()  # nearest: no label in between
    assert np.unique(made.labels).tolist() == [0, 3]
    assert made.probabilities is not None
    assert made.probabilities.shape == (len(CLASSES) + 1, 30, 48)


def test_seeds_are_those_of_the_runs_own_maps(tmp_path: Path) -> None:
    model = tiny("swtformer_v3")
    run = Run(tmp_path)
    save_pretrained(model, run.model)
    write_rule(run, MaskRule("rcam", "argmax", None), images=1)
    photo = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8).repeat(32, 0).repeat(32, 1)
    made = {}
    for seeds in ("pooled", "contrast"):
        run.write_settings(Settings.model_validate({"localize": {"long_side_px": None, "seeds": seeds}}))
        made[seeds] = load_cam(run, precision="fp32", flip=True).maps(photo, present={0, 2}).rcam
        options = LocalizeSettings(scales=(1.0,), stride=4, long_side_px=None, seeds=seeds)
        image = torch.from_numpy(photo).permute(2, 0, 1)[None]
        own = model.maps(image, torch.tensor([[1.0, 0.0, 1.0]]), settings=options).rcam
        assert own is not None
        np.testing.assert_allclose(made[seeds], own[0, [0, 1, 3]], atol=2e-3)
    assert np.abs(made["pooled"] - made["contrast"]).max() > 0.01


@pytest.mark.parametrize("method", ["swtformer_v1", "swtformer_v2"])
def test_where_no_map_says_anything_is_background(method: str, tmp_path: Path) -> None:
    model = tiny(method)
    groups = model.parameter_groups()
    with torch.no_grad():
        for parameter in (parameter for name in groups.keys() - {"backbone"} for parameter in groups[name]):
            parameter.zero_()
    save_pretrained(model, tmp_path / "model")
    made = load_cam(Run(tmp_path), probabilities=True).predict(PHOTO)
    assert not made.labels.any()
    assert made.probabilities is not None
    assert (made.probabilities[0] == 1).all()
    assert not made.probabilities[1:].any()


def test_a_runs_two_networks(tmp_path: Path, v1: Run) -> None:
    made = Run(tmp_path)
    network = create_network(SegmentSettings(decoder="fpn"), CLASSES, start=tiny("swtformer_v1"))
    network.write(made.segmentation / "model")
    # The model that made the maps may be gone by now.
    predictor = load(made)
    assert (predictor.kind, predictor.folder) == ("segmentation", made.segmentation / "model")
    assert predictor.about == {"encoder": "swin_nano", "decoder": "fpn"}
    assert predictor.predict(PHOTO).probabilities is None
    with pytest.raises(CheckpointError, match="holds no model"):
        load(made, network="cam")
    save_pretrained(tiny("swtformer_v1"), made.model)
    assert load(made, network="cam").kind == "cam"
    assert load(made, network="auto").kind == "segmentation"
    with pytest.raises(CheckpointError, match="not a segmentation network"):
        load(v1, network="segmentation")


@pytest.mark.parametrize(
    ("method", "expected"),
    [("toy_tokens", None), ("toy_re_clustered", "swin_nano"), ("swtformer_v1", "swin_nano")],
)
def test_only_a_backbone_that_the_method_uses_is_named(
    method: str, expected: str | None, tmp_path: Path
) -> None:
    with registered_toys():
        model = create_model(ModelSettings(method=method, backbone="swin_nano", weights="none"), CLASSES)
        save_pretrained(model, tmp_path / "model")
        predictor = load_cam(Run(tmp_path))
        assert predictor.about["method"] == method
        assert predictor.about.get("backbone") == expected
        assert ("swin_nano" in model.task()) == (expected is not None)


def seen_at(side: int | None, folder: Path, *, largest: int | None = None) -> Run:
    """A run with a network that sees photographs at a long side of `side` px, and says several classes."""
    torch.manual_seed(0)
    settings = SegmentSettings(decoder="segformer", encoder="lcnet_035", weights="none", long_side_px=side)
    network = create_network(settings, CLASSES, largest_side_px=largest).eval()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.reset_running_stats()
                module.momentum = None
        network.train()
        network.backbone.model.keeps_batch_statistics = False
        network.backbone.train()
        network(torch.from_numpy(smooth(160, 256)).permute(2, 0, 1)[None])
        network.eval()
        network.head.weight.normal_(std=5)
    network.write(folder / "model")
    return Run(folder)


def smooth(height: int, width: int) -> np.ndarray:
    coarse = np.random.default_rng(1).integers(0, 256, (5, 8, 3), dtype=np.uint8)
    return np.array(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def test_a_network_sees_photographs_at_its_own_size(tmp_path: Path) -> None:
    own, sized = seen_at(None, tmp_path / "own"), seen_at(64, tmp_path / "sized")
    large = smooth(160, 256)
    small = np.array(Image.fromarray(large).resize((64, 40), Image.Resampling.BICUBIC))
    made = load(sized, probabilities=True).predict(large)
    expected = load(own, probabilities=True).predict(small)
    assert made.labels.shape == (160, 256)
    assert len(np.unique(made.labels)) > 1
    assert made.probabilities is not None
    assert expected.probabilities is not None
    assert made.probabilities.shape == (len(CLASSES) + 1, 40, 64)
    # Enlarged and averaged again over the same cells.
    cells = made.probabilities.reshape(-1, 10, 4, 16, 4).mean((2, 4))
    np.testing.assert_allclose(cells, expected.probabilities, atol=0.1)
    same = np.asarray(Image.fromarray(expected.labels).resize((256, 160), Image.Resampling.NEAREST))
    assert (made.labels == same).mean() > 0.9
    assert (load(own).predict(large).labels == made.labels).mean() < 0.8
    windows = load(sized, window_px=64, overlap_px=16).predict(large)
    np.testing.assert_array_equal(windows.labels, made.labels)  # one window is all the network's view


def test_scenes_are_seen_at_the_scale_of_the_largest_tile(tmp_path: Path) -> None:
    run = seen_at(64, tmp_path / "run", largest=32)
    scene = smooth(96, 256)
    twice = np.array(Image.fromarray(scene).resize((512, 192), Image.Resampling.BICUBIC))
    expected = load(seen_at(None, tmp_path / "own")).predict(twice).labels[::2, ::2]
    made = load(run).predict(scene, is_scene=True).labels
    assert len(np.unique(made)) > 1
    assert (made == expected).mean() > 0.9
    assert (load(run).predict(scene).labels == made).mean() < 0.8
