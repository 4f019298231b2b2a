from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from support.models import CLASSES
from swtformer.app import study as module
from swtformer.app.study import Studio, class_maps, labels_of, write_full_size
from swtformer.datasets.mask_images import read_mask
from swtformer.errors import CheckpointError, DataError, ImageError, SwtformerError
from swtformer.inference.predictor import load_predictor
from swtformer.settings import PredictSettings
from swtformer.store.files import write_json
from swtformer.store.run import Run


def test_a_run_has_what_its_models_make(studio: Studio, drawn: Path, tmp_path: Path) -> None:
    assert studio.sources == ("cam", "rcam", "refined", "network")
    assert studio.classes == CLASSES
    run = Path(shutil.copytree(drawn, tmp_path / "run"))
    shutil.rmtree(run / "segmentation")
    write_json(run / "masks" / "masks.json", {"source": "cam", "policy": "fixed", "threshold": 0.3})
    plain = Studio(Run(run))
    assert plain.sources == ("cam", "rcam", "refined")
    assert plain.threshold == 0.3
    (run / "model" / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(CheckpointError, match="damaged"):
        Studio(Run(run))


def test_the_visitor_chooses_the_classes(studio: Studio, photograph: Path) -> None:
    made = studio.study(photograph, classes=["cow", "cat"])
    assert made.maps.values.tolist() == [1, 3]
    assert made.size == made.photograph.shape[:2] == (56, 64)
    assert made.name == "1"
    assert made.maps.refined is not None
    assert made.maps.refined.shape == (3, 28, 32)
    assert studio.study(photograph).maps.values.size >= 1  # the model's choice


def test_more_views_make_other_maps(studio: Studio, photograph: Path) -> None:
    one, many = (studio.study(photograph, classes=["dog"], views=views) for views in ("one", "many"))
    assert one.maps.cam.shape == many.maps.cam.shape
    assert not np.array_equal(one.maps.cam, many.maps.cam)


def test_masks_are_those_of_predict(studio: Studio, photograph: Path, drawn: Path) -> None:
    made = studio.study(photograph)
    image = made.photograph
    for network, source in (("cam", "rcam"), ("segmentation", "network")):
        predictor = load_predictor(drawn, PredictSettings.model_validate({"network": network}))
        assert np.array_equal(
            predictor.predict(image).labels,
            labels_of(made, source, "map", 0.15),  # type: ignore[arg-type]
        )


def test_the_threshold_moves_the_mask_without_the_network(
    studio: Studio, photograph: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = studio.study(photograph, classes=["dog"])

    def refuse(*_: object) -> None:
        raise AssertionError("the network ran")

    monkeypatch.setattr(torch.nn.Module, "__call__", refuse)
    for source in ("cam", "rcam", "refined"):
        areas = [(labels_of(made, source, "threshold", t) == 2).sum() for t in (0.0, 0.3, 0.9, 1.0)]
        assert areas == sorted(areas, reverse=True)
        assert areas[0] > areas[-1] == 0
    crf = studio.refine(made, "dense_crf")
    assert crf.refiner == "dense_crf"
    assert crf.maps.cam is made.maps.cam
    assert not np.array_equal(crf.maps.channels("refined"), made.maps.channels("refined"))
    assert studio.refine(crf, "dense_crf") is crf


def test_maps_of_one_label(studio: Studio, photograph: Path) -> None:
    made = studio.study(photograph, classes=["dog", "cow"])
    maps = class_maps(made, 3)
    assert list(maps) == ["cam", "rcam", "refined"]
    assert np.array_equal(maps["cam"], made.maps.cam[1])
    assert made.maps.rcam is not None
    assert np.array_equal(maps["rcam"], made.maps.rcam[2])
    assert np.array_equal(maps["refined"], made.maps.channels("refined")[2])
    background = class_maps(made, 0)
    assert np.array_equal(background["cam"], 1 - made.maps.cam.astype(np.float32).max(0))


def test_large_photographs_are_shrunk_and_their_masks_enlarged(
    studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "wide.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 1300, 3), dtype=np.uint8)).save(path)
    made = studio.study(path, classes=["cat"])
    assert made.photograph.shape == (47, 1024, 3)
    assert "saw it in 1024×47 px" in made.remarks[0]
    written = write_full_size(made, labels_of(made, "cam", "threshold", 0.2), tmp_path / "out")
    labels = read_mask(written)
    assert written.name == "wide.png"
    assert labels.shape == (60, 1300)
    assert set(np.unique(labels).tolist()) <= {0, 1}
    monkeypatch.setattr(module, "MAX_PIXELS", 70_000)
    with pytest.raises(ImageError, match=r"^wide\.jpg: has 1300×60 .* 70,000"):
        studio.study(path)


def test_orientation(studio: Studio, tmp_path: Path) -> None:
    path = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (60, 40)).save(path, exif=exif)
    raw, upright = studio.study(path, classes=["cat"]), studio.study(path, classes=["cat"], exif="apply")
    assert raw.size == (40, 60)
    assert "EXIF orientation was not applied" in raw.remarks[0]
    assert upright.size == (60, 40)
    assert upright.remarks == ()


def test_many_classes_are_bounded(studio: Studio, photograph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_CLASSES", 1)
    with pytest.raises(DataError, match="Choose at most 1 classes; got 2"):
        studio.study(photograph, classes=["cat", "dog"])
    made = studio.study(photograph)
    assert len(made.maps.values) == 1
    with pytest.raises(DataError, match="Did you mean 'cow'"):
        studio.study(photograph, classes=["cows"])


def test_a_network_that_is_not_there(studio: Studio, photograph: Path) -> None:
    made = replace(studio.study(photograph, classes=["cat"]), predicted=None)
    with pytest.raises(SwtformerError, match="has no segmentation network"):
        labels_of(made, "network", "map", 0.5)


PREDICT = "swtformer predict {run} PHOTOS --predict.network {network} --out FOLDER"


@pytest.mark.parametrize(
    ("arguments", "network"), [(("network", "map", 0.25), "segmentation"), (("rcam", "map", 0.25), "cam")]
)
def test_what_predict_repeats_is_a_bare_command(
    studio: Studio, drawn: Path, arguments: tuple[str, str, float], network: str
) -> None:
    line = studio.for_many(*arguments, "par")  # type: ignore[arg-type]
    assert line == PREDICT.format(run=drawn, network=network)


@pytest.mark.parametrize(
    ("arguments", "said", "expected"),
    [
        (
            ("cam", "threshold", 0.25),
            "This replaces the masks of the run's own images",
            "mask {run} --mask.source cam --mask.policy fixed --mask.threshold 0.25",
        ),
        (
            ("rcam", "threshold", 0.7),
            "`" + PREDICT.format(run="{run}", network="cam") + "` follows the rule",
            "mask {run} --mask.source rcam --mask.policy fixed --mask.threshold 0.7",
        ),
        (
            ("refined", "threshold", 0.7),
            "No command makes this mask.",
            "refine {run} --refine.method par && swtformer pseudo-label {run}",
        ),
    ],
)
def test_other_commands_are_said_to_do_something_else(
    studio: Studio, drawn: Path, arguments: tuple[str, str, float], said: str, expected: str
) -> None:
    sentence, line = studio.for_many(*arguments, "par").split("\n")  # type: ignore[arg-type]
    assert said.format(run=drawn) in sentence
    assert line == "swtformer " + expected.format(run=drawn)


def test_predict_follows_the_masks_of_the_run(drawn: Path, photograph: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(drawn, tmp_path / "run"))
    write_json(run / "masks" / "masks.json", {"source": "cam", "policy": "label_free", "threshold": 0.3})
    studio = Studio(Run(run))
    assert studio.for_many("cam", "threshold", 0.3, "par") == PREDICT.format(run=run, network="cam")
    assert "swtformer mask" in studio.for_many("rcam", "map", 0.3, "par")
    predictor = load_predictor(run, PredictSettings(network="cam"))
    made = studio.study(photograph)
    assert np.array_equal(predictor.predict(made.photograph).labels, labels_of(made, "cam", "threshold", 0.3))
