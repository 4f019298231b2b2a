from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from swtformer.engine.training_folder import (
    LOCK,
    has_checkpoint,
    training_folder,
    with_earlier,
)
from swtformer.errors import SettingsError, SwtformerError
from swtformer.settings import Settings
from swtformer.store.failures import Failure, write_failures
from swtformer.store.run import Run

SETTINGS = Settings(seed=3)


def prepare(run: Run, settings: Settings = SETTINGS, *, resume: bool) -> None:
    with training_folder(run, settings, sections=("seed", "train"), resume=resume):
        pass


@pytest.fixture
def started(tmp_path: Path) -> Run:
    """A training that stopped after its first epoch."""
    run = Run(tmp_path / "run")
    run.write_settings(SETTINGS)
    run.checkpoints.mkdir()
    (run.checkpoints / "epoch-001.ckpt").touch()
    return run


def test_a_new_folder_is_made_with_those_around_it(tmp_path: Path) -> None:
    prepare(Run(tmp_path / "a" / "b"), resume=False)
    assert (tmp_path / "a" / "b").is_dir()


def test_a_run_is_not_begun_again_and_nothing_is_not_gone_on_with(started: Run, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"already holds a run\. Resume it with"):
        prepare(started, resume=False)
    with pytest.raises(SettingsError, match=r"holds no run to resume \(no settings\.yaml\)"):
        prepare(Run(tmp_path / "none"), resume=True)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("now", "changed"),
    [
        ({"seed": 4}, "seed"),
        ({"train": {"epochs": 7, "batch_size": 3, "workers": 0}}, "train.epochs, train.batch_size"),
        ({"train": {"workers": 0}}, None),
        ({"mask": {"threshold": 0.5}}, None),
    ],
)
def test_settings_that_decide_the_weights_are_kept(
    started: Run, now: dict[str, object], changed: str | None
) -> None:
    settings = Settings.model_validate({"seed": 3, **now})
    if changed is None:
        prepare(started, settings, resume=True)
        return
    with pytest.raises(SettingsError, match=f"was started with other settings: {changed}\\."):
        prepare(started, settings, resume=True)


def test_more_epochs_are_a_new_run_that_starts_from_this_one(started: Run) -> None:
    with pytest.raises(SettingsError, match=r"train longer, start .*: train\.start_from") as caught:
        prepare(started, Settings.model_validate({"seed": 3, "train": {"epochs": 90}}), resume=True)
    assert str(caught.value).endswith(f"train.start_from {started.path}.")
    with pytest.raises(SettingsError, match=r"to change them\.$"):
        prepare(started, Settings(seed=4), resume=True)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SwtformerError, match="file/run: cannot be created: Not a directory"):
        prepare(Run(tmp_path / "file" / "run"), resume=False)


HOLD = """
import sys
from pathlib import Path
from swtformer.store.run import Run
from swtformer.settings import Settings
from swtformer.engine.training_folder import training_folder

with training_folder(Run(Path(sys.argv[1])), Settings(), sections=(), resume=False):
    print("holds", flush=True)
    sys.stdin.read()
"""


def test_two_trainings_never_share_a_folder(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    command = [sys.executable, "-c", HOLD, str(run.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "holds\n"
        for resume in (False, True):
            run.write_settings(SETTINGS)
            with pytest.raises(SwtformerError, match=r"another training is writing here\. Wait until it"):
                prepare(run, resume=resume)
        other.kill()
    prepare(run, resume=False)  # the file of the lock is still there
    assert (run.path / LOCK).is_file()


def test_a_folder_that_cannot_be_locked(tmp_path: Path) -> None:
    (tmp_path / LOCK).mkdir()
    with pytest.raises(SwtformerError, match=r"\.training\.lock: cannot be locked: Is a directory\."):
        prepare(Run(tmp_path), resume=False)


def test_the_folder_is_free_again_after_a_failure(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    with (
        pytest.raises(KeyboardInterrupt),
        training_folder(run, SETTINGS, sections=(), resume=False),
    ):
        raise KeyboardInterrupt
    prepare(run, resume=False)


def test_only_the_main_process_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(tmp_path / "run")
    with training_folder(run, SETTINGS, sections=(), resume=False):
        monkeypatch.setenv("LOCAL_RANK", "1")
        prepare(run, resume=False)


def test_only_a_finished_epoch_is_a_checkpoint(tmp_path: Path) -> None:
    run = Run(tmp_path)
    assert not has_checkpoint(run)
    run.checkpoints.mkdir()
    (run.checkpoints / "epoch-001.ckpt.sha256").touch()
    assert not has_checkpoint(run)
    (run.checkpoints / "epoch-001.ckpt").touch()
    assert has_checkpoint(run)


@pytest.mark.parametrize("resume", [False, True])
def test_what_stopped_before_its_first_checkpoint_is_started_over(tmp_path: Path, resume: bool) -> None:
    run = Run(tmp_path / "run")
    run.write_settings(SETTINGS)
    prepare(run, Settings(seed=4), resume=resume)
    run.model.mkdir()
    with pytest.raises(SettingsError, match=r"already holds a run|other settings: seed"):
        prepare(run, Settings(seed=4), resume=resume)


def test_failures_of_before_are_kept_and_told_once(started: Run) -> None:
    def failure(id: str, stage: str, reason: str) -> Failure:
        return Failure(id, stage, f"{id}.jpg", reason)

    write_failures(started, "train", [failure("a", "train", "old"), failure("b", "train", "old")])
    write_failures(started, "localize", [failure("c", "localize", "old")])
    found = with_earlier(started, "train", [failure("b", "train", "new"), failure("d", "train", "new")])
    assert [(item.id, item.reason) for item in found] == [("b", "new"), ("d", "new"), ("a", "old")]


def test_a_link_to_a_missing_disk_is_refused_before_the_training(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").symlink_to("/nowhere")
    with pytest.raises(SwtformerError, match=r"checkpoints is a link to /nowhere.*mounted"):
        prepare(Run(tmp_path), resume=False)
