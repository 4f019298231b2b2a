"""Map making on small images: what lies on disk, what is reused, what is refused."""

from __future__ import annotations

import os
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from support.launched import KILLED, files_below, killed_at, launch
from support.models import tiny
from support.squares import draw_squares, quick_settings
from swtformer.datasets.records import ImageSet, Problem, Record
from swtformer.errors import CheckpointError, DataError, SettingsError
from swtformer.methods import create_model
from swtformer.methods.checked_maps import checked_maps
from swtformer.methods.pretrained import save_pretrained
from swtformer.settings import ModelSettings, Settings, merge, validate
from swtformer.stages.chain import run_stages
from swtformer.stages.localize.data_set import localize, written
from swtformer.store.failures import read_failures
from swtformer.store.files import read_json
from swtformer.store.maps import ClassActivationMaps
from swtformer.store.run import Run


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ImageSet:
    return draw_squares(tmp_path_factory.mktemp("squares"))


def _run(folder: Path, method: str = "swtformer_v2") -> Run:
    tiny()  # fixes the seed of the weights
    model = create_model(ModelSettings(method=method, backbone="swin_nano", weights="none"), ("red", "green"))
    run = Run(folder)
    run.write_settings(quick_settings())
    save_pretrained(model, run.model)
    return run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return _run(tmp_path / "run")


def test_a_batch_that_exceeds_the_memory_is_halved(
    run: Run, data: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []

    def maps(model: object, images: torch.Tensor, *rest: object, **options: object) -> object:
        sizes.append(len(images))
        if len(images) > 2:
            raise torch.OutOfMemoryError("three are too many")
        return checked_maps(model, images, *rest, **options)

    monkeypatch.setattr("swtformer.stages.localize.data_set.checked_maps", maps)
    settings = merge(run.settings().model_dump(), {"localize": {"batch_size": 8}})
    result = localize(run, data, settings=validate(Settings, settings, where="test"))
    assert (result.done, result.failures) == (12, ())
    assert max(sizes) > 2
    halved = [ClassActivationMaps.load(run.map_file(record.id)) for record in data.records]
    shutil.rmtree(run.maps)
    localize(run, data)
    for record, maps in zip(data.records, halved, strict=True):
        alone = ClassActivationMaps.load(run.map_file(record.id))
        np.testing.assert_allclose(maps.cam.astype(float), alone.cam.astype(float), atol=2e-3)


def test_one_file_per_image_with_only_its_classes(run: Run, data: ImageSet) -> None:
    result = localize(run, data)
    assert (result.done, result.reused, result.failures) == (12, 0, ())
    for record in data.records:
        maps = ClassActivationMaps.load(run.map_file(record.id))
        assert maps.values.tolist() == [k + 1 for k in record.present or ()]
        assert maps.size == (40, 48)
        assert maps.cam.shape == (len(record.present or ()), 10, 12)
        assert maps.cam.dtype == np.float16
        assert maps.rcam is not None
        assert maps.rcam.shape == (len(record.present or ()) + 1, 10, 12)
        assert maps.probabilities.shape == (2,)
    facts = read_json(run.maps_file)
    assert (facts["scales"], facts["flip"], facts["images"]) == ([1.0], True, 12)


def test_v1_makes_no_refined_maps(data: ImageSet, tmp_path: Path) -> None:
    first = _run(tmp_path / "v1", "swtformer_v1")
    localize(first, data.subset([0]))
    assert ClassActivationMaps.load(first.map_file("0")).rcam is None


def test_what_is_whole_is_kept_and_the_rest_made_again(run: Run, data: ImageSet) -> None:
    localize(run, data)
    kept, truncated = run.map_file("0"), run.map_file("1")
    before = kept.stat().st_mtime_ns, truncated.read_bytes()
    whole = ClassActivationMaps.load(truncated).cam
    truncated.write_bytes(before[1][:100])
    result = localize(run, data)
    assert (result.done, result.reused) == (1, 11)
    assert kept.stat().st_mtime_ns == before[0]
    np.testing.assert_array_equal(ClassActivationMaps.load(truncated).cam, whole)


def test_other_labels_or_another_image_make_maps_again(run: Run, data: ImageSet, tmp_path: Path) -> None:
    few = data.subset([0, 1])
    localize(run, few)
    first, second = few.records
    relabelled = Record(first.id, first.image, (1,))
    moved = tmp_path / "1.png"
    moved.write_bytes(second.image.read_bytes())
    changed = ImageSet("changed", "table", data.root, data.classes, (relabelled, second))
    assert (localize(run, changed).done, localize(run, changed).reused) == (1, 2)
    assert ClassActivationMaps.load(run.map_file("0")).values.tolist() == [2]
    elsewhere = ImageSet(
        "elsewhere", "table", tmp_path, data.classes, (relabelled, Record(second.id, moved, second.present))
    )
    assert localize(run, elsewhere).done == 1


def test_other_settings_or_another_model_make_maps_again(run: Run, data: ImageSet) -> None:
    few = data.subset([0, 1])
    localize(run, few)
    assert localize(run, few, settings=quick_settings(localize={"flip": False})).done == 2
    assert localize(run, few, settings=quick_settings(localize={"flip": False, "workers": 3})).reused == 2
    assert localize(run, few, settings=quick_settings(localize={"views": "in_turn"})).done == 2
    assert read_json(run.maps_file)["flip"] == "in_turn"
    assert localize(run, few, settings=quick_settings(localize={"flip": False})).done == 2
    _run(run.path)
    again = create_model(ModelSettings(backbone="swin_nano", weights="none"), ("red", "green"))
    save_pretrained(again, run.model)
    assert localize(run, few, settings=quick_settings(localize={"flip": False})).done == 2


def test_batches_give_the_maps_of_single_images(data: ImageSet, tmp_path: Path) -> None:
    one, many = _run(tmp_path / "one"), _run(tmp_path / "many")
    localize(one, data)
    localize(many, data, settings=quick_settings(localize={"batch_size": 5}))
    for record in data.records:
        first, second = (ClassActivationMaps.load(item.map_file(record.id)) for item in (one, many))
        np.testing.assert_allclose(first.cam.astype(float), second.cam.astype(float), atol=2e-3)
        assert first.rcam is not None
        assert second.rcam is not None
        np.testing.assert_allclose(first.rcam.astype(float), second.rcam.astype(float), atol=2e-3)


def test_images_that_cannot_be_read_are_skipped(run: Run, data: ImageSet, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(data.records[0].image.read_bytes()[:-20])
    records = (data.records[0], Record("broken", broken, (0,)), Record("gone", tmp_path / "gone.png", (1,)))
    mixed = ImageSet("mixed", "table", data.root, data.classes, records)
    run.maps.mkdir()
    run.map_file("broken").write_bytes(b"maps of before, when it could be read")
    result = localize(run, mixed)
    assert result.done == 1
    assert [failure.id for failure in result.failures] == ["broken", "gone"]
    assert [failure.stage for failure in read_failures(run)] == ["localize", "localize"]
    assert not run.map_file("broken").exists()


def test_listed_images_that_are_not_there_are_rows_as_well(run: Run, data: ImageSet) -> None:
    gone = Problem(
        "missing_image", False, "labels.csv:9: image 'gone' is missing in images; left out.", id="gone"
    )
    other = Problem("missing_mask", False, "masks/a.png: is missing.", id="a")
    result = localize(run, replace(data, problems=(gone, other)))
    assert [(failure.id, failure.reason) for failure in result.failures] == [("gone", gone.message)]
    assert read_failures(run) == list(result.failures)


def test_labels_are_needed_or_predicted(run: Run, data: ImageSet) -> None:
    unlabelled = ImageSet(
        "photos", "folder", data.root, data.classes, tuple(Record(r.id, r.image, None) for r in data.records)
    )
    with pytest.raises(DataError, match="12 images of photos have no labels"):
        localize(run, unlabelled)
    localize(run, unlabelled, settings=quick_settings(localize={"classes": "predicted"}))
    assert all(len(ClassActivationMaps.load(run.map_file(r.id)).values) >= 1 for r in unlabelled.records)


def test_classes_must_be_the_model_s(run: Run, data: ImageSet) -> None:
    other = ImageSet("other", "table", data.root, ("green", "red"), data.records)
    with pytest.raises(DataError, match="the model knows"):
        localize(run, other)


@pytest.mark.parametrize("method", ["swtformer_v1", "mctformer_plus"])
def test_seeds_by_contrast_need_prototypes(run: Run, data: ImageSet, method: str) -> None:
    settings = quick_settings(model={"method": method}, localize={"seeds": "contrast"})
    with pytest.raises(SettingsError, match=r"localize\.seeds contrast needs a method with prototypes"):
        localize(run, data, settings=settings)
    assert not run.maps.exists()
    with pytest.raises(SettingsError, match=r"localize\.seeds contrast needs"):  # before the training
        run_stages(data, settings=settings, out=run.path.parent / "chain")
    assert not Run(run.path.parent / "chain").model.exists()


def test_a_run_without_a_model(data: ImageSet, tmp_path: Path) -> None:
    run = Run(tmp_path / "empty")
    run.write_settings(quick_settings())
    with pytest.raises(CheckpointError, match="holds no model"):
        localize(run, data)


def test_stopped_and_called_again_it_goes_on(run: Run, data: ImageSet) -> None:
    def stop(stage: str, done: int, total: int, note: str = "") -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        localize(run, data, progress=stop)
    result = localize(run, data)
    assert (result.done, result.reused) == (7, 5)
    assert not list(run.maps.glob(".*"))


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_files_are_written_in_order_and_by_threads_beside_an_accelerator(device: str) -> None:
    threads = set()

    def save(number: int) -> int:
        threads.add(threading.get_ident())
        if number == 30:
            raise OSError("disk full")
        return 2 * number

    assert list(written(save, range(30), device=device)) == list(range(0, 60, 2))
    assert (threading.get_ident() in threads) == (device == "cpu")
    with pytest.raises(OSError, match="disk full"):
        list(written(save, range(40), device=device))


def _localize_launched(run: Run, data: ImageSet) -> None:
    result = localize(run, data)
    (run.path / f"{os.environ['RANK']}.txt").write_text(repr((result.done, result.reused, result.failures)))


def _localize_killed(run: Run, data: ImageSet) -> None:
    ClassActivationMaps.save = killed_at(3, ClassActivationMaps.save)  # type: ignore[method-assign]
    _localize_launched(run, data)


def test_two_processes_divide_the_images_and_one_of_them_is_killed(data: ImageSet, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    records = (*data.records[:6], Record("x/broken", broken, (0,)), *data.records[6:])
    mixed = replace(data, records=records)
    one, two = _run(tmp_path / "one"), _run(tmp_path / "two")
    expected = localize(one, mixed)

    assert launch(_localize_killed, two, mixed) == [1, KILLED]
    made = {path: path.stat().st_mtime_ns for path in two.maps.rglob("*.npz")}
    assert {path.stem for path in made} == {"0", "2", "4", "7", "9", "11"} | {"1", "3"}
    assert not two.failures_file.exists()

    assert launch(_localize_launched, two, mixed) == [0, 0]
    assert made == {path: path.stat().st_mtime_ns for path in made}
    assert files_below(two.maps) == files_below(one.maps)
    assert read_failures(two) == read_failures(one)
    told = repr((expected.done - len(made), len(made), expected.failures))
    assert {path.read_text() for path in two.path.glob("*.txt")} == {told}
