"""The callbacks in real fits of one parameter, whose losses follow a script."""

from __future__ import annotations

import csv
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader

from swtformer.engine.callbacks import EpochMetrics, OwnSignals, ProgressReport, UnreadableImages
from swtformer.engine.module import FittedModule
from swtformer.settings import SegmentSettings

pytestmark = pytest.mark.filterwarnings("ignore:::lightning")


class Scripted(FittedModule):
    """Takes its losses from a list, `None` for a batch without `second`; its mAP is a tenth per epoch."""

    section = "segment"
    loss_names = ("first", "second")
    validation_names = ("map_per_class", "map_per_image")
    monitored = "map_per_class"
    monitored_name = "mAP"

    def __init__(self, *losses: float, second: bool = True) -> None:
        super().__init__(torch.nn.Linear(1, 1), SegmentSettings(), seed=0)
        self.losses = iter(losses)
        self.second = second
        self.handlers: list[Any] = []

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> torch.Tensor:
        self.handlers.append(signal.getsignal(signal.SIGTERM))
        value = next(self.losses) + 0 * self.model(torch.zeros(1, 1)).sum()
        losses = {"first": value / 2}
        if self.second:
            losses["second"] = value
        return self.total(losses, {"second": 0.5})

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        pass

    def on_validation_epoch_end(self) -> None:
        epoch = self.current_epoch + 1
        self.validation = {"map_per_class": epoch / 10, "map_per_image": epoch / 20}

    def configure_optimizers(self) -> Any:
        half = int(self.trainer.estimated_stepping_batches) // 2
        optimizer = torch.optim.SGD(self.parameters(), lr=0.25)
        halved = torch.optim.lr_scheduler.StepLR(optimizer, step_size=half + 1, gamma=0.5)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": halved, "interval": "step"}}


def batches(*failed: tuple[int, ...]) -> DataLoader[Any]:
    """A loader whose batches hold nothing but the positions that could not be read."""
    return DataLoader([{"failed": torch.tensor(positions)} for positions in failed], batch_size=None)


def trainer(*callbacks: Callback, epochs: int = 2, **options: Any) -> Trainer:
    return Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        callbacks=list(callbacks),
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
        **{"logger": False, **options},
    )


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


class TestEpochMetrics:
    def test_a_row_holds_the_means_of_its_epoch(self, tmp_path: Path) -> None:
        path = tmp_path / "metrics.csv"
        trainer(EpochMetrics(path)).fit(Scripted(1, 3, 5, 9), batches((), ()), batches(()))
        first, second = rows(path)
        assert list(first)[-1] == "seconds"
        assert 0 <= float(first.pop("seconds")) < 60
        assert list(first.items()) == [
            ("epoch", "1"),
            ("step", "2"),
            ("learning_rate", "0.25"),
            ("loss", "2.000000"),
            ("first", "1.000000"),
            ("second", "2.000000"),
            ("map_per_class", "0.100000"),
            ("map_per_image", "0.050000"),
        ]
        assert (second["epoch"], second["step"], second["loss"]) == ("2", "4", "7.000000")
        assert second["learning_rate"] == "0.125"

    def test_without_validation_its_columns_are_empty(self, tmp_path: Path) -> None:
        path = tmp_path / "metrics.csv"
        trainer(EpochMetrics(path), epochs=1).fit(Scripted(1), batches(()))
        (row,) = rows(path)
        assert row["map_per_class"] == row["map_per_image"] == ""

    def test_a_loss_that_was_not_computed_leaves_its_cell_empty(self, tmp_path: Path) -> None:
        path = tmp_path / "metrics.csv"
        logger = CSVLogger(tmp_path / "logged", name="", version="")
        module = Scripted(2, second=False)
        trainer(EpochMetrics(path), epochs=1, logger=logger).fit(module, batches(()))
        (row,) = rows(path)
        assert (row["loss"], row["first"], row["second"]) == ("1.000000", "1.000000", "")
        assert "second" not in rows(tmp_path / "logged" / "metrics.csv")[0]

    def test_a_score_that_was_not_announced_is_refused(self, tmp_path: Path) -> None:
        module = Scripted(2)
        module.validation_names = ("map_per_class",)
        with pytest.raises(ValueError, match=r"score 'map_per_image' .* validation_names .*Scripted"):
            trainer(EpochMetrics(tmp_path / "metrics.csv"), epochs=1).fit(module, batches(()), batches(()))

    def test_a_resumed_fit_keeps_the_rows_before_its_checkpoint(self, tmp_path: Path) -> None:
        path, checkpoint = tmp_path / "metrics.csv", tmp_path / "epoch-0001.ckpt"
        first = trainer(EpochMetrics(path), epochs=1)
        first.fit(Scripted(1), batches(()))
        first.save_checkpoint(checkpoint)
        header, row = path.read_text().splitlines()
        path.write_text("\n".join([header, row, row.replace("1,", "2,", 1), row.replace("1,", "3,", 1)]))
        again = trainer(EpochMetrics(path), epochs=2)
        again.fit(Scripted(7), batches(()), ckpt_path=checkpoint, weights_only=True)
        assert [(row["epoch"], row["loss"]) for row in rows(path)] == [("1", "1.000000"), ("2", "7.000000")]

    def test_loggers_get_the_same_numbers(self, tmp_path: Path) -> None:
        logger = CSVLogger(tmp_path, name="", version="")
        watch = EpochMetrics(tmp_path / "own.csv")
        trainer(watch, epochs=1, logger=logger).fit(Scripted(1, 3), batches((), ()), batches(()))
        (row,) = rows(tmp_path / "metrics.csv")
        assert (float(row["loss"]), float(row["map_per_class"])) == (2, 0.1)
        assert row["step"] == "2"


def test_progress_counts_batches_over_all_epochs_and_smooths_the_losses() -> None:
    reported: list[tuple[Any, ...]] = []
    report = ProgressReport(lambda *call: reported.append(call))
    trainer(report).fit(Scripted(1, 3, 3, 11), batches((), ()), batches(()))
    # 1; 0.9 · 1 + 0.1 · 3; 0.9 · 1.2 + 0.1 · 3; 0.9 · 1.38 + 0.1 · 11
    assert reported == [
        ("segment", 1, 4, "epoch 1/2  loss 1.000  first 0.500  second 1.000"),
        ("segment", 2, 4, "epoch 1/2  loss 1.200  first 0.600  second 1.200"),
        ("segment", 3, 4, "epoch 2/2  loss 1.380  first 0.690  second 1.380  mAP 0.100"),
        ("segment", 4, 4, "epoch 2/2  loss 2.342  first 1.171  second 2.342  mAP 0.100"),
    ]


def test_progress_has_no_number_for_a_score_that_is_undefined() -> None:
    reported: list[str] = []
    module = Scripted(1)
    module.validation = {module.monitored: float("nan")}
    trainer(ProgressReport(lambda *call: reported.append(str(call[-1]))), epochs=1).fit(module, batches(()))
    assert reported == ["epoch 1/1  loss 1.000  first 0.500  second 1.000  mAP n/a"]


def test_unreadable_images_are_collected_once_and_apart() -> None:
    unreadable = UnreadableImages()
    trainer(unreadable).fit(Scripted(1, 1, 1, 1), batches((3, 7), (0,)), batches((), (5,)))
    assert unreadable.training == {0, 3, 7}
    assert unreadable.validation == {5}
    assert all(type(position) is int for position in unreadable.training)


@pytest.fixture
def handler() -> Iterator[Any]:
    """A handler of SIGTERM that was there before."""

    def mine(signum: int, frame: object) -> None:
        raise AssertionError("nobody sends it here")

    before = signal.signal(signal.SIGTERM, mine)
    yield mine
    signal.signal(signal.SIGTERM, before)


def test_sigterm_stays_with_whoever_handled_it(handler: Any) -> None:
    module, left_to_lightning = Scripted(1), Scripted(1)
    trainer(OwnSignals(), epochs=1).fit(module, batches(()))
    trainer(epochs=1).fit(left_to_lightning, batches(()))
    assert module.handlers == [handler]
    assert left_to_lightning.handlers != [handler], "the callback is no longer needed"


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt(), -signal.SIGKILL), (ValueError(), None)])
def test_only_a_stop_ends_the_processes_beside_this_one(error: BaseException, code: int | None) -> None:
    """Lightning handles other errors itself."""
    owner = trainer(devices=2, strategy="ddp")
    beside = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        owner.strategy.launcher.procs.append(beside)
        OwnSignals().on_exception(owner, Scripted(), error)
        if code is None:
            assert beside.poll() is None
        else:
            assert beside.wait(30) == code
    finally:
        beside.kill()
        beside.wait()
