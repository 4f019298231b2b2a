"""Training end to end on a dozen small images: results, repeats, resumes and refusals."""

from __future__ import annotations

import csv
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from support.squares import draw_squares, quick_settings
from swtformer.datasets.records import ImageSet, Record
from swtformer.engine.checkpoint_files import newest_checkpoint, read_checkpoint
from swtformer.errors import CheckpointError, DataError, NonFiniteError, SettingsError, SwtformerError
from swtformer.methods.pretrained import from_pretrained
from swtformer.settings import Settings, merge
from swtformer.stages.train import train
from swtformer.store.failures import read_failures
from swtformer.store.notes import training_notes
from swtformer.store.run import Run


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ImageSet:
    return draw_squares(tmp_path_factory.mktemp("squares"))


def _weights(run: Run) -> dict[str, torch.Tensor]:
    return dict(load_file(run.model / "model.safetensors"))


def _assert_same(first: Run, second: Run) -> None:
    one, two = _weights(first), _weights(second)
    assert one.keys() == two.keys()
    assert [name for name in one if not torch.equal(one[name], two[name])] == []


@pytest.fixture(scope="module")
def unbroken(data: ImageSet, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(data, settings=quick_settings(), out=tmp_path_factory.mktemp("run") / "unbroken")


def test_run_folder(unbroken: Run, data: ImageSet) -> None:
    stored = unbroken.settings()
    assert stored.model_copy(update={"method": {}}) == quick_settings()
    assert stored.method["ccl_reading"] == "matrix", "options are stored with their defaults"
    assert unbroken.classes() == ("red", "green")
    with unbroken.metrics_file.open() as stream:
        rows = list(csv.DictReader(stream))
    columns = "epoch step learning_rate loss cls gsc ccl validation_map_per_class validation_map_per_image"
    assert list(rows[0]) == [*columns.split(), "seconds"]
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert [row["step"] for row in rows] == ["3", "6", "9"]
    assert all(float(row["loss"]) > 0 for row in rows)
    notes = training_notes(unbroken)
    assert notes.data_fingerprint == data.fingerprint()
    assert notes.training_images == 12
    assert from_pretrained(unbroken.path).classes == data.classes
    assert not unbroken.failures_file.exists()
    kept = sorted(path.name for path in unbroken.checkpoints.glob("*.ckpt"))
    assert kept == ["epoch-0002.ckpt", "epoch-0003.ckpt"]


def test_the_total_is_the_weighted_sum(unbroken: Run) -> None:
    with unbroken.metrics_file.open() as stream:
        for row in csv.DictReader(stream):
            weights = {"cls": 1.0, "gsc": 1.0, "ccl": 1.0}
            expected = sum(weight * float(row[name]) for name, weight in weights.items())
            assert float(row["loss"]) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("workers", [0, 2])
def test_same_seed_gives_the_same_weights_with_any_workers(
    workers: int, unbroken: Run, data: ImageSet, tmp_path: Path
) -> None:
    again = train(data, settings=quick_settings(train={"workers": workers}), out=tmp_path / "again")
    _assert_same(unbroken, again)


def test_another_seed_gives_other_weights(unbroken: Run, data: ImageSet, tmp_path: Path) -> None:
    other = train(data, settings=quick_settings().model_copy(update={"seed": 1}), out=tmp_path / "other")
    assert not torch.equal(_weights(unbroken)["head.weight"], _weights(other)["head.weight"])


def _interrupting(step: int) -> Any:
    def progress(stage: str, done: int, total: int, note: str = "") -> None:
        if done == step:
            raise KeyboardInterrupt

    return progress


@pytest.mark.parametrize("settings", [{}, {"train": {"ema_decay": 0.5, "accumulate": 2}}])
def test_an_interrupted_run_resumes_to_the_same_weights(
    settings: dict[str, Any], data: ImageSet, tmp_path: Path
) -> None:
    whole = train(data, settings=quick_settings(**settings), out=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(data, settings=quick_settings(**settings), out=tmp_path / "run", progress=_interrupting(5))
    assert not (tmp_path / "run" / "model").exists()
    resumed = train(data, settings=quick_settings(**settings), out=tmp_path / "run", resume=True)
    _assert_same(whole, resumed)
    with resumed.metrics_file.open() as stream:
        assert [row["epoch"] for row in csv.DictReader(stream)] == ["1", "2", "3"]


def test_resume_falls_back_to_the_checkpoint_before(unbroken: Run, data: ImageSet, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(data, settings=quick_settings(), out=tmp_path / "run", progress=_interrupting(8))
    run = Run(tmp_path / "run")
    newest = newest_checkpoint(run.checkpoints)
    assert newest.name == "epoch-0002.ckpt"
    newest.write_bytes(newest.read_bytes()[:-1])
    _assert_same(unbroken, train(data, settings=quick_settings(), out=run.path, resume=True))


def test_nan_loss_stops_and_keeps_the_last_good_checkpoint(data: ImageSet, tmp_path: Path) -> None:
    settings = quick_settings(
        train={"learning_rate": 1e10, "clip_norm": 0, "epochs": 5, "warmup_fraction": 0}
    )
    with pytest.raises(NonFiniteError, match=r"not finite at step \d+") as caught:
        train(data, settings=settings, out=tmp_path / "run")
    assert caught.value.exit_code == 5
    assert not (tmp_path / "run" / "model").exists()
    for path in (tmp_path / "run" / "checkpoints").glob("*.ckpt"):
        state = read_checkpoint(path)["state_dict"]
        assert all(value.isfinite().all() for value in state.values())


def test_a_folder_with_a_run_is_refused(unbroken: Run, data: ImageSet) -> None:
    with pytest.raises(SettingsError, match="already holds a run"):
        train(data, settings=quick_settings(), out=unbroken.path)


def test_resume_refuses_other_settings(unbroken: Run, data: ImageSet) -> None:
    changed = quick_settings(train={"learning_rate": 0.5, "workers": 1}, method={"gsc": 0.25})
    with pytest.raises(SettingsError, match=r"other settings: method\.gsc, train\.learning_rate"):
        train(data, settings=changed, out=unbroken.path, resume=True)


def test_no_second_training_writes_into_the_folder(data: ImageSet, tmp_path: Path) -> None:
    def begin_another(stage: str, done: int, total: int, note: str = "") -> None:
        with pytest.raises(SwtformerError, match="another training is writing here"):
            train(data, settings=quick_settings(), out=tmp_path / "run")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(data, settings=quick_settings(), out=tmp_path / "run", progress=begin_another)


def test_a_run_stopped_in_its_first_epoch_resumes_from_its_start(
    unbroken: Run, data: ImageSet, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(data, settings=quick_settings(), out=tmp_path / "run", progress=_interrupting(2))
    _assert_same(unbroken, train(data, settings=quick_settings(), out=tmp_path / "run", resume=True))


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ("{folder}/unbrokn", r"unbrokn: does not exist\. Did you mean '.+/unbroken'\?"),
        ("{folder}", "holds no model"),
    ],
)
def test_a_start_that_is_not_there_is_refused(
    start: str, message: str, unbroken: Run, data: ImageSet, tmp_path: Path
) -> None:
    settings = quick_settings(train={"start_from": start.format(folder=unbroken.path.parent)})
    with pytest.raises(CheckpointError, match=message):
        train(data, settings=settings, out=tmp_path / "run")


def test_a_start_of_a_newer_format_is_refused(unbroken: Run, data: ImageSet, tmp_path: Path) -> None:
    shutil.copytree(unbroken.model, tmp_path / "newer")
    config = tmp_path / "newer" / "config.json"
    config.write_text(config.read_text().replace('"format": 1', '"format": 2'))
    settings = quick_settings(train={"start_from": str(tmp_path / "newer")})
    with pytest.raises(CheckpointError, match="has the format 2"):
        train(data, settings=settings, out=tmp_path / "run")


def test_a_start_with_other_classes_is_refused(unbroken: Run, data: ImageSet, tmp_path: Path) -> None:
    turned = ImageSet("turned", "table", data.root, ("green", "red"), data.records)
    settings = quick_settings(train={"start_from": str(unbroken.path)})
    with pytest.raises(CheckpointError, match="was made for the classes"):
        train(turned, settings=settings, out=tmp_path / "run")


def test_resuming_a_finished_run_changes_nothing(
    data: ImageSet, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = quick_settings(train={"ema_decay": 0.5})
    run = train(data, settings=settings, out=tmp_path / "run")
    before = _weights(run)
    for path in run.model.iterdir():  # stopped before the model was written
        path.unlink()
    train(data, settings=settings, out=run.path, resume=True, progress=_never)
    assert all(torch.equal(value, before[name]) for name, value in _weights(run).items())
    assert "is finished (all 3 epochs); there is nothing left to train" in caplog.text


def _never(*_: object) -> None:
    raise AssertionError("a batch was trained")


def test_images_without_known_labels_are_not_trained_on(data: ImageSet, tmp_path: Path) -> None:
    unknown = [Record(record.id, record.image, None) for record in data.records]
    none = ImageSet("unknown", "folder", data.root, data.classes, tuple(unknown))
    with pytest.raises(DataError, match="no image has labels"):
        train(none, settings=quick_settings(), out=tmp_path / "run")


def test_an_image_that_vanishes_is_a_failure_row(data: ImageSet, tmp_path: Path) -> None:
    missing = Record("gone", tmp_path / "gone.png", (0,))
    damaged = ImageSet("damaged", "table", data.root, data.classes, (*data.records, missing))
    run = train(damaged, settings=quick_settings(train={"epochs": 1}), out=tmp_path / "run")
    (failure,) = read_failures(run)
    assert (failure.id, failure.stage) == ("gone", "train")
    with pytest.raises(DataError, match=r"1 images cannot be read \(data.strict\)"):
        train(damaged, settings=quick_settings(data={"strict": True}), out=tmp_path / "strict")
    assert not (tmp_path / "strict" / "checkpoints").exists()


@pytest.mark.parametrize("count", [1, 2, 5])
def test_lists_shorter_than_a_batch(count: int, data: ImageSet, tmp_path: Path) -> None:
    few = data.subset(list(range(count)))
    settings = Settings.model_validate(
        merge(
            quick_settings().model_dump(),
            {"train": {"epochs": 1, "batch_size": 16}, "data": {"validation_fraction": 0.1}},
        )
    )
    run = train(few, settings=settings, out=tmp_path / "run")
    assert (run.model / "config.json").is_file()


def test_validation_chooses_the_best_epoch(data: ImageSet, tmp_path: Path) -> None:
    settings = quick_settings(train={"keep": "best", "early_stopping_patience": 5})
    run = train(data, settings=settings, out=tmp_path / "run", validation=data)
    with run.metrics_file.open() as stream:
        rows = list(csv.DictReader(stream))
    scores = [float(row["validation_map_per_class"]) for row in rows]
    assert all(0 <= float(row["validation_map_per_image"]) <= 1 for row in rows)
    best_epoch = int(np.argmax(scores))
    best = read_checkpoint(run.checkpoints / f"best-{best_epoch + 1:04d}.ckpt")
    assert best["epoch"] == best_epoch
    kept = _weights(run)
    assert all(torch.equal(kept[name], best["state_dict"][f"model.{name}"]) for name in kept)


@pytest.mark.parametrize("keep", ["last", "best"])
def test_early_stopping_ends_a_run_that_does_not_improve_for_good(
    keep: str, data: ImageSet, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    flat = {"learning_rate": 1e-12, "minimum_learning_rate": 0, "epochs": 9, "early_stopping_patience": 2}
    settings = quick_settings(train={**flat, "keep": keep})
    run = train(data, settings=settings, out=tmp_path / "run", validation=data)
    rows = run.metrics_file.read_text().splitlines()
    assert len(rows) == 1 + 3
    before = _weights(run)
    train(data, settings=settings, out=run.path, validation=data, resume=True, progress=_never)
    assert "is finished (stopped early, after epoch 3 of 9); there is nothing left to train" in caplog.text
    assert run.metrics_file.read_text().splitlines() == rows
    assert all(torch.equal(value, before[name]) for name, value in _weights(run).items())


def test_an_early_stop_is_not_forgotten_where_its_checkpoint_is_lost(data: ImageSet, tmp_path: Path) -> None:
    flat = {"learning_rate": 1e-12, "minimum_learning_rate": 0, "epochs": 9, "early_stopping_patience": 2}
    run = train(data, settings=quick_settings(train=flat), out=tmp_path / "run", validation=data)
    rows = run.metrics_file.read_text().splitlines()
    newest_checkpoint(run.checkpoints).write_bytes(b"damaged")
    train(data, settings=quick_settings(train=flat), out=run.path, validation=data, resume=True)
    assert [row.split(",")[0] for row in run.metrics_file.read_text().splitlines()] == [
        row.split(",")[0] for row in rows
    ]


@pytest.mark.parametrize("choice", [{"keep": "best"}, {"early_stopping_patience": 1}])
def test_choosing_by_validation_needs_validation(
    choice: dict[str, Any], data: ImageSet, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match="need validation images"):
        train(data, settings=quick_settings(train=choice), out=tmp_path / "run")


def test_v2_starts_from_v1(data: ImageSet, tmp_path: Path) -> None:
    first = train(data, settings=quick_settings(model={"method": "swtformer_v1"}), out=tmp_path / "v1")
    frozen = {"start_from": str(first.path), "freeze_stages": 4, "epochs": 1}
    second = train(data, settings=quick_settings(train=frozen), out=tmp_path / "v2")
    one, two = _weights(first), _weights(second)
    backbone = [name for name in one if name.startswith("backbone.")]
    assert backbone
    assert all(torch.equal(one[name], two[name]) for name in backbone)
    assert not torch.equal(one["head.weight"], two["head.weight"])


def test_batch_statistics_that_came_with_the_weights_are_kept(data: ImageSet, tmp_path: Path) -> None:
    """In a run that starts from another one, and in its resumed rest."""
    first = train(data, settings=quick_settings(model={"backbone": "resnet10t"}), out=tmp_path / "first")
    settings = quick_settings(model={"backbone": "resnet10t"}, train={"start_from": str(first.path)})
    whole = train(data, settings=settings, out=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(data, settings=settings, out=tmp_path / "run", progress=_interrupting(5))
    resumed = train(data, settings=settings, out=tmp_path / "run", resume=True)
    before, after = _weights(first), _weights(whole)
    statistics = [name for name in before if "running_" in name]
    assert statistics
    assert all(torch.equal(before[name], after[name]) for name in statistics)
    assert any(not torch.equal(before[name], after[name]) for name in before if name.startswith("backbone."))
    _assert_same(whole, resumed)


def test_validation_of_other_classes_is_refused(data: ImageSet, tmp_path: Path) -> None:
    other = ImageSet("other", "table", data.root, ("green", "red"), data.records)
    with pytest.raises(DataError, match="name them in one order"):
        train(data, settings=quick_settings(), out=tmp_path / "run", validation=other)


def test_tensorboard_logs(data: ImageSet, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    run = train(data, settings=quick_settings(train={"tensorboard": True, "epochs": 1}), out=tmp_path / "run")
    assert list((run.path / "tensorboard").glob("events.*"))


def test_what_a_finished_training_was_of_stays_noted(data: ImageSet, tmp_path: Path) -> None:
    run = train(data, settings=quick_settings(), out=tmp_path / "run")
    before = training_notes(run)
    moved = Path(shutil.copytree(data.root, tmp_path / "moved"))
    records = tuple(replace(record, image=moved / record.image.name) for record in data.records)
    opened = data.opened and replace(data.opened, path=moved.resolve())
    other = replace(data, root=moved, name="other", labels_from="elsewhere", records=records, opened=opened)
    train(other, settings=quick_settings(), out=run.path, resume=True, progress=_never)
    assert training_notes(run) == before.model_copy(update={"data": moved.resolve()})


def test_a_model_whose_checkpoints_were_removed_is_left_as_it_is(data: ImageSet, tmp_path: Path) -> None:
    run = train(data, settings=quick_settings(), out=tmp_path / "run")
    before = (run.model / "model.safetensors").stat().st_mtime_ns
    shutil.rmtree(run.checkpoints)
    train(data, settings=quick_settings(), out=run.path, resume=True, progress=_never)
    assert (run.model / "model.safetensors").stat().st_mtime_ns == before


def test_another_validation_split_is_refused(data: ImageSet, tmp_path: Path) -> None:
    half = data.subset([0, 1, 2, 3])
    settings = quick_settings()
    with pytest.raises(KeyboardInterrupt):
        train(data, settings=settings, out=tmp_path / "run", validation=half, progress=_interrupting(5))
    for other in (data.subset([0, 1, 2]), None):
        with pytest.raises(SettingsError, match="validation split have changed"):
            train(data, settings=settings, out=tmp_path / "run", validation=other, resume=True)
    train(data, settings=settings, out=tmp_path / "run", validation=half, resume=True)
    train(data, settings=settings, out=tmp_path / "run", resume=True, progress=_never)


def grouped(data: ImageSet, *groups: str) -> ImageSet:
    """The data set with the groups of its images in turn."""
    records = (replace(record, group=groups[i % len(groups)]) for i, record in enumerate(data.records))
    return replace(data, records=tuple(records))


def test_a_validation_split_that_shares_a_group_is_refused(data: ImageSet, tmp_path: Path) -> None:
    training = grouped(data.subset([0, 1, 2, 3, 4]), "p1", "p2")
    settings = quick_settings()
    with pytest.raises(DataError, match="p1: 3 and 1 images; p2: 2 and 1 images"):
        train(
            training,
            settings=settings,
            out=tmp_path / "run",
            validation=grouped(data.subset([6, 7]), "p1", "p2"),
        )


def test_no_group_is_divided_for_validation(data: ImageSet, tmp_path: Path) -> None:
    settings = quick_settings(data={"validation_fraction": 0.2}, train={"epochs": 1})
    run = train(grouped(data, "p1", "p2", "p3"), settings=settings, out=tmp_path / "run")
    notes = training_notes(run)
    assert (notes.training_images, notes.validation_images) == (8, 4)
    with pytest.raises(DataError, match="images are of 1 group"):
        train(grouped(data, "p1"), settings=settings, out=tmp_path / "other")


def test_a_validation_set_that_came_later_is_refused(data: ImageSet, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(data, settings=quick_settings(), out=tmp_path / "run", progress=_interrupting(5))
    half = data.subset([0, 1, 2, 3])
    with pytest.raises(SettingsError, match="validation split have changed"):
        train(data, settings=quick_settings(), out=tmp_path / "run", validation=half, resume=True)


def test_changed_photographs_may_be_passed_over_for_one_call(tmp_path: Path) -> None:
    own = draw_squares(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        train(own, settings=quick_settings(), out=tmp_path / "run", progress=_interrupting(5))
    with own.records[0].image.open("ab") as stream:
        stream.write(b"\0")
    with pytest.raises(SettingsError, match="image files were replaced or removed"):
        train(own, settings=quick_settings(), out=tmp_path / "run", resume=True)
    anyway = quick_settings(train={"resume_anyway": True})
    with pytest.raises(KeyboardInterrupt):
        train(own, settings=anyway, out=tmp_path / "run", resume=True, progress=_interrupting(8))
    run = Run(tmp_path / "run")
    assert run.settings().train == quick_settings().train
    assert training_notes(run).resumed_anyway == ("image files were replaced or removed",)
    train(own, settings=quick_settings(), out=run.path, resume=True)  # they are the same since
