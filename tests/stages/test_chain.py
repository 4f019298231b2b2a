"""All stages in one call: what comes out, what is kept when it is called again, what is refused."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from support.chain_data import draw_photos, quick_chain
from support.toy_methods import registered_toys
from swtformer.datasets import open_dataset
from swtformer.datasets.problems import BrokenSetError
from swtformer.errors import DataError, SettingsError, SwtformerError
from swtformer.review.decisions import decide, open_queue
from swtformer.settings import Settings
from swtformer.stages.chain import STAGES, ChainResult, StageName, run_stages
from swtformer.stages.pseudo_label import pseudo_label
from swtformer.stages.refine import refine
from swtformer.stages.segment import segment
from swtformer.store.files import read_json, write_json
from swtformer.store.notes import update_training_notes
from swtformer.store.run import RefinedRun, Run


def run(table: Path, out: Path, settings: Settings, *, until: StageName = "report") -> ChainResult:
    data = open_dataset(table, settings.data)
    return run_stages(data, settings=settings, out=out, rounds=1, until=until)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ChainResult]:
    """A folder of photographs with one that cannot be read, and what all stages made of them."""
    folder = tmp_path_factory.mktemp("whole")
    table = draw_photos(folder)
    photo = folder / "images" / "3.png"
    photo.write_bytes(photo.read_bytes()[:200])
    return folder, run(table, folder / "run", quick_chain(folder))


def test_every_stage_leaves_its_result(whole: tuple[Path, ChainResult]) -> None:
    _, result = whole
    made = result.run
    assert tuple(step.stage for step in result.steps) == STAGES
    assert [step.number for step in result.steps] == list(range(1, 9))
    checked = "9 images of 3 classes, 1 of them cannot be read; labels from labels.csv"
    assert result.steps[0].result == checked
    assert {step.total for step in result.steps} == {8}
    assert (made.model / "model.safetensors").is_file()
    assert (made.segmentation / "model" / "model.safetensors").is_file()
    assert len(made.map_ids()) == len(list(made.pseudo_masks.rglob("*.png"))) == 8
    assert read_json(made.scores_file)["missing"] == 1
    assert read_json(RefinedRun(made).scores_file)["missing"] == 1


def test_the_report_shows_the_later_stages(whole: tuple[Path, ChainResult]) -> None:
    page = whole[1].run.report_file.read_text(encoding="utf-8")
    for id in ("refined", "pseudo-masks", "segmentation", "review"):
        assert f'<section id="{id}"' in page
        assert f'href="#{id}"' in page
    assert "Pseudo-mask of " in page
    assert "Cross entropy" in page


def test_everything_is_scored_and_the_report_shows_it(whole: tuple[Path, ChainResult]) -> None:
    _, result = whole
    assert result.scores is not None
    names = [(step.masks, step.knows_labels, step.background) for step in result.scores.steps]
    assert names == [
        ("CAM", True, "label-free threshold"),
        ("R-CAM", True, "argmax"),
        ("refined by par", True, "argmax"),
        ("pseudo-masks", True, "255 counts as a miss"),
        ("pseudo-masks", True, "255 left out"),
        ("segmentation network", False, "highest class"),
    ]
    assert result.scores.images == 9
    assert "was trained on 8 of the 9, with their pseudo-masks" in result.scores.note
    page = result.run.report_file.read_text(encoding="utf-8")
    for text in (
        "Refined maps’ mIoU",
        "Pseudo-masks’ mIoU",
        "Network’s mIoU",
        "255 counts as a miss",
        "of the pixels that are decided",
    ):
        assert text in page
    assert page.count(result.scores.note) == 2
    assert result.steps[-2].result == "all stages scored on 9 images with ground truth"


def test_a_skipped_image_is_told(whole: tuple[Path, ChainResult]) -> None:
    _, result = whole
    assert "1 of them cannot be read" in result.steps[0].result
    assert [problem.kind for problem in result.steps[0].problems] == ["unreadable_image"]
    assert {failure.id for failure in result.failures} == {"images/3"}


def test_an_image_is_scored_that_was_repaired_and_one_that_broke(tmp_path: Path) -> None:
    settings = quick_chain(tmp_path, train={"resume_anyway": True}, segment={"resume_anyway": True})
    table = draw_photos(tmp_path)
    image = tmp_path / "images" / "3.png"
    whole, broken = image.read_bytes(), b"no picture"
    for content in (broken, whole, broken):
        image.write_bytes(content)
        result = run(table, tmp_path / "run", settings)
        masks = Run(Run(result.run.segmentation).predictions).mask_file("images/3")
        if content is whole:
            assert masks.is_file()
        assert result.run.map_file("images/3").is_file() == (content is whole)
        assert result.run.refined_map_file("images/3").is_file() == (content is whole)


def test_again_it_keeps_what_is_there(whole: tuple[Path, ChainResult], tmp_path: Path) -> None:
    folder, result = whole
    copy = Run(Path(shutil.copytree(result.run.path, tmp_path / "run")))
    weights = (copy.segmentation / "model" / "model.safetensors").read_bytes()
    masks = {file: file.stat().st_ino for file in copy.pseudo_masks.rglob("*.png")}
    again = run(folder / "labels.csv", copy.path, quick_chain(folder))
    lines = {step.stage: step.result for step in again.steps}
    assert lines["check"] == "checked before; labels from labels.csv"
    assert lines["localize"] == "maps of 0 images made, 8 kept"
    assert lines["refine"] == "maps of 0 images refined by par, 8 kept"
    assert lines["pseudo-label"] == "8 pseudo-masks kept"
    assert {file: file.stat().st_ino for file in copy.pseudo_masks.rglob("*.png")} == masks
    assert (copy.segmentation / "model" / "model.safetensors").read_bytes() == weights
    assert again.scores == result.scores
    assert len(again.failures) == len(result.failures)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"segment": {"epochs": 7}}, "segment.epochs"),
        ({"refine": {"method": "dense_crf"}}, "refine.method, refiner.iterations"),
        ({"refiner": {"iterations": 5}, "segment": {"dice": 1.0}}, "segment.dice, refiner.iterations"),
        ({"pseudo_label": {"rule": "keep", "keep": 0.75}}, "pseudo_label.keep"),
        ({"localize": {"flip": False}}, "localize.flip"),
    ],
)
def test_another_network_is_refused_before_any_work(
    whole: tuple[Path, ChainResult], changes: dict[str, dict[str, object]], named: str
) -> None:
    folder, result = whole
    told: list[str] = []
    settings = quick_chain(folder, **changes)
    data = open_dataset(folder / "labels.csv", settings.data)
    with pytest.raises(
        SettingsError, match=rf"segmentation holds a network of other settings: {named}\. Remove"
    ):
        run_stages(data, settings=settings, out=result.run.path, progress=lambda *a: told.append(a[0]))
    assert told == []


def test_maps_that_were_refined_otherwise_since_are_told_before_any_work(
    whole: tuple[Path, ChainResult], tmp_path: Path
) -> None:
    folder, result = whole
    copy = Run(Path(shutil.copytree(result.run.path, tmp_path / "run")))
    other = quick_chain(folder, refiner={"iterations": 5})
    refine(copy, open_dataset(folder / "labels.csv", other.data), settings=other)
    told: list[str] = []
    with pytest.raises(SettingsError, match=r"other settings: refiner\.iterations"):
        run_stages(
            open_dataset(folder / "labels.csv", other.data),
            settings=other,
            out=copy.path,
            progress=lambda *a: told.append(a[0]),
        )
    assert told == []


def test_a_network_is_trained_anew_where_its_folder_was_removed(
    whole: tuple[Path, ChainResult], tmp_path: Path
) -> None:
    folder, result = whole
    copy = Run(Path(shutil.copytree(result.run.path, tmp_path / "run")))
    shutil.rmtree(copy.segmentation)
    again = run(folder / "labels.csv", copy.path, quick_chain(folder, segment={"epochs": 2}), until="segment")
    assert again.steps[-2].result == "8 pseudo-masks kept"
    assert Run(copy.segmentation).settings().segment.epochs == 2


def test_a_network_trained_on_copies_of_the_truth_is_told(
    whole: tuple[Path, ChainResult], tmp_path: Path
) -> None:
    folder, result = whole
    copy = Run(Path(shutil.copytree(result.run.path, tmp_path / "run")))
    shutil.rmtree(copy.segmentation)
    shutil.copytree(folder / "masks", tmp_path / "masks")
    settings = quick_chain(folder, segment={"masks": str(tmp_path / "masks")})
    again = run(folder / "labels.csv", copy.path, settings)
    assert again.steps[5].result.startswith("network trained on 9 images with true masks")
    assert again.scores is not None
    assert "it was trained on true masks" in again.scores.steps[-1].caution
    page = copy.report_file.read_text(encoding="utf-8")
    assert page.count(f"* The network: {again.scores.steps[-1].caution}") == 2
    assert "trained on true masks*" in page
    before = result.run.report_file.read_text(encoding="utf-8")
    assert "8 images with pseudo-masks</dd>" in before
    assert "The network:" not in before


def test_it_goes_on_after_masks_were_rejected_and_says_so(
    whole: tuple[Path, ChainResult], tmp_path: Path
) -> None:
    folder, result = whole
    copy = Run(Path(shutil.copytree(result.run.path, tmp_path / "run")))
    queue = open_queue(copy)
    decide(copy, queue.items[0].review.id, "reject", version=queue.items[0].version)
    again = run(folder / "labels.csv", copy.path, quick_chain(folder), until="segment")
    assert "; 1 masks were rejected since the training began; to train" in again.steps[-1].result
    later = Run(Path(shutil.copytree(copy.segmentation, copy.path / "segmentation-corrected")))
    update_training_notes(later, finished="2999-01-01")
    again = run(folder / "labels.csv", copy.path, quick_chain(folder), until="segment")
    assert "and represents the run; 1 masks were rejected since" in again.steps[-1].result


def test_a_newer_network_is_scored_and_shown(whole: tuple[Path, ChainResult], tmp_path: Path) -> None:
    folder, result = whole
    copy = Run(Path(shutil.copytree(result.run.path, tmp_path / "run")))
    later = Run(Path(shutil.copytree(copy.segmentation, copy.path / "segmentation-corrected")))
    update_training_notes(later, finished="2999-01-01")
    write_json(later.scores_file, {**read_json(later.scores_file), "supervision": "corrected"})
    again = run(folder / "labels.csv", copy.path, quick_chain(folder))
    assert again.steps[5].result == "kept; segmentation-corrected is newer, and represents the run"
    assert again.scores is not None
    assert again.scores.steps[-1].masks == "segmentation network in segmentation-corrected"
    assert "was trained on 8 of the 9, with their corrected masks" in again.scores.note
    page = copy.report_file.read_text(encoding="utf-8")
    assert "<code>run/segmentation-corrected/</code>" in page
    assert again.scores.note in page


def test_interrupted_it_goes_on(tmp_path: Path) -> None:
    settings = quick_chain(tmp_path)
    data = open_dataset(draw_photos(tmp_path), settings.data)

    def stop(stage: str, done: int, total: int, note: str = "") -> None:
        if stage == "stage 3 of 4: localize" and done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_stages(data, settings=settings, out=tmp_path / "run", until="refine", progress=stop)
    weights = (tmp_path / "run" / "model" / "model.safetensors").read_bytes()
    result = run_stages(data, settings=settings, out=tmp_path / "run", until="refine")
    assert "5 images made, 4 kept" in result.steps[2].result
    assert "maps of 9 images refined" in result.steps[3].result
    assert (tmp_path / "run" / "model" / "model.safetensors").read_bytes() == weights


def test_other_data_is_refused(whole: tuple[Path, ChainResult], tmp_path: Path) -> None:
    table = draw_photos(tmp_path, count=6)
    with pytest.raises(SettingsError, match=r"was trained on other images or labels .* Name another `out`"):
        run(table, whole[1].run.path, quick_chain(tmp_path))


def test_other_photographs_of_the_same_names_and_labels_are_refused_before_any_work(
    whole: tuple[Path, ChainResult], tmp_path: Path
) -> None:
    table = draw_photos(tmp_path)
    for file in (tmp_path / "images").iterdir():
        Image.open(file).resize((30, 20)).save(file)
    maps = {file: file.stat().st_ino for file in whole[1].run.maps.rglob("*.npz")}
    with pytest.raises(SettingsError, match=r"image files were replaced .*train\.resume_anyway"):
        run(table, whole[1].run.path, quick_chain(whole[0]))
    assert {file: file.stat().st_ino for file in whole[1].run.maps.rglob("*.npz")} == maps


def test_a_fixed_image_is_mapped_and_the_networks_may_stay(tmp_path: Path) -> None:
    table = draw_photos(tmp_path)
    photo = tmp_path / "images" / "3.png"
    content = photo.read_bytes()
    photo.write_bytes(content[:200])
    made = run(table, tmp_path / "run", quick_chain(tmp_path)).run
    networks = (made, Run(made.segmentation))
    weights = [(item.model / "model.safetensors").read_bytes() for item in networks]
    photo.write_bytes(content)
    with pytest.raises(SettingsError, match=r"image files were replaced .*train\.resume_anyway"):
        run(table, made.path, quick_chain(tmp_path))
    again = run(table, made.path, quick_chain(tmp_path, train={"epochs": 1, "resume_anyway": True}))
    results = {step.stage: step.result for step in again.steps}
    assert results["localize"] == "maps of 1 images made, 8 kept"
    assert results["segment"].endswith("masks or images were changed since it was trained")
    assert [(item.model / "model.safetensors").read_bytes() for item in networks] == weights
    run(table, made.path, quick_chain(tmp_path), until="localize")  # nobody is asked twice about the files
    shutil.rmtree(made.segmentation)
    fresh = run(table, made.path, quick_chain(tmp_path), until="segment")
    assert {step.stage: step.result for step in fresh.steps}["segment"].startswith("network trained on 9")
    assert (made.model / "model.safetensors").read_bytes() == weights[0]


def test_a_network_of_more_images_than_those_that_are_mapped_goes_on(tmp_path: Path) -> None:
    data = open_dataset(draw_photos(tmp_path), quick_chain(tmp_path).data)
    data = replace(data, records=(replace(data.records[0], present=None), *data.records[1:]))
    settings = quick_chain(tmp_path)
    made = run_stages(data, settings=settings, out=tmp_path / "run", until="pseudo-label").run
    segment(made, data, settings=settings)
    steps = {step.stage: step.result for step in run_stages(data, settings=settings, out=made.path).steps}
    assert steps["segment"].startswith("network trained on 8 images")


def test_a_finished_run_may_be_told_later_where_the_true_masks_lie(tmp_path: Path) -> None:
    table = draw_photos(tmp_path)
    unscored = quick_chain(tmp_path, data={"masks": None})
    assert run(table, tmp_path / "run", unscored).scores is None
    weights = Run(tmp_path / "run" / "segmentation").model / "model.safetensors"
    before = weights.read_bytes()
    settings = quick_chain(tmp_path, data={"format": "table", "images": str(tmp_path)})
    result = run(table, tmp_path / "run", settings)
    assert result.scores is not None
    assert result.steps[0].result.endswith("; labels from labels.csv"), "the masks are looked at as well"
    assert weights.read_bytes() == before
    assert result.run.settings().data == settings.data


def test_settings_of_the_whole_run_never_cost_a_network(whole: tuple[Path, ChainResult]) -> None:
    """Removing the network's folder would not help, so nobody is told to do it."""
    folder, result = whole
    for changes, named in (({"data": {"exif": "apply"}}, "data.exif"), ({"train": {"epochs": 2}}, "train.e")):
        settings = quick_chain(folder, **changes)
        with pytest.raises(SettingsError, match=rf"run was started with other settings: {named}") as caught:
            run(folder / "labels.csv", result.run.path, settings)
        assert "emove" not in str(caught.value)


def test_networks_whose_checkpoints_were_removed_are_kept(
    whole: tuple[Path, ChainResult], tmp_path: Path
) -> None:
    folder, result = whole
    copy = Run(Path(shutil.copytree(result.run.path, tmp_path / "run")))
    networks = (copy, Run(copy.segmentation))
    for trained in networks:
        shutil.rmtree(trained.checkpoints)
    before = [(item.model / "model.safetensors").stat().st_mtime_ns for item in networks]
    again = run(folder / "labels.csv", copy.path, quick_chain(folder))
    assert [(item.model / "model.safetensors").stat().st_mtime_ns for item in networks] == before
    assert again.scores == result.scores
    assert len(again.failures) == len(result.failures)


def test_without_masks_nothing_is_scored(tmp_path: Path) -> None:
    settings = quick_chain(tmp_path, data={"masks": None})
    table = draw_photos(tmp_path, masks=False)
    result = run(table, tmp_path / "run", settings, until="check")
    assert [step.total for step in result.steps] == [1]
    told: list[str] = []
    data = open_dataset(table, settings.data)
    with pytest.raises(KeyboardInterrupt):
        run_stages(
            data, settings=settings, out=tmp_path / "run", progress=lambda *a: told.append(a[0]) or halt()
        )
    assert told[0].startswith("stage 2 of 9: ")


def halt() -> None:
    raise KeyboardInterrupt


def test_the_library_is_asked_for_before_work_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "segmentation_models_pytorch", None)
    settings = quick_chain(tmp_path)
    table = draw_photos(tmp_path)
    with pytest.raises(SwtformerError, match=r"pip install 'swtformer\[seg\]'.*`until` pseudo-label"):
        run(table, tmp_path / "run", settings)
    assert not (tmp_path / "run").exists()
    run(table, tmp_path / "run", settings, until="check")


def test_an_encoder_of_one_size_is_refused_before_work_starts(tmp_path: Path) -> None:
    segment = {"encoder": "tu-coatnet_pico_rw_224", "weights": "pretrained"}
    settings = quick_chain(tmp_path, segment=segment)
    table = draw_photos(tmp_path)
    with pytest.raises(SettingsError, match="takes only some image sizes"):
        run(table, tmp_path / "run", settings)
    assert not (tmp_path / "run").exists()
    run(table, tmp_path / "run", settings, until="check")


def test_a_method_that_no_encoder_starts_from_is_refused_before_work_starts(tmp_path: Path) -> None:
    table = draw_photos(tmp_path)
    with registered_toys():
        settings = quick_chain(tmp_path, model={"method": "toy_tokens"}, segment={"encoder": "run"})
        with pytest.raises(SettingsError, match=r"'toy_tokens' has no features .*segment\.encoder"):
            run(table, tmp_path / "run", settings)
        assert not (tmp_path / "run").exists()
        run(table, tmp_path / "run", settings, until="check")


def test_what_auto_means_may_be_said_by_hand(whole: tuple[Path, ChainResult], tmp_path: Path) -> None:
    folder, result = whole
    copy = Run(Path(shutil.copytree(result.run.path, tmp_path / "run")))
    shutil.rmtree(copy.segmentation)
    by_hand = quick_chain(
        folder, refine={"source": "rcam", "background_power": 2.0}, pseudo_label={"source": "refined"}
    )
    assert refine(copy, open_dataset(folder / "labels.csv", by_hand.data), settings=by_hand).reused == 8
    pseudo_label(copy, settings=by_hand.pseudo_label)
    segment(copy, open_dataset(folder / "labels.csv", by_hand.data), settings=by_hand)
    plain = {
        step.stage: step.result for step in run(folder / "labels.csv", copy.path, quick_chain(folder)).steps
    }
    assert plain["pseudo-label"] == "8 pseudo-masks kept"


def test_strict_refuses_a_damaged_image(tmp_path: Path) -> None:
    settings = quick_chain(tmp_path, data={"strict": True})
    table = draw_photos(tmp_path)
    (tmp_path / "images" / "3.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match="1 problem to fix first"):
        run(table, tmp_path / "run", settings)


def test_masks_that_cannot_score_are_refused_before_training(tmp_path: Path) -> None:
    settings = quick_chain(tmp_path)
    table = draw_photos(tmp_path)
    mask = tmp_path / "masks" / "images" / "3.png"
    whole = mask.read_bytes()
    Image.new("L", (48, 64), 9).save(mask)
    with pytest.raises(BrokenSetError, match=r"2 problems to fix first:\n.*3\.png") as error:
        run(table, tmp_path / "run", settings)
    assert [problem.kind for problem in error.value.problems if problem.fatal] == ["mask_size", "mask_values"]
    assert not (tmp_path / "run" / "checkpoints").exists()
    # Without scores they do no harm; wanted later, or changed, they are looked at again.
    run(table, tmp_path / "run", settings, until="train")
    data = open_dataset(table, settings.data)
    unlabelled = replace(
        data, records=tuple(replace(r, present=None) if r.id == "images/3" else r for r in data.records)
    )
    run_stages(unlabelled, settings=settings, out=tmp_path / "other", rounds=1, until="check")
    mask.write_bytes(whole)
    run(table, tmp_path / "run", settings, until="evaluate")
    Image.new("L", (64, 56), 9).save(mask)
    with pytest.raises(BrokenSetError, match="1 problem to fix first"):
        run(table, tmp_path / "run", settings)


@pytest.mark.parametrize("section", ["train", "segment"])
def test_several_processes_are_refused(section: str, tmp_path: Path) -> None:
    settings = quick_chain(tmp_path, **{section: {"devices": 2}})
    table = draw_photos(tmp_path)
    with pytest.raises(SettingsError, match=rf"{section}\.devices asks for several"):
        run(table, tmp_path / "run", settings)


def test_a_validation_that_tells_nothing_apart_is_said(tmp_path: Path) -> None:
    settings = quick_chain(tmp_path, data={"masks": None, "classes": ["red"], "validation_fraction": 0.2})
    table = draw_photos(tmp_path, count=10, masks=False)
    table.write_text("image,labels\n" + "".join(f"images/{index}.png,red\n" for index in range(10)))
    result = run(table, tmp_path / "run", settings, until="train")
    assert [problem.kind for problem in result.steps[0].problems] == ["class_in_all_images"]
    assert result.steps[-1].result.endswith("trained, validation mAP per class n/a after the last epoch")


def test_images_of_unknown_labels_are_not_mapped(tmp_path: Path) -> None:
    settings = quick_chain(tmp_path)
    data = open_dataset(draw_photos(tmp_path), settings.data)
    records = (replace(data.records[0], present=None), *data.records[1:])
    data = replace(data, records=records)
    result = run_stages(data, settings=settings, out=tmp_path / "run", until="localize")
    assert "maps of 8 images made" in result.steps[-1].result
