from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from PIL import Image

from swtformer.cli import main
from swtformer.store.notes import training_notes
from swtformer.store.run import Run

WEIGHTS = Path("model") / "model.safetensors"


@pytest.fixture
def copy(run: Path, tmp_path: Path) -> Path:
    """A copy of the trained and localized run that a test may spoil."""
    return Path(shutil.copytree(run, tmp_path / "copy"))


@pytest.fixture
def photos(run: Path, tmp_path: Path) -> Path:
    """A folder per class of the run, with one picture each."""
    for name in Run(run).classes():
        (tmp_path / "photos" / name).mkdir(parents=True)
        Image.effect_noise((48, 40), 60).convert("RGB").save(tmp_path / "photos" / name / "one.jpg")
    return tmp_path / "photos"


@contextmanager
def signal_when_there(pattern: str, folder: Path, signum: int) -> Iterator[None]:
    """Send this process a signal as soon as a file of the pattern lies in the folder."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            if any(folder.glob(pattern)):
                os.kill(os.getpid(), signum)
                return

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_train_writes_the_settings_that_were_given(run: Path, shapes: Path) -> None:
    settings = Run(run).settings()
    assert settings.train.epochs == 1
    assert settings.model.weights == "none"
    assert training_notes(Run(run)).data == shapes


def test_train_takes_a_config_file_below_the_flags(
    shapes: Path, tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "short.yaml"
    config.write_text(
        yaml.safe_dump({"seed": 3, "train": {"epochs": 9}, "model": {"method": "swtformer_v1"}})
    )
    out = tmp_path / "a run"
    assert main(["train", str(shapes), f"--out={out}", f"--config={config}", "--train.epochs=1", *tiny]) == 0
    settings = Run(out).settings()
    assert (settings.seed, settings.train.epochs, settings.model.method) == (3, 1, "swtformer_v1")
    assert capsys.readouterr().out == f"The trained run is in {out}.\nNext: swtformer localize '{out}'\n"


def test_all_mistakes_of_a_config_file_are_named_at_once(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "wrong.yaml"
    config.write_text("trian: {}\nmodel: {methd: x, drop_path: 7}\ntrain: {epochs: none}\n")
    assert main(["train", str(shapes), f"--out={tmp_path / 'run'}", f"--config={config}"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == f"error: {config}:"
    assert sorted(line.split(":")[0].strip() for line in lines[1:]) == [
        "model.drop_path",
        "train.epochs",
        "unknown setting 'model.methd'. Did you mean 'method'?",
        "unknown setting 'trian'. Did you mean 'train'?",
    ]
    assert not (tmp_path / "run").exists()


def test_train_without_data_says_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", f"--out={tmp_path / 'run'}"]) == 2
    assert "Name the data set" in capsys.readouterr().err


def test_resume_knows_data_and_settings_of_the_run(copy: Path) -> None:
    before = (copy / WEIGHTS).read_bytes()
    assert main(["train", "--out", str(copy), "--resume"]) == 0
    assert (copy / WEIGHTS).read_bytes() == before


def test_resume_refuses_other_settings(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--out", str(copy), "--resume", "--train.learning_rate=1"]) == 2
    assert "train.learning_rate" in capsys.readouterr().err


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_training_tells_how_to_go_on(
    signum: int, code: int, shapes: Path, tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    arguments = ["train", str(shapes), f"--out={out}", "--train.epochs=1000", *tiny]
    with signal_when_there("checkpoints/epoch-*.ckpt", out, signum):
        assert main(arguments) == code
    name = signal.Signals(signum).name
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == f"Stopped by {name}. Resume with: swtformer train {shapes} --out {out} --resume"


def test_train_says_when_data_may_be_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "With --resume the one" in text
    assert "By default the one" not in text


def test_a_training_stopped_before_its_first_checkpoint_can_go_on(
    shapes: Path, tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    with signal_when_there("settings.yaml", out, signal.SIGINT):
        assert main(["train", str(shapes), f"--out={out}", "--train.epochs=1000", *tiny]) == 130
    assert not list(out.glob("checkpoints/*.ckpt"))
    assert "--resume" in capsys.readouterr().err


def test_numbers_that_are_not_finite_end_with_5(
    shapes: Path, tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["train", str(shapes), f"--out={tmp_path / 'run'}", "--train.learning_rate=1e30", *tiny]
    assert main([*arguments, "--train.clip_norm=0", "--train.warmup_fraction=0"]) == 5
    assert "step" in capsys.readouterr().err


def test_localize_makes_maps_of_the_split_and_keeps_them(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = json.loads(Run(copy).maps_file.read_text())
    assert (made["split"], made["scales"], made["flip"]) == ("val", [1.0], True)
    assert len(Run(copy).map_ids()) == 3
    assert main(["localize", str(copy), "--data.split=val", "--localize.scales=1"]) == 0
    assert "Maps of 0 images made, 3 were kept" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "flip"),
    [(["--localize.flip", "false"], False), (["--localize.no-flip"], False), (["--localize.flip"], True)],
)
def test_false_means_false(copy: Path, arguments: list[str], flip: bool) -> None:
    assert main(["localize", str(copy), *arguments, "--data.split=val", "--localize.scales=1"]) == 0
    assert json.loads(Run(copy).maps_file.read_text())["flip"] is flip


def test_localize_skips_unreadable_images_and_ends_with_3(
    copy: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = photos / "fish" / "broken.jpg"
    broken.write_bytes((broken.parent / "one.jpg").read_bytes()[:400])
    assert main(["localize", str(copy), str(photos), "--localize.scales=1"]) == 3
    with Run(copy).failures_file.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["stage"], row["path"]) for row in rows] == [("localize", str(broken))]
    assert f"1 image was skipped; {Run(copy).failures_file} says" in capsys.readouterr().err


def test_the_split_of_the_run_does_not_hold_for_other_data(copy: Path, photos: Path) -> None:
    settings = Run(copy).settings()
    data = settings.data.model_copy(update={"split": "train", "format": "shapes"})
    Run(copy).write_settings(settings.model_copy(update={"data": data}))
    assert main(["localize", str(copy), str(photos), "--localize.scales=1"]) == 0
    assert json.loads(Run(copy).maps_file.read_text())["split"] is None


def test_a_damaged_model_ends_with_4(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (copy / WEIGHTS).write_bytes((copy / WEIGHTS).read_bytes()[:1000])
    assert main(["localize", str(copy), "--data.split=val"]) == 4
    err = capsys.readouterr().err
    assert "model.safetensors" in err
    assert "Traceback" not in err


def test_verbose_shows_where_an_error_came_from(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (copy / WEIGHTS).unlink()
    assert main(["localize", str(copy), "--data.split=val", "-v"]) == 4
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["localize", "mask", "evaluate", "report"])
def test_a_folder_that_is_no_run_is_refused(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, str(tmp_path)]) == 2
    assert f"error: {tmp_path} is not a run folder" in capsys.readouterr().err
    assert not any(tmp_path.iterdir())


def test_data_check_shows_counts_and_draws_a_sheet(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sheet = tmp_path / "sheet.jpg"
    assert main(["data", "check", str(shapes), "--sheet", str(sheet)]) == 0
    out = capsys.readouterr().out
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in out.splitlines()]
    assert ["images", "13"] in cells
    assert ["height", "64 px"] in cells
    assert f"The picture sheet is {sheet}." in out
    with Image.open(sheet) as picture:
        assert picture.format == "JPEG"


def test_data_check_lists_all_that_would_be_skipped(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = [photos / "fish" / f"broken-{number}.jpg" for number in range(7)]
    for file in broken:
        file.write_bytes(b"<html>")
    assert main(["data", "check", str(photos)]) == 3
    out = capsys.readouterr().out
    assert "unreadable image: 7" in out
    assert all(str(file) in out for file in broken)
    assert main(["data", "check", str(photos), "--strict"]) == 2
    assert "error: " in capsys.readouterr().err


def test_data_check_compares_splits_and_groups(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("p1_a", "p2_a", "p3_a", "p1_b", "p4_a"):
        Image.effect_noise((48, 40), 60).convert("RGB").save(tmp_path / f"{name}.png")
    rows = [f"{name}.png,{label},{split}" for name, label, split in (
        ("p1_a", "cat", "train"), ("p2_a", "dog", "train"), ("p3_a", "cat", "val"),
        ("p1_b", "dog", "test"), ("p4_a", "cat", "test"),
    )]  # fmt: skip
    (tmp_path / "labels.csv").write_text("\n".join(["image,labels,split", *rows]))
    command = ["data", "check", str(tmp_path), r"--data.group=^(p\d)"]
    assert main([*command, "--data.validation_split=val"]) == 0
    assert "group in two splits" not in capsys.readouterr().out
    assert main([*command, "--against=val", "--against=test"]) == 2
    assert "(p1: 1 and 1 images)" in capsys.readouterr().out


def test_data_check_of_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "check", str(tmp_path / "nothing")]) == 2
    assert "does not exist" in capsys.readouterr().err


def test_mask_evaluate_report(copy: Path, shapes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = Run(copy)
    assert main(["mask", str(copy), "--mask.policy=fixed", "--mask.threshold=0.2"]) == 0
    out = capsys.readouterr().out
    assert f"3 masks made from the R-CAMs, background by fixed at 0.2: {run.masks}" in out
    assert len(list(run.masks.glob("*.png"))) == 3

    assert main(["evaluate", str(copy)]) == 0
    out = capsys.readouterr().out
    assert "Split val, 3 images" in out
    assert str(shapes / "masks") in out
    assert json.loads(run.scores_file.read_text())["split"] == "val"

    assert main(["report", str(copy)]) == 0
    assert f"The report is {run.report_file}." in capsys.readouterr().out
    assert run.report_file.is_file()

    commands = training_notes(run).commands
    assert [line.split()[1] for line in commands] == ["train", "localize", "mask", "evaluate", "report"]
    assert commands[2].endswith("--mask.policy=fixed --mask.threshold=0.2")


def test_evaluate_a_folder_of_masks_with_and_without_a_run(
    copy: Path, shapes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["mask", str(copy)]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(copy), "--predictions", str(copy / "masks")]) == 0
    of_run = capsys.readouterr().out
    assert main(["evaluate", str(shapes), "--data.split=val", "--predictions", str(copy / "masks")]) == 0
    assert capsys.readouterr().out == of_run
    assert not Run(copy).scores_file.exists()


def test_evaluate_refuses_the_ground_truth_as_prediction(
    shapes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(shapes), "--predictions", str(shapes / "masks")]) == 2
    assert "error: " in capsys.readouterr().err


def test_a_run_that_forgot_its_data_asks_for_it(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Run(copy).environment_file.unlink()
    assert main(["localize", str(copy)]) == 2
    assert "does not know its data set" in capsys.readouterr().err


def test_later_commands_open_the_annotation_file_that_was_trained_on(
    tmp_path: Path, photos: Path, tiny: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    names = sorted(file.relative_to(photos).as_posix() for file in photos.rglob("*.jpg"))

    def write(file: Path, listed: list[str], category: str) -> Path:
        content = {
            "images": [{"id": index, "file_name": name} for index, name in enumerate(listed)],
            "categories": [{"id": 1, "name": category}, {"id": 2, "name": "other"}],
            "annotations": [{"image_id": index, "category_id": 1} for index in range(0, len(listed), 2)],
        }
        file.write_text(json.dumps(content))
        return file

    mine = write(photos / "mine.json", names, "fish")
    write(photos / "instances_train.json", names[:1], "bird")
    out = tmp_path / "run"
    command = [
        "train",
        str(mine),
        "--out",
        str(out),
        "--train.epochs=1",
        "--data.validation_fraction=0",
        *tiny,
    ]
    assert main(command) == 0
    assert main(["localize", str(out), "--localize.scales=1"]) == 0
    assert len(Run(out).map_ids()) == len(names)
    write(mine, names[1:], "fish")
    capsys.readouterr()
    assert main(["localize", str(out), "--localize.scales=1"]) == 0
    first = names[0].removesuffix(".jpg")
    assert f"was trained, 1 image was removed ({first})" in " ".join(capsys.readouterr().err.split())
    mine.rename(tmp_path / "mine.json")
    assert main(["localize", str(out)]) == 2
    assert "name its new place after the run" in " ".join(capsys.readouterr().err.split())
    assert main(["localize", str(out), str(tmp_path / "mine.json"), f"--data.images={photos}"]) == 0


def test_folders_that_are_links_are_followed_and_named(
    copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.move(copy / "maps", tmp_path / "disk")
    (copy / "maps").symlink_to(tmp_path / "disk")
    assert main(["mask", str(copy)]) == 0
    assert f"{copy / 'maps'} is a link: its files lie in {tmp_path / 'disk'}." in capsys.readouterr().out
