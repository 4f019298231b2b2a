"""`fit` on one weight; whole trainings, their resumption and several processes are tested with the stages."""

from __future__ import annotations

import csv
import logging
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.fabric.loggers import tensorboard
from torch import nn
from torch.overrides import _get_current_function_mode_stack

from support.slope import Blanks, Slope
from swtformer.engine import fitting
from swtformer.engine.callbacks import UnreadableImages
from swtformer.engine.depthwise import FastDepthwise
from swtformer.engine.fitting import fit
from swtformer.errors import CheckpointError, NonFiniteError, SettingsError, SwtformerError
from swtformer.settings import SegmentSettings
from swtformer.store.run import Run


def options(**changes: Any) -> SegmentSettings:
    """A constant rate of 0.5, so that AdamW's steps are about 0.5."""
    steady = {"learning_rate": 0.5, "minimum_learning_rate": 0.5, "warmup_fraction": 0.0, "weight_decay": 0.0}
    quick = {"epochs": 2, "batch_size": 2, "precision": "fp32", "accelerator": "cpu", "workers": 0}
    return SegmentSettings.model_validate({**steady, **quick, **changes})


def run_fit(
    module: Slope,
    folder: Path,
    *,
    training: Any = None,
    resume: bool = False,
    progress: Any = lambda *_: None,
) -> UnreadableImages:
    return fit(
        module,
        training or Blanks(4),
        Blanks(2, unreadable=[1]) if module.scores else None,
        run=Run(folder),
        resume=resume,
        progress=progress,
    )


def stops_at(step: int, stop: BaseException) -> Any:
    def progress(stage: str, done: int, total: int, note: str = "") -> None:
        if done == step:
            raise stop

    return progress


def test_the_last_weights_are_kept_and_the_epochs_are_rows(tmp_path: Path) -> None:
    module = Slope(options())
    reported: list[tuple[str, int, int]] = []
    run_fit(module, tmp_path, progress=lambda stage, done, total, _: reported.append((stage, done, total)))
    assert module.weights == pytest.approx([0, -0.5, -1, -1.5])
    assert module.weight == pytest.approx(-2)
    assert reported == [("segment", step, 4) for step in (1, 2, 3, 4)]
    with Run(tmp_path).metrics_file.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["epoch"], row["slope"]) for row in rows] == [("1", "-0.250000"), ("2", "-1.250000")]


@pytest.mark.parametrize(("keep", "weight"), [("last", -4), ("best", -2)])
def test_the_best_epoch_is_the_first_of_the_highest_score(keep: str, weight: float, tmp_path: Path) -> None:
    module = Slope(options(epochs=4, keep=keep), scores=(0.1, 0.5, 0.5, 0.3))
    run_fit(module, tmp_path)
    assert module.weight == pytest.approx(weight)


def test_a_training_leaves_the_determinism_of_the_process(tmp_path: Path) -> None:
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        run_fit(Slope(options()), tmp_path)
        assert torch.is_deterministic_algorithms_warn_only_enabled()
    finally:
        torch.use_deterministic_algorithms(False)


def test_averaged_weights_are_kept_and_scored(tmp_path: Path) -> None:
    """The first average is the weight itself, then 3/4 of the average and 1/4 of the weight."""
    module = Slope(options(ema_decay=0.75))
    run_fit(module, tmp_path)
    after = [*module.weights[1:], -2.0]
    average = after[0]
    for weight in after[1:]:
        average = 0.75 * average + 0.25 * weight
    assert module.weight == pytest.approx(average)
    assert average != pytest.approx(-2)


def test_patience_counts_epochs_without_a_better_score(tmp_path: Path) -> None:
    module = Slope(options(epochs=6, early_stopping_patience=2), scores=(0.1, 0.5, 0.5, 0.3, 0.9, 1.0))
    run_fit(module, tmp_path)
    assert len(module.weights) == 4 * 2


def test_gradients_are_added_up(tmp_path: Path) -> None:
    module = Slope(options(accumulate=2))
    run_fit(module, tmp_path)
    assert module.weights == pytest.approx([0, 0, -0.5, -0.5])


def test_images_that_could_not_be_read_are_returned(tmp_path: Path) -> None:
    module = Slope(options(epochs=1), scores=(0.5,))
    unreadable = run_fit(module, tmp_path, training=Blanks(4, unreadable=[0, 3]))
    assert (unreadable.training, unreadable.validation) == ({0, 3}, {1})


def test_a_fit_resumes_from_its_newest_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_fit(Slope(options()), tmp_path, progress=stops_at(4, KeyboardInterrupt()))
    module = Slope(options())
    run_fit(module, tmp_path, resume=True)
    assert module.weights == pytest.approx([-1, -1.5])
    assert module.weight == pytest.approx(-2)


def test_without_a_checkpoint_there_is_nothing_to_resume(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        run_fit(Slope(options()), tmp_path, resume=True)


def test_weights_that_are_not_finite_end_a_fit_whose_losses_were(tmp_path: Path) -> None:
    """Twelve steps of 3e37 leave float32, which ends at 3.4e38, with the last step of the epoch."""
    module = Slope(options(learning_rate=3e37, minimum_learning_rate=3e37))
    with pytest.raises(NonFiniteError, match=r"weight are not finite.*segment\.learning_rate"):
        run_fit(module, tmp_path, training=Blanks(24))
    assert len(module.weights) == 12
    assert not list(tmp_path.rglob("*.ckpt"))


@pytest.fixture
def handler() -> Iterator[Any]:
    """A handler of SIGINT that was there before."""

    def mine(signum: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, mine)
    yield mine
    signal.signal(signal.SIGINT, before)


class InterruptedEarly(Slope):
    """Is interrupted before Lightning handles signals."""

    def setup(self, stage: str) -> None:
        signal.raise_signal(signal.SIGINT)


def interrupting(*_: Any) -> None:
    signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("kind", [Slope, InterruptedEarly])
def test_an_interrupt_stays_one_and_the_next_is_answered_too(
    kind: type[Slope], handler: Any, tmp_path: Path
) -> None:
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            run_fit(kind(options()), tmp_path, progress=interrupting)
        assert signal.getsignal(signal.SIGINT) is handler


def test_an_exit_without_an_interrupt_keeps_its_code(handler: Any, tmp_path: Path) -> None:
    with pytest.raises((SystemExit, KeyboardInterrupt)) as caught:
        run_fit(Slope(options()), tmp_path, progress=stops_at(1, SystemExit(7)))
    assert isinstance(caught.value, SystemExit)
    assert caught.value.code == 7


def test_a_fit_can_run_beside_the_main_thread(handler: Any, tmp_path: Path) -> None:
    module = Slope(options())
    thread = threading.Thread(target=run_fit, args=(module, tmp_path))
    thread.start()
    thread.join()
    assert module.weight == pytest.approx(-2)
    assert signal.getsignal(signal.SIGINT) is handler


def test_lightning_prints_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    names = ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero")
    for name in names:
        logging.getLogger(name).setLevel(logging.INFO)
    run_fit(Slope(options(epochs=1)), tmp_path)
    assert capfd.readouterr() == ("", "")
    assert {logging.getLogger(name).getEffectiveLevel() for name in names} == {logging.ERROR}


def test_tensorboard_is_an_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_TENSORBOARD_AVAILABLE", "_TENSORBOARDX_AVAILABLE"):
        monkeypatch.setattr(tensorboard, name, False)
    with pytest.raises(SettingsError, match=r"segment\.tensorboard .*'swtformer\[log\]'"):
        run_fit(Slope(options(tensorboard=True)), tmp_path)


@pytest.mark.parametrize(
    ("devices", "has_idle", "strategy"),
    [(1, True, "auto"), (2, False, "ddp"), (2, True, "ddp_find_unused_parameters_true")],
)
def test_several_processes_look_for_idle_parameters_where_there_may_be_some(
    devices: int, has_idle: bool, strategy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen: list[str] = []

    def record(**options: Any) -> None:
        chosen.append(options["strategy"])
        raise KeyboardInterrupt

    module = Slope(options(devices=devices))
    monkeypatch.setattr(fitting, "Trainer", record)
    monkeypatch.setattr(module, "has_idle_parameters", lambda: has_idle)
    with pytest.raises(KeyboardInterrupt):
        run_fit(module, tmp_path)
    assert chosen == [strategy]


@pytest.mark.parametrize("count", ["3", "4"])
def test_as_many_processes_as_the_settings_say(
    count: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", count)
    with pytest.raises(
        SettingsError,
        match=rf"{count} processes .*ask for 2: .*segment\.devices .*segment\.nodes",
    ):
        run_fit(Slope(options(devices=1, nodes=2)), tmp_path)
    assert not any(tmp_path.iterdir())


class Deadly(Blanks):
    """Samples whose worker is killed when it reads one."""

    def read(self, index: int) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class AskedToStop(BaseException):
    """What a signal's handler raises."""


def test_a_killed_worker_is_named_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(SwtformerError, match=r"worker process .* was killed .*segment\.workers 0"):
        run_fit(Slope(options(workers=1)), tmp_path, training=Deadly(4))


def test_workers_that_stop_as_well_do_not_hide_a_request_to_stop(tmp_path: Path) -> None:
    def progress(*_: Any) -> None:
        try:
            raise AskedToStop
        finally:
            raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Terminated.")

    with pytest.raises(AskedToStop):
        run_fit(Slope(options()), tmp_path, progress=progress)


@pytest.mark.parametrize(
    ("nodes", "told"), [(2, "Another process of this training has ended"), (1, "Connection closed by peer")]
)
def test_a_lost_process_is_named_where_there_are_several(
    nodes: int, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fit_and_lose(*_: Any, **__: Any) -> None:
        raise RuntimeError("[enforce] Connection closed by peer [127.0.0.1]:4\ntrace")

    monkeypatch.setattr(fitting.Trainer, "fit", fit_and_lose)
    module = Slope(options(nodes=nodes))
    with pytest.raises(RuntimeError if nodes == 1 else SwtformerError, match=told):
        fitting._run_fit(fitting.Trainer(logger=False, accelerator="cpu"), module)


@pytest.mark.parametrize(
    ("precision", "groups", "entered"), [("bf16", 4, True), ("bf16", 1, False), ("fp32", 4, False)]
)
def test_gradients_of_depthwise_convolutions_are_the_fast_ones(
    precision: str, groups: int, entered: bool, tmp_path: Path
) -> None:
    seen: list[bool] = []

    class Watched(Slope):
        def training_step(self, *args: Any) -> Any:
            seen.append(any(isinstance(mode, FastDepthwise) for mode in _get_current_function_mode_stack()))
            return super().training_step(*args)

    watched = Watched(options(precision=precision))
    watched.layer = nn.Conv2d(4, 4, 3, groups=groups).requires_grad_(False)
    run_fit(watched, tmp_path)
    assert set(seen) == {entered}
