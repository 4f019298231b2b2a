"""Sets in which every pixel has a class: no map, mask or prediction has a background."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from support.chain_data import quick_chain
from support.models import CLASSES
from swtformer.datasets import open_dataset
from swtformer.datasets.mask_images import read_mask
from swtformer.errors import DataError, SettingsError
from swtformer.inference.predictor import load_predictor
from swtformer.methods import Method
from swtformer.segmentation.pretrained import load_network
from swtformer.settings import MaskSettings, PredictSettings, Settings, merge, validate
from swtformer.stages.chain import ChainResult, run_stages
from swtformer.stages.localize import localize
from swtformer.stages.mask import mask
from swtformer.stages.predict import predict
from swtformer.stages.refine import refine
from swtformer.store.maps import ClassActivationMaps

COLOURS = ((200, 60, 60), (60, 200, 60), (60, 60, 200))


def draw_fields(folder: Path, *, extra: tuple[tuple[str, str], ...] = ()) -> Path:
    """Pictures of two fields side by side, each of one class, and their labels in a table."""
    (folder / "images").mkdir(parents=True)
    rows = [("image", "labels")]
    for index in range(9):
        random = np.random.default_rng(index)
        pair = random.permutation(len(CLASSES))[:2]
        image = random.integers(-30, 30, (48, 64, 3))
        seam = random.integers(20, 44)
        image[:, :seam] += COLOURS[pair[0]]
        image[:, seam:] += COLOURS[pair[1]]
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(folder / "images" / f"{index}.png")
        rows.append((f"images/{index}.png", ";".join(CLASSES[label] for label in pair)))
    with (folder / "labels.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([*rows, *extra])
    return folder / "labels.csv"


def settings(folder: Path, **changes: dict[str, object]) -> Settings:
    base = quick_chain(folder, data={"masks": None, "background": "none"}, train={"epochs": 2})
    base = validate(Settings, merge(base.model_dump(), changes), where="test")
    return base.model_copy(update={"pseudo_label": base.pseudo_label.model_copy(update={"keep": 1.0})})


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ChainResult]:
    folder = tmp_path_factory.mktemp("fields")
    chosen = settings(folder, model={"method": "swtformer_v3"})
    data = open_dataset(draw_fields(folder), chosen.data)
    return folder, run_stages(data, settings=chosen, out=folder / "run", rounds=2)


def test_no_map_holds_a_background(whole: tuple[Path, ChainResult]) -> None:
    first = whole[1].run
    for run in (first, *first.rounds()):
        for id in run.map_ids():
            maps = ClassActivationMaps.load(run.map_file(id))
            assert maps.rcam is not None
            assert not maps.rcam[0].any()
            assert (maps.rcam[1:].max(0) > 0).all()


def test_maps_with_a_background_are_refused(whole: tuple[Path, ChainResult]) -> None:
    folder, result = whole
    message = "data.background none every pixel has a class, but CAMs"
    chosen = settings(folder, model={"method": "swtformer_v3"}, refine={"source": "cam"})
    data = open_dataset(folder / "labels.csv", chosen.data)
    with pytest.raises(SettingsError, match=message):
        run_stages(data, settings=chosen, out=folder / "other")
    with pytest.raises(SettingsError, match=message):
        refine(result.run, data, settings=chosen)
    with pytest.raises(SettingsError, match=message):
        mask(result.run, settings=MaskSettings(source="cam"))


def test_every_pixel_has_one_of_its_images_classes(whole: tuple[Path, ChainResult]) -> None:
    folder, result = whole
    lines = (folder / "labels.csv").read_text().splitlines()
    labels = {row["image"]: row["labels"] for row in csv.DictReader(lines)}
    for run in (result.run, *result.run.rounds()):
        for image, names in labels.items():
            mask = read_mask(run.pseudo_mask_file(image.removesuffix(".png")))
            assert set(np.unique(mask)) <= {CLASSES.index(name) + 1 for name in names.split(";")}


def test_the_network_gives_every_pixel_a_class(whole: tuple[Path, ChainResult], tmp_path: Path) -> None:
    folder, result = whole
    made = predict(result.run.path, folder / "images", tmp_path / "out")
    masks = [read_mask(path) for path in sorted(made.masks.rglob("*.png"))]
    assert len(masks) == 9
    assert all((mask > 0).all() for mask in masks)


def test_the_saved_models_know_it(whole: tuple[Path, ChainResult]) -> None:
    run = whole[1].run
    assert not Method.from_pretrained(run.model).has_background
    assert not load_network(run.segmentation / "model").settings.background
    photo = np.full((48, 64, 3), COLOURS[0], np.uint8)
    for network in ("cam", "segmentation"):
        model = run.model if network == "cam" else run.segmentation / "model"
        made = load_predictor(model, PredictSettings(network=network, precision="fp32")).predict(photo)
        assert (made.labels > 0).all()


def test_an_image_without_class_is_refused(whole: tuple[Path, ChainResult], tmp_path: Path) -> None:
    table = draw_fields(tmp_path, extra=(("images/empty.png", ""),))
    Image.new("RGB", (64, 48)).save(tmp_path / "images" / "empty.png")
    chosen = settings(tmp_path, model={"method": "swtformer_v3"})
    with pytest.raises(DataError, match=r"1 images .* have no class .*empty.*background none"):
        localize(whole[1].run, open_dataset(table, chosen.data), settings=chosen)


def test_maps_that_are_zero_somewhere_cannot_do_without(tmp_path: Path) -> None:
    chosen = settings(tmp_path, model={"method": "swtformer_v1"})
    data = open_dataset(draw_fields(tmp_path), chosen.data)
    with pytest.raises(SettingsError, match="needs a method that makes R-CAMs, such as swtformer_v3"):
        run_stages(data, settings=chosen, out=tmp_path / "run", rounds=1)
