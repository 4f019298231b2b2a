from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from swtformer.cli.outcome import Outcome, finish, open_images, resume_hint, say_network
from swtformer.errors import DataError
from swtformer.settings import DataSettings, Settings
from swtformer.store.failures import Failure
from swtformer.store.files import write_json
from swtformer.store.run import Run


def failures(count: int) -> list[Failure]:
    return [Failure(f"{number}", "mask", f"{number}.npz", "is damaged") for number in range(count)]


@pytest.mark.parametrize(
    ("count", "code", "warning"),
    [
        (0, 0, ""),
        (1, 3, "warning: 1 image was skipped; {file} says which and why.\n"),
        (2, 3, "warning: 2 images were skipped; {file} says which and why.\n"),
    ],
)
def test_a_command_ends_with_what_comes_next_and_what_was_skipped(
    count: int, code: int, warning: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Run(tmp_path)
    assert finish(run, failures(count), next_command="swtformer mask 'a run'") == Outcome(code, run)
    out, err = capsys.readouterr()
    assert out == "Next: swtformer mask 'a run'\n"
    assert err == warning.format(file=run.failures_file)


def test_a_run_of_several_networks_says_which_is_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def finish_network(name: str, day: int) -> None:
        write_json(tmp_path / name / "model" / "config.json", {})
        write_json(tmp_path / name / "environment.json", {"finished": f"2026-01-{day:02}T00:00:00+00:00"})

    finish_network("segmentation", 1)
    say_network(tmp_path)
    assert capsys.readouterr().out == ""
    finish_network("segmentation-corrected", 2)
    say_network(tmp_path)
    newest, older = tmp_path / "segmentation-corrected", tmp_path / "segmentation"
    assert capsys.readouterr().out == (
        f"{tmp_path} has 2 segmentation networks; the newest is taken, {newest}. "
        f"Named in place of the run, another is taken: {older}\n"
    )


def test_a_stop_before_there_are_settings_starts_over(tmp_path: Path) -> None:
    trained, command = Run(tmp_path), ("train", Path("my data"), "--out", tmp_path)
    assert resume_hint(trained, *command) == "Run the same command again."
    trained.write_settings(Settings())
    expected = f"Resume with: swtformer train 'my data' --out {tmp_path} --resume"
    assert resume_hint(trained, *command) == expected


def test_a_data_set_s_problems_are_warnings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.jpg").touch()
    table = tmp_path / "labels.csv"
    table.write_text("image,labels,split\na,cat,train\na,cat,train\nb,dog,val\n")
    images = open_images(tmp_path, Settings(data=DataSettings(split="train", classes=("cat",))))
    assert (len(images), images.classes) == (1, ("cat",))
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"warning: {table}:3: 'a' is listed again")
    with pytest.raises(DataError, match="has no split 'test'"):
        open_images(tmp_path, Settings(data=DataSettings(split="test")))


def test_images_that_exif_turns_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "cat").mkdir()
    (tmp_path / "dog").mkdir()
    turned = Image.Exif()
    turned[274] = 6
    Image.new("RGB", (9, 9)).save(tmp_path / "cat" / "a.jpg", exif=turned)
    Image.new("RGB", (9, 9)).save(tmp_path / "dog" / "b.jpg")
    open_images(tmp_path, Settings())
    assert "1 of 2 images looked at have an EXIF orientation that is not applied" in capsys.readouterr().err
    open_images(tmp_path, Settings(data=DataSettings(exif="apply")))
    assert "EXIF" not in capsys.readouterr().err
