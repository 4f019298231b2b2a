"""What the stages make of every method, from `train` to `report`: those that are registered, and the toys."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from support.chain_data import draw_photos
from support.models import CLASSES, backbone_of, tiny
from support.squares import quick_settings
from support.toy_methods import TOYS, registered_toys
from swtformer.datasets import open_dataset
from swtformer.datasets.records import ImageSet
from swtformer.engine.checkpoint_files import newest_checkpoint, read_checkpoint
from swtformer.errors import SettingsError
from swtformer.methods import METHODS, Method
from swtformer.progress import Progress
from swtformer.settings import DataSettings, RefineSettings, SegmentSettings, Settings
from swtformer.stages.evaluate import evaluate
from swtformer.stages.localize import localize
from swtformer.stages.mask import mask
from swtformer.stages.pseudo_label import pseudo_label
from swtformer.stages.refine import refine
from swtformer.stages.report import report
from swtformer.stages.segment import segment
from swtformer.stages.train import train
from swtformer.store.files import read_json
from swtformer.store.maps import ClassActivationMaps
from swtformer.store.models import WEIGHTS
from swtformer.store.run import Run

IMAGES = 4
WITHOUT_PYRAMID = ["toy_tokens", "toy_two_branches"]


def settings_of(name: str, **train: Any) -> Settings:
    """Three epochs of two steps, with changes of the training."""
    return quick_settings(
        model={"method": name, "backbone": backbone_of(name)},
        train={"batch_size": 2, "crop_px": 64, "long_side_px": [64, 72], **train},
        localize={"flip": False},
        pseudo_label={"rule": "keep", "keep": 0.5},
    )


@pytest.fixture(scope="module", autouse=True)
def toys() -> Iterator[None]:
    with registered_toys():
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ImageSet:
    table = draw_photos(tmp_path_factory.mktemp("photos"), count=IMAGES)
    return open_dataset(table, DataSettings(masks=table.parent / "masks"))


@dataclass(frozen=True)
class Finished:
    """A method and the run that all stages were made in."""

    name: str
    method: type[Method]
    run: Run

    def maps(self) -> ClassActivationMaps:
        """Those of the first image."""
        return ClassActivationMaps.load(self.run.map_file(self.run.map_ids()[0]))


@pytest.fixture(scope="module", params=[*METHODS, *TOYS])
def finished(
    request: pytest.FixtureRequest, data: ImageSet, tmp_path_factory: pytest.TempPathFactory
) -> Finished:
    name = request.param
    run = train(data, settings=settings_of(name), out=tmp_path_factory.mktemp(name) / "run")
    localize(run, data)
    mask(run)
    refine(run, data)
    pseudo_label(run)
    evaluate(run, data)
    report(run, data)
    return Finished(name, METHODS[name], run)


def test_every_stage_leaves_its_result(finished: Finished) -> None:
    run = finished.run
    assert len(run.map_ids()) == len(list(run.masks.rglob("*.png"))) == IMAGES
    assert len(list(run.refined.rglob("*.npz"))) == len(list(run.pseudo_masks.rglob("*.png"))) == IMAGES
    assert not run.failures_file.exists()


def test_maps_on_disk_are_those_that_makes_announces(finished: Finished) -> None:
    maps = finished.maps()
    assert (maps.rcam is not None) == ("rcam" in finished.method.makes)
    sources = {score["source"] for score in read_json(finished.run.scores_file)["segmentation"]}
    assert len(sources) == len(finished.method.makes)


def test_every_loss_is_a_column_with_values_and_a_curve(finished: Finished) -> None:
    with finished.run.metrics_file.open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 3
    page = finished.run.report_file.read_text(encoding="utf-8")
    for name in tiny(finished.name).loss_names:
        assert [row[name] for row in rows if not float(row[name]) >= 0] == []
        words = name.replace("_", "[_ ]")
        assert re.search(rf'aria-label="Losses[^"]*\b{words} from', page, re.IGNORECASE), name


def test_an_interrupted_training_ends_with_the_same_weights(
    finished: Finished, data: ImageSet, tmp_path: Path
) -> None:
    """Stopped in the second and in the third epoch; one toy looks at the whole set before the third."""
    settings, out = settings_of(finished.name), tmp_path / "run"

    def stop_at(step: int) -> Progress:
        def progress(stage: str, done: int, total: int, note: str = "") -> None:
            if done == step:
                raise KeyboardInterrupt

        return progress

    with pytest.raises(KeyboardInterrupt):
        train(data, settings=settings, out=out, progress=stop_at(3))
    with pytest.raises(KeyboardInterrupt):
        train(data, settings=settings, out=out, resume=True, progress=stop_at(5))
    resumed = train(data, settings=settings, out=out, resume=True)
    expected = load_file(finished.run.model / WEIGHTS)
    weights = load_file(resumed.model / WEIGHTS)
    assert weights.keys() == expected.keys()
    assert [name for name in weights if not weights[name].equal(expected[name])] == []


@pytest.mark.parametrize("finished", ["toy_re_clustered"], indirect=True)
def test_what_only_training_needs_is_in_checkpoints_and_not_in_the_model(finished: Finished) -> None:
    state = read_checkpoint(newest_checkpoint(finished.run.checkpoints))
    assert state["training_state"]["sub_labels"].shape == (IMAGES, len(CLASSES), 2)
    assert not [name for name in load_file(finished.run.model / WEIGHTS) if "sub_labels" in name]
    assert Method.from_pretrained(finished.run.path).training_state == {}


@pytest.mark.parametrize("finished", WITHOUT_PYRAMID, indirect=True)
def test_a_refiner_that_learns_refuses_a_method_without_a_pyramid(finished: Finished, data: ImageSet) -> None:
    settings = finished.run.settings().model_copy(update={"refine": RefineSettings(method="psa")})
    with pytest.raises(SettingsError, match=rf"'{finished.name}' has no features .*refine\.method par"):
        refine(finished.run, data, settings=settings)


@pytest.mark.parametrize("finished", WITHOUT_PYRAMID, indirect=True)
def test_segment_refuses_the_encoder_of_a_method_without_a_pyramid(
    finished: Finished, data: ImageSet, tmp_path: Path
) -> None:
    pytest.importorskip("segmentation_models_pytorch")
    settings = finished.run.settings().model_copy(
        update={"segment": SegmentSettings(encoder="run", masks=data.root.parent / "masks", workers=0)}
    )
    with pytest.raises(SettingsError, match=rf"'{finished.name}' has no .*segment\.encoder"):
        segment(finished.run, data, settings=settings, out=tmp_path / "network")


@pytest.mark.parametrize("finished", WITHOUT_PYRAMID[:1], indirect=True)
def test_freezing_stages_is_refused_before_training(
    finished: Finished, data: ImageSet, tmp_path: Path
) -> None:
    settings = settings_of(finished.name, freeze_stages=1)
    with pytest.raises(SettingsError, match=f"freeze_stages.*'{finished.name}' has no stages"):
        train(data, settings=settings, out=tmp_path / "run")
