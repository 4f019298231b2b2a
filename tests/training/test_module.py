"""The total loss, epochs that nothing chooses, and what a method sees between epochs."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
import torch
from safetensors.torch import load_file

from support.models import tiny
from support.squares import draw_squares, quick_settings
from swtformer.engine.checkpoint_files import newest_checkpoint, read_checkpoint
from swtformer.methods import TrainingImages
from swtformer.stages.train import train
from swtformer.training.module import TrainingModule


def test_the_total_is_weighted_by_the_method_at_the_epoch() -> None:
    model = tiny(gsc=0.5, ccl=2, ramp_epochs=4)
    module = TrainingModule(model, quick_settings())
    batch = {
        "image": torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8),
        "valid": torch.ones(2, 64, 64, dtype=torch.bool),
        "present": torch.tensor([[1.0, 0, 1], [0, 1, 0]]),
    }
    module.batches_in_epoch = 1
    total = module.training_step(batch, 1)  # epoch 1 of 4
    latest = module.latest
    expected = latest["cls"] + 0.125 * latest["gsc"] + 0.5 * latest["ccl"]
    torch.testing.assert_close(total.detach(), expected)


def test_without_a_score_all_epochs_run_and_the_last_is_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = draw_squares(tmp_path)
    records = tuple(replace(record, present=(0,)) for record in data.records)
    same = replace(data, records=records, classes=("red",))
    settings = quick_settings(train={"keep": "best", "early_stopping_patience": 1})
    run = train(same, settings=settings, out=tmp_path / "run", validation=same)
    with run.metrics_file.open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert {row[f"validation_map_per_{what}"] for row in rows for what in ("class", "image")} == {"nan"}
    assert not list(run.checkpoints.glob("best-*"))
    last = read_checkpoint(newest_checkpoint(run.checkpoints))["state_dict"]
    kept = load_file(run.model / "model.safetensors")
    assert all(torch.equal(value, last[f"model.{name}"]) for name, value in kept.items())
    assert f"{run.path}: mAP is n/a on these validation images" in caplog.text


def test_a_method_sees_the_whole_set_in_eval_mode_with_seeded_random_numbers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = TrainingModule(tiny(), quick_settings(), images=cast(TrainingImages, ["image"]))
    seen = []

    def look(epoch: int, images: TrainingImages, *, epochs: int) -> None:
        state = (module.model.training, torch.is_grad_enabled())
        seen.append((epoch, epochs, images[0], *state, torch.rand(1).item()))

    monkeypatch.setattr(module.model, "before_epoch", look)
    for _ in range(2):
        module.model.train()
        module.on_train_epoch_start()
        assert module.model.training
    assert seen[0][:5] == (0, quick_settings().train.epochs, "image", False, False)
    assert seen[1] == seen[0]
    other = TrainingModule(
        module.model, quick_settings().model_copy(update={"seed": 1}), images=module.images
    )
    other.on_train_epoch_start()
    assert seen[2][-1] != seen[0][-1]
