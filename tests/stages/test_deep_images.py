"""Images of 12 bits and of five bands from training to masks: every command sees the same pixels."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from support.squares import quick_settings
from swtformer.cli import main
from swtformer.datasets import open_dataset
from swtformer.datasets.images import read_image
from swtformer.datasets.mask_images import read_mask
from swtformer.datasets.pixels.tiff_directories import read_directories
from swtformer.errors import SettingsError
from swtformer.inference.predictor import load_predictor
from swtformer.methods.pretrained import from_pretrained
from swtformer.settings import PredictSettings
from swtformer.stages.chain import run_stages
from swtformer.stages.localize import localize
from swtformer.stages.predict import predict
from swtformer.stages.train import train
from swtformer.store.models import saved_images
from swtformer.store.run import Run

QUICK = {"precision": "fp32", "flip": False, "workers": 0}
KEYS = (1, 1, 0, 1, 3072, 0, 1, 32632)
TAGS = [(33550, "d", 3, (10.0, 10.0, 0.0), True), (34735, "H", len(KEYS), KEYS, True)]


def draw(folder: Path, *, bands: int = 3) -> Path:
    """Twelve images of 12 bits in 16, with a bright square in one of two bands, and their labels.csv."""
    rng = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    rows = ["image,labels"]
    for index in range(12):
        values = rng.integers(300, 900, (40, 48, bands)).astype(np.uint16)
        label = index % 2
        values[8:30, 10:34, label] = 4000
        options = (
            {"photometric": "rgb"} if bands == 3 else {"photometric": "minisblack", "planarconfig": "contig"}
        )
        tifffile.imwrite(folder / "images" / f"{index:02}.tif", values, extratags=TAGS, **options)
        rows.append(f"{index:02}.tif,{('red', 'green')[label]}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw(tmp_path_factory.mktemp("deep") / "set")


@pytest.fixture(scope="module")
def run(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    settings = quick_settings(train={"epochs": 1})
    return train(open_dataset(photos), settings=settings, out=tmp_path_factory.mktemp("run") / "run")


def test_all_stages_go_on_with_the_range_that_they_decided(photos: Path, tmp_path: Path) -> None:
    settings = quick_settings(train={"epochs": 1})
    for _ in range(2):
        made = run_stages(open_dataset(photos), settings=settings, out=tmp_path / "run", until="pseudo-label")
    assert made.run.settings().data.range not in ("auto", "percentiles")


def test_the_decision_is_kept_with_run_and_model(run: Run) -> None:
    assert run.settings().data.range == (0, 4095)
    assert saved_images(run.model).range == (0, 4095)
    assert from_pretrained(run.path).images == run.settings().data.images_alone()
    config = json.loads((run.model / "config.json").read_text())
    assert config["images"]["range"] == [0, 4095]


def test_later_commands_see_the_same_pixels(run: Run, photos: Path, tmp_path: Path) -> None:
    path = photos / "images" / "01.tif"
    expected = np.rint(tifffile.imread(path) / 4095 * 255)
    np.testing.assert_array_equal(read_image(path, run.settings().data), expected)
    predictor = load_predictor(run.model, PredictSettings(**QUICK))
    assert predictor.images.range == (0, 4095)
    dark = tmp_path / "dark.tif"  # by itself it would be taken for 10 bits
    tifffile.imwrite(dark, (tifffile.imread(path) // 4).astype(np.uint16), photometric="rgb")
    result = predict(run.model, [dark], tmp_path / "out", settings=PredictSettings(**QUICK))
    assert "0 becomes black and 4095 white (as for the model)" in result.remarks[0]
    seen = np.rint(tifffile.imread(dark) / 4095 * 255).astype(np.uint8)
    np.testing.assert_array_equal(read_mask(result.masks / "dark.png"), predictor.predict(seen).labels)
    notes = json.loads((result.out / "predictions.json").read_text())
    assert notes["range"] == [0, 4095]


def test_maps_are_made_of_these_pixels_and_again_when_the_range_changes(run: Run, photos: Path) -> None:
    data = open_dataset(photos)
    assert localize(run, data).done == 12
    assert localize(run, data).reused == 12
    changed = run.settings()
    full = changed.model_copy(update={"data": changed.data.model_copy(update={"range": "full"})})
    assert localize(run, data, settings=full).done == 12


def test_a_resumed_run_keeps_its_decision(run: Run, photos: Path) -> None:
    settings = quick_settings(train={"epochs": 1})
    train(open_dataset(photos), settings=settings, out=run.path, resume=True)
    other = quick_settings(train={"epochs": 1}, data={"range": [0, 1000]})
    with pytest.raises(SettingsError, match=r"other settings: data\.range"):
        train(open_dataset(photos), settings=other, out=run.path, resume=True)


def test_the_commands_say_what_they_decided(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "check", str(photos)]) == 0
    told = (
        "Values of 300 to 4000 in 12 of 12 images (3 bands of uint16 (RGB)): 0 becomes black and 4095 white"
    )
    assert told in capsys.readouterr().out
    flags = "--model.backbone swin_nano --model.weights none --train.epochs 1 --train.crop_px 32"
    words = [*flags.split(), "--train.workers", "0", "--train.long_side_px", "40", "48"]
    words += ["--data.range", "100", "2000"]
    assert main(["train", str(photos), "--out", str(tmp_path / "run"), *words]) == 0
    assert "100 becomes black and 2000 white (as set)" in capsys.readouterr().out
    assert Run(tmp_path / "run").settings().data.range == (100, 2000)


def test_masks_keep_their_place_on_the_earth(run: Run, photos: Path, tmp_path: Path) -> None:
    path = tmp_path / "photos" / "b.png"
    path.parent.mkdir()
    Image.new("RGB", (40, 40)).save(path)
    path.with_suffix(".pgw").write_text("10\n0\n0\n-10\n5\n5\n")
    path.with_suffix(".prj").write_text("PROJCS[]")
    out = tmp_path / "out"
    predict(run.path, [photos / "images" / "03.tif", path], out, settings=PredictSettings(**QUICK))
    placed = out / "georeferenced" / "03.tif"
    np.testing.assert_array_equal(read_mask(placed), read_mask(out / "masks" / "03.png"))
    with placed.open("rb") as stream:
        tags = read_directories(stream)[0].tags
    assert (tags[33550], tags[34735]) == ((10.0, 10.0, 0.0), KEYS)
    assert (out / "masks" / "b.pgw").read_text() == "10\n0\n0\n-10\n5\n5\n"
    assert (out / "masks" / "b.prj").read_text() == "PROJCS[]"
    assert not (out / "georeferenced" / "b.tif").exists()
    path.with_suffix(".pgw").unlink()
    predict(run.path, [path], out, settings=PredictSettings(**QUICK))
    assert not (out / "masks" / "b.pgw").exists()


def test_five_bands_from_training_to_masks(tmp_path: Path) -> None:
    data = open_dataset(draw(tmp_path / "set", bands=5))
    settings = quick_settings(train={"epochs": 1}, data={"bands": [5, 4, 3, 2, 1]})
    run = train(data, settings=settings, out=tmp_path / "run")
    assert (run.settings().model.bands, run.settings().data.range) == (5, (0, 4095))
    assert localize(run, data).done == 12
    result = predict(
        run.path,
        [tmp_path / "set" / "images"],
        tmp_path / "out",
        settings=PredictSettings(overlays=True, **QUICK),
    )
    assert (result.done, result.failures) == (12, ())
    changed = run.settings()
    three = changed.model_copy(update={"data": changed.data.model_copy(update={"bands": (1, 2, 3)})})
    with pytest.raises(SettingsError, match="names 3 bands; the model was trained on 5"):
        localize(run, data, settings=three)
    with pytest.raises(SettingsError, match="names 3 bands; the model was trained on 5"):
        load_predictor(run.path, PredictSettings(bands=(1, 2, 3)))
    for name in ("mct", "psa"):
        colours = quick_settings(
            train={"epochs": 1, "augmentation": name, "long_side_px": None}, data={"bands": [1, 2]}
        )
        with pytest.raises(SettingsError, match=rf"{name} changes colours, and data\.bands names 2 bands"):
            train(data, settings=colours, out=tmp_path / "other")


def test_scenes_are_segmented_by_rows(
    run: Run, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from swtformer.datasets.pixels import large_images
    from swtformer.segmentation import create_network
    from swtformer.settings import SegmentSettings

    model = from_pretrained(run.path)
    network = create_network(SegmentSettings(decoder="fpn"), model.classes, start=model)
    network.images = model.images
    network.write(tmp_path / "network")
    rng = np.random.default_rng(1)
    path = tmp_path / "scene.tif"
    values = rng.integers(0, 4096, (333, 250, 3)).astype(np.uint16)
    tifffile.imwrite(path, values, photometric="rgb", extratags=TAGS, tile=(64, 64), compression="deflate")
    small = PredictSettings(window_px=128, overlap_px=16, **QUICK)
    whole = predict(tmp_path / "network", [path], tmp_path / "whole", settings=small)
    monkeypatch.setattr(large_images, "WHOLE_BYTES", 0)
    rows = predict(tmp_path / "network", [path], tmp_path / "rows", settings=small)
    assert (rows.done, rows.failures) == (1, ())
    assert list(rows.masks.glob("*")) == []
    made = read_mask(rows.out / "georeferenced" / "scene.tif")
    np.testing.assert_array_equal(made, read_mask(whole.masks / "scene.png"))
    assert (rows.out / "areas.csv").read_text() == (whole.out / "areas.csv").read_text()
    with (rows.out / "georeferenced" / "scene.tif").open("rb") as stream:
        assert read_directories(stream)[0].tags[34735] == KEYS
    maps = predict(run.model, [path], tmp_path / "maps", settings=PredictSettings(**QUICK))
    assert maps.done == 0
    assert "has to see an image whole" in maps.failures[0].reason
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        place = file.pages[0].dataoffsets[-1]
    data[place : place + 30] = bytes(30)
    path.write_bytes(bytes(data))
    damaged = predict(tmp_path / "network", [path], tmp_path / "rows", settings=small)
    assert "cannot be decoded" in damaged.failures[0].reason
    assert list((tmp_path / "rows" / "georeferenced").iterdir()) == []
