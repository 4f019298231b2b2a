from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from support.launched import KILLED, files_below, killed_at, launch
from support.masked_squares import draw_pair
from support.models import CLASSES, tiny
from swtformer.datasets.mask_images import read_mask
from swtformer.datasets.records import ImageSet, Record
from swtformer.errors import CheckpointError, DataError, SettingsError, SwtformerError
from swtformer.inference.predictor import load_predictor
from swtformer.inference.windows import class_probabilities
from swtformer.methods.pretrained import save_pretrained
from swtformer.processes import is_main_process
from swtformer.segmentation import create_network
from swtformer.settings import PredictSettings, SegmentSettings, Settings
from swtformer.stages.evaluate import evaluate_folder
from swtformer.stages.predict import predict, segmenting
from swtformer.store.files import write_json
from swtformer.store.masks import write_mask
from swtformer.store.notes import update_training_notes
from swtformer.store.run import Run
from swtformer.store.sole_writer import RESULTS_LOCK

QUICK = {"precision": "fp32", "flip": False}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run with untrained networks of both kinds, whose segmentation says more than one class."""
    made = Run(tmp_path_factory.mktemp("model") / "run")
    model = tiny("swtformer_v2")
    made.write_settings(Settings.model_validate({"model": model.settings.model_dump()}))
    write_json(made.classes_file, list(CLASSES))
    save_pretrained(model, made.model)
    network = create_network(
        SegmentSettings(decoder="segformer", long_side_px=None), CLASSES, start=tiny("swtformer_v2")
    )
    image = torch.from_numpy(draw_pair(0)[0]).permute(2, 0, 1)[None]
    with torch.no_grad():
        network.head.weight.normal_()
        network.head.bias -= network.eval()(image).mean((0, 2, 3))
    network.write(made.segmentation / "model")
    return made


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for index in range(3):
        path = tmp_path / "photos" / "sub" / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw_pair(index)[0]).save(path)
    return tmp_path / "photos"


def settings(**changes: Any) -> PredictSettings:
    return PredictSettings.model_validate({**QUICK, **changes})


def test_masks_are_what_the_network_says(run: Run, photos: Path, tmp_path: Path) -> None:
    result = predict(run.path, [photos], tmp_path / "out", settings=settings())
    assert (result.kind, result.done, result.rotated, result.failures) == ("segmentation", 3, 0, ())
    network = load_predictor(run.path, settings())._network
    image = torch.from_numpy(draw_pair(1)[0]).permute(2, 0, 1)[None]
    expected = class_probabilities(network, image, scales=(1.0,), flip=False)[0].argmax(0).numpy()
    with Image.open(result.masks / "sub" / "1.png") as mask:
        assert mask.mode == "P"
    labels = read_mask(result.masks / "sub" / "1.png")
    assert (labels == expected).all()
    assert len(np.unique(labels)) > 1


def test_one_folder_and_the_run_itself(run: Run, photos: Path, tmp_path: Path) -> None:
    result = predict(run, str(photos), tmp_path / "out", settings=settings())
    assert result.done == 3


def test_areas_count_the_masks(run: Run, photos: Path, tmp_path: Path) -> None:
    predict(run.path, [photos], tmp_path / "out", settings=settings())
    with (tmp_path / "out" / "areas.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 3 * 4
    whole = json.loads((tmp_path / "out" / "areas.json").read_text())
    assert whole["classes"] == ["background", *CLASSES]
    for number, image in enumerate(whole["images"]):
        labels = read_mask(tmp_path / "out" / "masks" / f"{image['image']}.png")
        assert (image["height"], image["width"]) == labels.shape
        for label, name in enumerate(whole["classes"]):
            pixels = int((labels == label).sum())
            row = rows[4 * number + label]
            assert image["areas"][name]["pixels"] == pixels == int(row["pixels"])
            assert image["areas"][name]["fraction"] == pytest.approx(pixels / labels.size, abs=1e-6)
            assert (row["image"], row["class"], int(row["label"])) == (image["image"], name, label)
    about = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert (about["kind"], about["decoder"], about["images"]) == ("segmentation", "segformer", 3)


def test_overlays_and_probabilities(run: Run, photos: Path, tmp_path: Path) -> None:
    chosen = settings(overlays=True, probabilities=True)
    result = predict(run.path, [photos / "sub" / "0.png"], tmp_path / "out", settings=chosen)
    with Image.open(tmp_path / "out" / "overlays" / "0.jpg") as overlay:
        assert overlay.size == (64, 56)
        assert np.ptp(np.asarray(overlay), axis=2).max() > 50  # the photograph beneath is grey
    with np.load(tmp_path / "out" / "probabilities" / "0.npz", allow_pickle=False) as arrays:
        probabilities = arrays["probabilities"]
    assert probabilities.shape == (4, 14, 16)
    assert probabilities.dtype == np.float16
    np.testing.assert_allclose(probabilities.astype(float).sum(0), 1, atol=2e-3)
    labels = read_mask(result.masks / "0.png")
    agreement = (probabilities.argmax(0).repeat(4, 0).repeat(4, 1) == labels).mean()
    assert agreement > 0.8


def test_masks_can_be_scored(run: Run, photos: Path, tmp_path: Path) -> None:
    records = []
    for index in range(3):
        truth = tmp_path / "truth" / "sub" / f"{index}.png"
        write_mask(truth, draw_pair(index)[1])
        records.append(Record(f"sub/{index}", photos / "sub" / f"{index}.png", (index,), truth))
    data = ImageSet("squares", "table", photos, CLASSES, tuple(records))
    result = predict(run.path, [photos], tmp_path / "out", settings=settings())
    scores = evaluate_folder(result.masks, data)
    assert 0 <= scores.segmentation[0].miou < 1
    again = predict(run.path, data, tmp_path / "again", settings=settings())
    assert evaluate_folder(again.masks, data).segmentation == scores.segmentation


def test_a_large_image_is_seen_in_windows(run: Run, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (70, 300, 3), dtype=np.uint8)).save(tmp_path / "wide.png")
    chosen = settings(window_px=64, overlap_px=16, probabilities=True)
    result = predict(run.path, [tmp_path / "wide.png"], tmp_path / "out", settings=chosen)
    assert read_mask(result.masks / "wide.png").shape == (70, 300)
    with np.load(tmp_path / "out" / "probabilities" / "wide.npz", allow_pickle=False) as arrays:
        np.testing.assert_allclose(arrays["probabilities"].astype(float).sum(0), 1, atol=2e-3)
        assert arrays["probabilities"].shape == (4, 18, 75)


@pytest.mark.parametrize("network", ["segmentation", "cam"])
@pytest.mark.parametrize("size", [(1, 1), (1, 90), (130, 40)])
def test_odd_sizes_with_both_kinds(run: Run, network: str, size: tuple[int, int], tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    chosen = settings(network=network, window_px=96, overlap_px=8, probabilities=True)
    made = load_predictor(run.path, chosen).predict(image)
    assert made.labels.shape == size
    assert made.labels.max() <= len(CLASSES)
    assert made.probabilities is not None
    assert made.probabilities.shape == (4, -(-size[0] // 4), -(-size[1] // 4))
    np.testing.assert_allclose(made.probabilities.astype(float).sum(0), 1, atol=5e-3)


def test_a_run_without_a_network_predicts_by_maps(run: Run, photos: Path, tmp_path: Path) -> None:
    result = predict(run.path, [photos], tmp_path / "out", settings=settings(network="cam"))
    assert result.kind == "cam"
    about = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert (about["source"], about["policy"]) == ("rcam", "argmax")
    alone = predict(run.model, [photos], tmp_path / "alone", settings=settings())
    assert alone.kind == "cam"
    assert (read_mask(alone.masks / "sub" / "1.png") == read_mask(result.masks / "sub" / "1.png")).all()
    saved = predict(run.segmentation / "model", [photos], tmp_path / "saved", settings=settings())
    assert saved.kind == "segmentation"


def test_the_rule_of_the_runs_masks_is_followed(run: Run, tmp_path: Path) -> None:
    other = Run(tmp_path / "run")
    other.write_settings(run.settings())
    save_pretrained(tiny("swtformer_v2"), other.model)
    write_json(other.masks_file, {"source": "cam", "policy": "label_free", "threshold": 0.25, "images": 1})
    about = load_predictor(other.path, settings()).about
    assert (about["source"], about["policy"], about["threshold"]) == ("cam", "label_free", 0.25)
    with pytest.raises(CheckpointError, match="not a segmentation network"):
        load_predictor(other.path, settings(network="segmentation"))


def test_unreadable_images_are_failures(run: Run, photos: Path, tmp_path: Path) -> None:
    (photos / "sub" / "1.png").write_text("<html>")
    listed = [str(path) for path in sorted((photos / "sub").iterdir())] + [str(photos / "sub" / "gone.jpg")]
    result = predict(run.path, ["-"], tmp_path / "out", listed=listed, settings=settings())
    assert [failure.id for failure in result.failures] == ["1", "gone"]
    assert result.done == 2
    assert sorted(path.name for path in result.masks.iterdir()) == ["0.png", "2.png"]
    assert "does not exist" in (tmp_path / "out" / "failures.csv").read_text()
    with pytest.raises(DataError, match="1 images cannot be read"):
        predict(run.path, [photos], tmp_path / "strict", settings=settings(strict=True))
    assert not (tmp_path / "strict").exists()
    (photos / "sub" / "1.png").unlink()
    predict(run.path, [photos], tmp_path / "out", settings=settings())
    assert not (tmp_path / "out" / "failures.csv").exists()


def test_photographs_are_never_overwritten(run: Run, photos: Path) -> None:
    masks = photos.parent / "out" / "masks"
    masks.mkdir(parents=True)
    (photos / "sub" / "0.png").rename(masks / "0.png")
    before = (masks / "0.png").read_bytes()
    with pytest.raises(DataError, match=r"1 photographs would be overwritten: .*0\.png. Name another `out`"):
        predict(run.path, [masks], photos.parent / "out", settings=settings())
    assert (masks / "0.png").read_bytes() == before


def test_results_get_a_folder_of_their_own(run: Run, photos: Path, tmp_path: Path) -> None:
    before = sorted(photos.rglob("*"))
    with pytest.raises(DataError, match=r"holds the photographs.* such as .*sub/predictions\."):
        predict(run.path, [photos], photos / "sub", settings=settings())
    assert sorted(photos.rglob("*")) == before
    Run(tmp_path / "other").write_settings(Settings())
    with pytest.raises(DataError, match=r"is a run, whose own masks .* such as .*other/predictions\."):
        predict(run.path, [photos], tmp_path / "other", settings=settings())
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["settings.yaml"]


def test_a_folder_holds_all_results_and_nothing_else(run: Run, photos: Path) -> None:
    inside = photos / "sub" / "predictions"
    for _ in range(2):  # the second time, what the first left is not taken for photographs
        result = predict(run.path, [photos], inside, settings=settings(overlays=True, probabilities=True))
        assert (result.done, result.strays) == (
            len(list(photos.glob("*.*"))) + len(list(photos.glob("sub/*.*"))),
            0,
        )
    names = {"masks", "overlays", "probabilities", "areas.csv", "areas.json", "predictions.json"}
    assert {path.name for path in inside.iterdir()} == names | {RESULTS_LOCK}


def test_a_link_out_of_the_results_is_refused(run: Run, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "masks").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SwtformerError, match="a link leads out of"):
        predict(run.path, [photos], tmp_path / "out", settings=settings())
    assert list((tmp_path / "elsewhere").iterdir()) == []


@contextmanager
def rotated(photos: Path) -> Iterator[Path]:
    path = photos / "turned.jpg"
    picture = Image.fromarray(draw_pair(0)[0])
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(path, exif=exif)
    yield path


def test_exif(run: Run, photos: Path, tmp_path: Path) -> None:
    with rotated(photos) as path:
        raw = predict(run.path, [path], tmp_path / "raw", settings=settings())
        upright = predict(run.path, [path], tmp_path / "upright", settings=settings(exif="apply"))
    assert (raw.rotated, read_mask(raw.masks / "turned.png").shape) == (1, (56, 64))
    assert (upright.rotated, read_mask(upright.masks / "turned.png").shape) == (0, (64, 56))


def test_mistakes(run: Run, photos: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="must be less than half"):
        predict(run.path, [photos], tmp_path / "out", settings=settings(window_px=64, overlap_px=32))
    with pytest.raises(CheckpointError, match="does not exist"):
        predict(tmp_path / "nothing", [photos], tmp_path / "out", settings=settings())


def test_nothing_of_an_earlier_call_passes_for_this_one(run: Run, photos: Path, tmp_path: Path) -> None:
    out, folder = tmp_path / "out", photos / "sub"
    whole = predict(run.path, [folder], out, settings=settings(overlays=True))
    assert whole.strays == 0
    (folder / "1.png").write_text("<html>")

    def interrupt(stage: str, done: int, total: int, note: str = "") -> None:
        if done == 2:
            raise KeyboardInterrupt

    both = [folder / "0.png", folder / "1.png"]
    with pytest.raises(KeyboardInterrupt):
        predict(run.path, both, out, settings=settings(), progress=interrupt)
    assert {path.name for path in out.iterdir()} == {"masks", "overlays", "unfinished", RESULTS_LOCK}
    again = predict(run.path, both, out, settings=settings())
    assert (again.done, again.strays) == (1, 1)
    assert {path.name for path in again.masks.iterdir()} == {"0.png", "2.png"}
    assert {path.name for path in (out / "overlays").iterdir()} == {"2.jpg"}


def test_what_cannot_be_replaced_is_said(run: Run, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "out" / "areas.json").mkdir(parents=True)
    with pytest.raises(SwtformerError, match=r"areas\.json: cannot be replaced"):
        predict(run.path, [photos], tmp_path / "out", settings=settings())


def test_the_newest_network_stands_for_a_run_and_older_ones_can_be_named(run: Run, tmp_path: Path) -> None:
    copy = Run(Path(shutil.copytree(run.path, tmp_path / "run")))
    later = Run(Path(shutil.copytree(copy.segmentation, copy.path / "segmentation-corrected")))
    update_training_notes(later, finished="2999-01-01")
    assert load_predictor(copy.path, settings()).folder == later.model
    assert load_predictor(copy.segmentation, settings()).folder == Run(copy.segmentation).model
    assert load_predictor(copy.path, settings(network="cam")).folder == copy.model


def test_the_folder_of_a_training_is_a_model(run: Run) -> None:
    assert load_predictor(run.segmentation, settings()).kind == "segmentation"


def test_what_is_a_scene(tmp_path: Path) -> None:
    """A world file, or the setting, lets an image be seen at the scale of the training's images."""
    made = Run(tmp_path / "run")
    options = SegmentSettings(decoder="segformer", long_side_px=64)
    network = create_network(options, CLASSES, start=tiny("swtformer_v2"), largest_side_px=32)
    network.write(made.segmentation / "model")
    photos = tmp_path / "photos"
    photos.mkdir()
    large = Image.fromarray(draw_pair(0)[0]).resize((160, 160))
    for name in ("photo", "placed"):
        large.save(photos / f"{name}.png")
    (photos / "placed.pgw").write_text("1\n0\n0\n-1\n0\n0\n")
    windows = settings(window_px=64, overlap_px=8)
    masks = {}
    for seen_as in ("auto", "photograph", "scene"):
        chosen = windows.model_copy(update={"seen_as": seen_as})
        result = predict(made.path, photos, tmp_path / seen_as, settings=chosen)
        masks[seen_as] = {name: read_mask(result.masks / f"{name}.png") for name in ("photo", "placed")}
        assert bool(result.remarks) == (seen_as == "auto")
        if result.remarks:
            assert (
                "more than 4 times as large as any that the network was trained on: 1." in result.remarks[-1]
            )
            assert "set predict.seen_as to scene" in result.remarks[-1]
    np.testing.assert_array_equal(masks["auto"]["photo"], masks["photograph"]["photo"])
    np.testing.assert_array_equal(masks["auto"]["placed"], masks["scene"]["placed"])
    assert (masks["photograph"]["placed"] != masks["scene"]["placed"]).any()


def _interrupt_after(images: int) -> Any:
    def interrupt(stage: str, done: int, total: int, note: str = "") -> None:
        if done == images:
            raise KeyboardInterrupt

    return interrupt


def test_a_stopped_call_resumes(run: Run, photos: Path, tmp_path: Path) -> None:
    (photos / "sub" / "1.png").write_text("<html>")
    whole = predict(run.path, [photos], tmp_path / "whole", settings=settings(overlays=True))
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        predict(run.path, [photos], out, settings=settings(overlays=True), progress=_interrupt_after(2))
    kept = (out / "masks" / "sub" / "0.png").stat().st_mtime_ns
    again = predict(run.path, [photos], out, settings=settings(overlays=True))
    assert (out / "masks" / "sub" / "0.png").stat().st_mtime_ns == kept
    assert replace(again, out=whole.out) == whole
    assert files_below(out) == files_below(whole.out)


@pytest.mark.parametrize("change", ["settings", "photograph", "mask"])
def test_what_a_stopped_call_made_is_kept_only_while_it_is_current(
    change: str, run: Run, photos: Path, tmp_path: Path
) -> None:
    out, first = tmp_path / "out", photos / "sub" / "0.png"
    with pytest.raises(KeyboardInterrupt):
        predict(run.path, [photos], out, settings=settings(), progress=_interrupt_after(2))
    mask = out / "masks" / "sub" / "0.png"
    before = mask.stat().st_mtime_ns
    wanted = settings(flip=True) if change == "settings" else settings()
    if change == "photograph":
        Image.fromarray(draw_pair(5)[0]).save(first)
    elif change == "mask":
        mask.unlink()
    predict(run.path, [photos], out, settings=wanted)
    fresh = predict(run.path, [photos], tmp_path / "fresh", settings=wanted)
    assert mask.stat().st_mtime_ns != before
    assert files_below(out / "masks") == files_below(fresh.masks)


def _predict_launched(run: Run, photos: Path, out: Path) -> None:
    result = predict(run.path, [photos], out, settings=settings(overlays=True))
    name = "first" if is_main_process() else "second"
    (out.parent / f"{name}.txt").write_text(
        repr((result.done, result.rotated, result.failures, result.strays))
    )


def _predict_killed(run: Run, photos: Path, out: Path) -> None:
    segmenting.write_mask = killed_at(2, write_mask)
    _predict_launched(run, photos, out)


def test_two_processes_divide_the_photographs_and_one_of_them_is_killed(
    run: Run, photos: Path, tmp_path: Path
) -> None:
    for index in range(3, 8):
        Image.fromarray(draw_pair(index)[0]).save(photos / "sub" / f"{index}.png")
    (photos / "sub" / "4.png").write_text("<html>")
    one = predict(run.path, [photos], tmp_path / "one", settings=settings(overlays=True))
    out = tmp_path / "two" / "out"
    assert launch(_predict_killed, run, photos, out) == [1, KILLED]
    assert not (out / "areas.json").exists()
    made = {path: path.stat().st_mtime_ns for path in (out / "masks").rglob("*.png")}
    assert {path.stem for path in made} >= {"0", "1", "2", "6"}
    assert launch(_predict_launched, run, photos, out) == [0, 0]
    assert made == {path: path.stat().st_mtime_ns for path in made}
    assert files_below(out) == files_below(one.out)
    expected = repr((one.done, one.rotated, one.failures, one.strays))
    assert {path.read_text() for path in out.parent.glob("*.txt")} == {expected}
