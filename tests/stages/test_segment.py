"""Training of the segmentation network end to end on a dozen small images."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from support.app_runs import write_queue
from support.masked_squares import draw_pair, draw_run, quick, save_mask
from swtformer.datasets import split_off
from swtformer.datasets.records import ImageSet
from swtformer.errors import CheckpointError, DataError, SettingsError
from swtformer.functional.scores import ConfusionMatrix, mean_iou
from swtformer.inference.windows import class_probabilities
from swtformer.review.decisions import decide
from swtformer.segmentation.pretrained import load_network
from swtformer.stages.segment import segment
from swtformer.store.corrections import Corrections, write_corrections
from swtformer.store.failures import read_failures
from swtformer.store.files import read_json
from swtformer.store.notes import network_notes, update_training_notes
from swtformer.store.pseudo_masks import version_of
from swtformer.store.run import Run
from swtformer.training.pair_augment import WholePair
from swtformer.training.pair_samples import MaskedImage, PairSamples

Squares = tuple[Run, ImageSet]


@pytest.fixture
def squares(tmp_path: Path) -> Squares:
    return draw_run(tmp_path)


def weights(run: Run) -> dict[str, torch.Tensor]:
    return dict(load_file(run.segmentation / "model" / "model.safetensors"))


def differing(first: Run, second: Run) -> list[str]:
    one, two = weights(first), weights(second)
    assert one.keys() == two.keys()
    return [name for name in one if not torch.equal(one[name], two[name])]


def rows(trained: Run) -> list[dict[str, str]]:
    with trained.metrics_file.open() as stream:
        return list(csv.DictReader(stream))


def interrupting(step: int) -> Callable[..., None]:
    def progress(stage: str, done: int, total: int, note: str = "") -> None:
        if stage == "segment" and done == step:
            raise KeyboardInterrupt

    return progress


def test_it_learns_the_squares(tmp_path: Path) -> None:
    run, _ = draw_run(tmp_path, count=24)
    settings = quick(run, epochs=5, validation_fraction=0.1, dice=0.5, warmup_fraction=0.0)
    result = segment(run, settings=settings)
    trained = rows(result.trained)
    losses = ["loss", "cross_entropy", "dice", "presence"]
    assert list(trained[0]) == ["epoch", "step", "learning_rate", *losses, "validation_miou", "seconds"]
    assert float(trained[-1]["loss"]) < 0.7 * float(trained[0]["loss"])
    assert result.validation_images == 3
    assert result.validation_miou == pytest.approx(float(trained[-1]["validation_miou"]))
    network = load_network(result.trained.model)
    confusion = ConfusionMatrix(4)
    for index in range(100, 106):
        image, mask = draw_pair(index)
        pixels = torch.from_numpy(image).permute(2, 0, 1)[None]
        made = class_probabilities(network, pixels, scales=(1.0,), flip=False)[0].argmax(0)
        confusion.update(made.to(torch.uint8), torch.from_numpy(mask))
    # All background would have a mean of 0.2.
    assert float(mean_iou(confusion.counts)) > 0.5


def test_what_the_folder_holds(squares: Squares) -> None:
    run, data = squares
    result = segment(run, data, settings=quick(run))
    trained = Run(run.segmentation)
    assert result.trained == trained
    assert (result.supervision, result.images, result.without_mask) == ("pseudo_masks", 12, 0)
    assert result.validation_miou is None
    assert trained.settings() == quick(run)
    assert trained.classes() == data.classes
    assert network_notes(trained).supervision == "pseudo_masks"
    assert json.loads(trained.scores_file.read_text())["masks"] == str(run.pseudo_masks)
    assert [row["epoch"] for row in rows(trained)] == ["1", "2"]
    assert len(list(trained.checkpoints.glob("*.ckpt"))) == 2
    assert not run.failures_file.exists()


@pytest.mark.parametrize("options", [{}, {"ema_decay": 0.5, "weighting": "per_class", "workers": 1}])
def test_an_interrupted_training_resumes_to_the_same_weights(options: dict[str, Any], tmp_path: Path) -> None:
    whole, _ = draw_run(tmp_path / "whole")
    broken, _ = draw_run(tmp_path / "broken")
    segment(whole, settings=quick(whole, **options))
    with pytest.raises(KeyboardInterrupt):
        segment(broken, settings=quick(broken, **options), progress=interrupting(5))
    assert not (broken.segmentation / "model").exists()
    assert network_notes(Run(broken.segmentation)).finished is None
    segment(broken, settings=quick(broken, **options), resume=True)
    assert differing(whole, broken) == []
    assert [row["epoch"] for row in rows(Run(broken.segmentation))] == ["1", "2"]


def test_no_group_is_divided_between_training_and_held_out_images(squares: Squares) -> None:
    run, data = squares
    records = [replace(record, group=f"p{place // 3}") for place, record in enumerate(data.records)]
    settings = quick(run, epochs=1, validation_fraction=0.2)
    result = segment(run, replace(data, records=tuple(records)), settings=settings)
    ids = set(read_json(result.trained.training_ids_file))
    assert {record.group for record in records if record.id in ids}.isdisjoint(
        record.group for record in records if record.id not in ids
    )
    assert len(data) - len(ids) == 3


def test_the_time_of_the_training_s_end_and_its_images_are_noted(squares: Squares) -> None:
    run, data = squares
    settings = quick(run, epochs=1, validation_fraction=0.2)
    result = segment(run, data, settings=settings)
    finished = network_notes(result.trained).finished
    assert datetime.fromisoformat(finished) <= datetime.now(UTC)
    ids = read_json(result.trained.training_ids_file)
    assert len(ids) == result.images < len(data)
    assert set(ids) < {record.id for record in data.records}
    segment(run, data, settings=settings, resume=True)  # there is nothing left to train
    assert network_notes(result.trained).finished == finished
    shutil.rmtree(result.trained.checkpoints)
    shutil.rmtree(result.trained.model)
    segment(run, data, settings=settings)
    assert network_notes(result.trained).finished > finished


def test_the_start_is_the_runs_backbone(squares: Squares) -> None:
    run, data = squares
    frozen = quick(run, epochs=1, learning_rate=1e-12, minimum_learning_rate=0.0)
    segment(run, data, settings=frozen)
    start = load_file(run.model / "model.safetensors")
    made = weights(run)
    names = [name for name in start if name.startswith("backbone.")]
    assert names
    for name in names:
        torch.testing.assert_close(made[name.replace("backbone.", "backbone.model.", 1)], start[name])


def test_an_encoder_by_name_needs_no_trained_model(squares: Squares) -> None:
    run, data = squares
    (run.model / "config.json").unlink()
    with pytest.raises(CheckpointError, match="holds no model"):
        segment(run, data, settings=quick(run))
    out = run.path / "other"
    settings = quick(run, encoder="mobilenet_v2", weights="none", epochs=1)
    result = segment(run, data, settings=settings, out=out)
    assert load_network(out / "model").settings.encoder == "mobilenet_v2"
    assert result.trained.path == out


def test_images_without_a_mask_are_left_out(squares: Squares) -> None:
    run, data = squares
    for index in (3, 4):
        run.pseudo_mask_file(str(index)).unlink()
    result = segment(run, data, settings=quick(run, epochs=1))
    assert (result.images, result.without_mask) == (10, 2)


def test_what_the_review_rejected_is_left_out(squares: Squares) -> None:
    run, data = squares
    write_queue(run)
    decide(run, "2", "reject", version=version_of(run.pseudo_masks))
    shutil.copytree(run.pseudo_masks, run.corrected_masks)
    result = segment(run, data, settings=quick(run, epochs=1))
    assert (result.images, result.without_mask, result.rejected) == (11, 0, 1)
    assert len(network_notes(result.trained).rejected_ids) == 1
    assert result.notice is None
    decide(run, "3", "reject", version=version_of(run.pseudo_masks))
    version = version_of(run.pseudo_masks)
    write_corrections(
        run.corrected_masks, Corrections(base=run.pseudo_masks, corrected={"2": "v1"}, version=version)
    )
    settings = quick(run, epochs=1, masks=run.corrected_masks)
    assert segment(run, data, settings=settings, out=run.path / "corrected").rejected == 1  # 2 was corrected
    shutil.copytree(run.pseudo_masks, run.path / "others")
    settings = quick(run, epochs=1, masks=run.path / "others")
    assert segment(run, data, settings=settings, out=run.path / "given").rejected == 0


def test_a_training_goes_on_with_masks_that_were_rejected_since(squares: Squares) -> None:
    run, data = squares
    write_queue(run)
    decide(run, "2", "reject", version=version_of(run.pseudo_masks))
    with pytest.raises(KeyboardInterrupt):
        segment(run, data, settings=quick(run), progress=interrupting(4))
    decide(run, "3", "reject", version=version_of(run.pseudo_masks))
    result = segment(run, data, settings=quick(run), resume=True)
    assert (result.images, result.rejected) == (11, 1)
    assert result.notice is not None
    assert result.notice.startswith("1 masks were rejected since the training began; to train by the review")
    assert result.notice.endswith(f"--out {run.path / 'segmentation-reviewed'}")
    assert segment(run, data, settings=quick(run, epochs=1), out=run.path / "anew").rejected == 2


def test_damaged_files_are_failures_and_exit_the_set(squares: Squares) -> None:
    run, data = squares
    data.records[0].image.unlink()
    run.pseudo_mask_file("1").write_bytes(run.pseudo_mask_file("1").read_bytes()[:-20])
    # Its header is whole, so that only the loader meets the damage.
    data.records[2].image.write_bytes(data.records[2].image.read_bytes()[:-300])
    result = segment(run, data, settings=quick(run, epochs=1))
    assert sorted(item.id for item in result.failures) == ["0", "1", "2"]
    assert sorted(item.id for item in read_failures(run)) == ["0", "1", "2"]
    assert result.images == 10
    strict = quick(run).model_copy(update={"data": run.settings().data.model_copy(update={"strict": True})})
    with pytest.raises(DataError, match="2 images cannot be used"):
        segment(run, data, settings=strict, out=run.path / "strict")


def test_true_masks_are_told(squares: Squares, tmp_path: Path) -> None:
    run, data = squares
    records = []
    for index, record in enumerate(data.records):
        path = tmp_path / "truth" / f"{index}.png"
        save_mask(path, draw_pair(index)[1])
        records.append(replace(record, mask=path))
    with_truth = replace(data, records=tuple(records))
    settings = quick(run, epochs=1, masks=str(tmp_path / "truth"))
    assert segment(run, with_truth, settings=settings).supervision == "ground_truth"
    scores = json.loads((run.segmentation / "scores.json").read_text())
    assert scores["supervision"] == "ground_truth"
    assert segment(run, data, settings=settings, out=tmp_path / "given").supervision == "given"


def test_confidence_weighs_images(squares: Squares, tmp_path: Path) -> None:
    run, data = squares
    settings = quick(run, epochs=1, weighting="confidence")
    with pytest.raises(
        DataError, match=r"review\.csv: does not exist; segment.weighting confidence needs it"
    ):
        segment(run, data, settings=settings, out=tmp_path / "a")
    run.review_file.write_text("id,confidence\n" + "".join(f"{i},0.5\n" for i in range(11)))
    with pytest.raises(DataError, match=r"1 of 12 images with masks have no confidence in \[0, 1\], '11'"):
        segment(run, data, settings=settings, out=tmp_path / "b")
    run.review_file.write_text("id,sure\n1,2\n")
    with pytest.raises(DataError, match="expected columns id and confidence"):
        segment(run, data, settings=settings, out=tmp_path / "c")
    run.review_file.write_text("id,confidence\n" + "".join(f"{i},{i % 2}\n" for i in range(12)))
    segment(run, data, settings=settings, out=tmp_path / "odd")
    segment(run, data, settings=quick(run, epochs=1), out=tmp_path / "all")
    odd, everything = (
        load_file(tmp_path / name / "model" / "model.safetensors")["head.weight"] for name in ("odd", "all")
    )
    assert not torch.equal(odd, everything)


def test_wrong_masks_are_listed_at_once(squares: Squares) -> None:
    run, data = squares
    save_mask(run.pseudo_mask_file("0"), np.full((5, 5), 1, np.uint8))
    save_mask(run.pseudo_mask_file("1"), np.full((56, 64), 9, np.uint8))
    with pytest.raises(DataError, match=r"(?s)2 of 12 masks.*5×5 pixels.*64×56.*expected values 0"):
        segment(run, data, settings=quick(run))
    for index in range(12):
        save_mask(run.pseudo_mask_file(str(index)), np.where(draw_pair(index)[1], 255, 0).astype(np.uint8))
    with pytest.raises(DataError, match=r"no pixel of one is sure enough\. Lower pseudo_label\.margin"):
        segment(run, data, settings=quick(run))
    given = run.pseudo_masks.rename(run.path / "given")
    (given / "pseudo_masks.json").unlink()
    with pytest.raises(DataError, match="no value but 0 and 255"):
        segment(run, data, settings=quick(run, masks=str(given)), out=run.path / "b")
    for index in range(12):
        save_mask(given / f"{index}.png", np.zeros((56, 64), np.uint8))
    with pytest.raises(DataError, match=r"all background \(0\), so there is no class to learn"):
        segment(run, data, settings=quick(run, masks=str(given)), out=run.path / "c")


def test_pseudo_masks_that_are_not_all_made_are_refused(squares: Squares) -> None:
    run, data = squares
    run.pseudo_masks_file.unlink()
    for settings in (quick(run), quick(run, masks=str(run.pseudo_masks / ".." / "pseudo_masks"))):
        with pytest.raises(DataError, match=r"no pseudo_masks\.json.*run `swtformer pseudo-label` again"):
            segment(run, data, settings=settings)
    assert not run.segmentation.exists()


def test_mistakes(squares: Squares, tmp_path: Path) -> None:
    run, data = squares
    with pytest.raises(DataError, match=r"no masks to train on; .*pseudo-label"):
        segment(run, data, settings=quick(run, masks=str(tmp_path / "nowhere")))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no mask of the 12 images"):
        segment(run, data, settings=quick(run, masks=str(tmp_path / "empty")), out=tmp_path / "b")
    with pytest.raises(DataError, match="name them in the run's order"):
        segment(run, replace(data, classes=("a", "b", "c")), settings=quick(run))
    with pytest.raises(SettingsError, match="need images that are set aside"):
        segment(run, data, settings=quick(run, keep="best"), out=tmp_path / "c")


def test_resume_refuses_other_settings_and_masks(squares: Squares) -> None:
    run, data = squares
    segment(run, data, settings=quick(run, epochs=1))
    with pytest.raises(SettingsError, match="already holds a run"):
        segment(run, data, settings=quick(run, epochs=1))
    with pytest.raises(SettingsError, match=r"other settings: segment\.decoder"):
        segment(run, data, settings=quick(run, epochs=1, decoder="fpn"), resume=True)
    shutil.rmtree(Run(run.segmentation).model)  # as if it had stopped
    every = tuple(range(len(data.classes)))
    relabelled = replace(data, records=tuple(replace(record, present=every) for record in data.records))
    with pytest.raises(SettingsError, match="image-level labels were changed"):
        segment(run, relabelled, settings=quick(run, epochs=1), resume=True)
    save_mask(run.pseudo_mask_file("0"), np.zeros((56, 64), np.uint8))
    with pytest.raises(SettingsError, match=r"masks or images were changed\. .*segment\.resume_anyway"):
        segment(run, data, settings=quick(run, epochs=1), resume=True)


def test_resume_refuses_other_groups(squares: Squares) -> None:
    """A table may give an image another patient: then others would be set aside than the epochs scored."""
    run, data = squares

    def grouped(size: int) -> ImageSet:
        records = [replace(record, group=f"{place // size}") for place, record in enumerate(data.records)]
        return replace(data, records=tuple(records))

    settings = quick(run, epochs=1, validation_fraction=0.25)
    trained = segment(run, grouped(2), settings=settings).trained
    shutil.rmtree(trained.model)  # as if it had stopped
    with pytest.raises(SettingsError, match=r"other images would be set aside.*data\.group.*resume_anyway"):
        segment(run, grouped(3), settings=settings, resume=True)
    segment(run, grouped(2), settings=settings, resume=True)


@pytest.mark.parametrize("is_finished", [True, False])
def test_changed_masks_may_be_passed_over_for_one_call(squares: Squares, is_finished: bool) -> None:
    run, data = squares
    first = segment(run, data, settings=quick(run, epochs=1))
    weights = first.trained.model / "model.safetensors"
    before = weights.read_bytes()
    ids = read_json(first.trained.training_ids_file)
    if not is_finished:
        shutil.rmtree(first.trained.model)
    save_mask(run.pseudo_mask_file("0"), np.zeros((56, 64), np.uint8))
    settings = quick(run, epochs=1, resume_anyway=not is_finished)
    result = segment(run, data, settings=settings, resume=True)
    assert weights.read_bytes() == before  # its one epoch was over
    assert first.trained.settings().segment.resume_anyway is False
    noted = network_notes(first.trained).resumed_anyway
    if is_finished:
        assert result.notice == "masks or images were changed since it was trained"
        assert (result.images, result.validation_miou) == (first.images, first.validation_miou)
        assert read_json(first.trained.training_ids_file) == ids
        assert (result.supervision, noted) == (first.supervision, ())
    else:
        assert noted == ("masks or images were changed",)
        segment(run, data, settings=quick(run, epochs=1), resume=True)


@pytest.mark.parametrize("removed", ["checkpoints", "metrics.csv", "scores.json"])
def test_a_finished_network_is_left_as_it_is(squares: Squares, removed: str) -> None:
    run, data = squares
    settings = quick(run, epochs=1, validation_fraction=0.25)
    first = segment(run, data, settings=settings)
    trained = first.trained
    path = trained.path / removed
    before = (trained.model / "model.safetensors").stat().st_mtime_ns
    scores = read_json(trained.scores_file)
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    again = segment(run, data, settings=settings, resume=True)
    assert (trained.model / "model.safetensors").stat().st_mtime_ns == before
    assert first.validation_miou is not None
    assert again == first
    assert read_json(trained.scores_file) == scores


def test_a_kept_network_is_not_said_to_be_of_masks_that_came_later(squares: Squares) -> None:
    run, data = squares
    trained = segment(run, data, settings=quick(run, epochs=1)).trained
    save_mask(run.pseudo_mask_file("0"), np.zeros((56, 64), np.uint8))
    records = [replace(item, mask=run.pseudo_mask_file(item.id)) for item in data.records]
    anyway = quick(run, epochs=1, resume_anyway=True)
    later = segment(run, replace(data, records=tuple(records)), settings=anyway, resume=True)
    assert later.supervision == network_notes(trained).supervision == "pseudo_masks"
    assert read_json(trained.scores_file)["supervision"] == "pseudo_masks"


def test_the_end_of_a_training_is_noted_though_it_was_cut_off(squares: Squares) -> None:
    run, data = squares
    trained = segment(run, data, settings=quick(run, epochs=1)).trained
    update_training_notes(trained, finished=None)
    segment(run, data, settings=quick(run, epochs=1), resume=True)
    finished = network_notes(trained).finished
    assert finished is not None
    assert datetime.fromisoformat(finished).tzinfo is not None


def test_a_stopped_training_is_not_resumed_with_other_photographs(squares: Squares) -> None:
    run, data = squares
    trained = segment(run, data, settings=quick(run, epochs=1)).trained
    shutil.rmtree(trained.model)
    with data.records[0].image.open("ab") as stream:
        stream.write(b"?")
    with pytest.raises(SettingsError, match=r"images were changed.* segment\.resume_anyway"):
        segment(run, data, settings=quick(run, epochs=1), resume=True)
    segment(run, data, settings=quick(run, epochs=1, resume_anyway=True), resume=True)
    assert network_notes(trained).resumed_anyway == ("masks or images were changed",)


def test_that_masks_were_the_truth_is_not_forgotten(squares: Squares) -> None:
    run, data = squares
    records = [replace(item, mask=run.pseudo_mask_file(item.id)) for item in data.records]
    settings = quick(run, epochs=1)
    named = segment(run, replace(data, records=tuple(records)), settings=settings)
    assert named.supervision == "ground_truth"
    again = segment(run, data, settings=settings, resume=True)
    assert again.supervision == "ground_truth"
    assert network_notes(named.trained).supervision == "ground_truth"
    assert read_json(named.trained.scores_file)["supervision"] == "ground_truth"


def test_what_is_known_of_the_masks_may_grow(squares: Squares) -> None:
    run, data = squares
    settings = quick(run, epochs=1)
    trained = segment(run, data, settings=settings).trained
    records = [replace(item, mask=run.pseudo_mask_file(item.id)) for item in data.records]
    again = segment(run, replace(data, records=tuple(records)), settings=settings, resume=True)
    assert again.supervision == "ground_truth"
    assert network_notes(trained).supervision == "ground_truth"
    assert read_json(trained.scores_file)["supervision"] == "ground_truth"


@pytest.mark.parametrize("resume", [False, True])
def test_what_stopped_in_its_first_epoch_is_started_over_with_other_settings_and_masks(
    squares: Squares, resume: bool
) -> None:
    run, data = squares
    with pytest.raises(KeyboardInterrupt):
        segment(run, data, settings=quick(run), progress=interrupting(2))
    run.pseudo_mask_file("3").unlink()
    result = segment(run, data, settings=quick(run, epochs=1), resume=resume)
    assert result.images == 11
    assert result.trained.settings().segment.epochs == 1
    assert [row["epoch"] for row in rows(result.trained)] == ["1"]


def test_resume_takes_images_that_were_copied_elsewhere(squares: Squares, tmp_path: Path) -> None:
    run, data = squares
    with pytest.raises(KeyboardInterrupt):
        segment(run, data, settings=quick(run), progress=interrupting(5))
    moved = tmp_path / "moved"
    moved.mkdir()
    records = tuple(replace(record, image=moved / record.image.name) for record in data.records)
    for record, before in zip(records, data.records, strict=True):
        shutil.copyfile(before.image, record.image)
        os.utime(record.image, (1, 1))
    segment(run, replace(data, root=moved, records=records), settings=quick(run), resume=True)
    assert [row["epoch"] for row in rows(Run(run.segmentation))] == ["1", "2"]


def test_the_best_epoch_is_kept(squares: Squares) -> None:
    run, data = squares
    settings = quick(run, epochs=3, validation_fraction=0.2, keep="best")
    result = segment(run, data, settings=settings)
    scores = [float(row["validation_miou"]) for row in rows(result.trained)]
    assert result.validation_miou == pytest.approx(max(scores), abs=1e-6)


def test_two_processes_share_the_images_and_score_the_weights_that_are_kept(tmp_path: Path) -> None:
    """The decoder's batch norm sees one process's images, so the weights differ from those of one process."""
    run, data = draw_run(tmp_path, count=24)
    settings = quick(run, devices=2, batch_size=2, validation_fraction=0.2, accelerator="cpu")
    (tmp_path / "two.yaml").write_text(yaml.safe_dump({"segment": settings.segment.model_dump(mode="json")}))
    command = [sys.executable, "-m", "swtformer", "segment", str(run.path)]
    done = subprocess.run(
        [*command, "--config", str(tmp_path / "two.yaml")],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    trained = Run(run.segmentation)
    last = rows(trained)[-1]
    _, validation = split_off(data, settings.segment.validation_fraction, settings.seed)
    training = len(data) - len(validation)
    assert (last["epoch"], int(last["step"])) == ("2", 2 * -(-training // 4))

    network = load_network(trained.model)
    confusion = ConfusionMatrix(len(data.classes) + 1)
    with torch.no_grad():
        for record in validation.records:
            item = MaskedImage(record.id, record.image, run.pseudo_mask_file(record.id), (True, False, False))
            whole = PairSamples([item], WholePair(settings.segment.crop_px), settings.data, seed=0)[0, 0]
            confusion.update(network(whole["image"][None]).argmax(1).to(torch.uint8), whole["mask"][None])
    # With an odd number of held-out images, the second process counts the first one again.
    assert len(validation) % 2 == 0
    assert float(last["validation_miou"]) == pytest.approx(float(mean_iou(confusion.counts)), abs=1e-6)
