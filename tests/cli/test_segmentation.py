from __future__ import annotations

import io
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.app_runs import write_queue
from support.masked_squares import draw_run
from swtformer.cli import main
from swtformer.review.decisions import decide
from swtformer.store.notes import training_notes
from swtformer.store.pseudo_masks import version_of
from swtformer.store.run import Run

QUICK = [
    "--segment.decoder=segformer",
    "--segment.epochs=1",
    "--segment.batch_size=4",
    "--segment.crop_px=32",
    "--segment.workers=0",
    "--segment.precision=fp32",
]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("squares")
    draw_run(folder)
    return folder


@pytest.fixture(scope="module")
def segmented(drawn: Path) -> Path:
    """The drawn run with a network that the command line trained."""
    copy = Path(shutil.copytree(drawn, drawn.parent / "segmented"))
    assert main(["segment", str(copy / "run"), *QUICK]) == 0
    return copy


def test_segment_says_what_it_trained_on(
    drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "a network"
    command = ["segment", str(drawn / "run"), f"--out={out}", *QUICK, "--segment.validation_fraction=0.2"]
    assert main(command) == 0
    text, errors = capsys.readouterr()
    assert "Trained on 9 images with pseudo-masks" in text
    assert "mIoU against the held-out masks of the same folder" in text
    assert f"Next: swtformer predict '{out}' PHOTOS" in text
    assert "Traceback" not in errors
    assert Run(out).settings().segment.epochs == 1
    assert training_notes(Run(out)).data == drawn / "images" / "labels.csv"
    assert main(command) == 2
    assert "already holds a run" in capsys.readouterr().err


def test_a_mistyped_segment_leaves_no_folder(
    drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "network"
    assert main(["segment", str(drawn / "run"), f"--out={out}", *QUICK, "--segment.scale=2,0.5"]) == 2
    assert "segment.scale: expected the smaller one first; write 0.5,2" in capsys.readouterr().err
    assert not out.exists()


def test_segment_resumes_by_its_own_settings(segmented: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["segment", str(segmented / "run"), "--resume"]) == 0
    assert "nothing left to train" in capsys.readouterr().err
    assert main(["segment", str(segmented / "run"), "--resume", "--segment.epochs=5"]) == 2
    assert "segment.epochs" in capsys.readouterr().err


def test_segment_says_what_the_review_left_out(
    drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Run(Path(shutil.copytree(drawn, tmp_path / "copy")) / "run")
    write_queue(run)
    for id in ("1", "2"):
        decide(run, id, "reject", version=version_of(run.pseudo_masks))
    assert main(["segment", str(run.path), *QUICK]) == 0
    assert "2 images were left out: the review rejected their masks." in capsys.readouterr().out


def test_segment_without_masks(drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = Path(shutil.copytree(drawn, tmp_path / "copy"))
    shutil.rmtree(copy / "run" / "pseudo_masks")
    assert main(["segment", str(copy / "run"), *QUICK]) == 2
    assert "make them with `swtformer pseudo-label`" in capsys.readouterr().err


def test_nothing_to_resume(drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["segment", str(drawn / "run"), f"--out={tmp_path / 'none'}", "--resume"]
    assert main(command) == 2
    assert "holds no run to resume" in capsys.readouterr().err


def test_masks_of_an_earlier_call_are_told(
    segmented: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("3.png", "4.png"):
        command = ["predict", str(segmented / "run"), str(segmented / "images" / name), f"--out={tmp_path}"]
        assert main(command) == 0
    assert f"1 mask in {tmp_path / 'masks'} of images that were not named now" in capsys.readouterr().err


def test_a_wrong_model_is_said_before_torch_is_there(tmp_path: Path) -> None:
    script = (
        "import sys; from swtformer.cli import main; "
        f"code = main(['predict', {str(tmp_path)!r}, 'x.jpg', '--out', 'o']); "
        "sys.exit(code + 10 * ('torch' in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "holds no model (config.json is missing)" in done.stderr
    assert done.returncode == 4


def test_predict_then_evaluate(segmented: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, images, out = segmented / "run", segmented / "images", tmp_path / "out"
    assert main(["predict", str(run), str(images), f"--out={out}", "--predict.overlays", "true"]) == 0
    text = capsys.readouterr().out
    assert f"12 images were segmented by the segmentation network: {out / 'masks'}" in text
    assert len(list((out / "overlays").glob("*.jpg"))) == 12
    assert (
        main(
            [
                "evaluate",
                str(images / "labels.csv"),
                f"--predictions={out / 'masks'}",
                f"--data.masks={run / 'pseudo_masks'}",
            ]
        )
        == 0
    )
    assert "mIoU" in capsys.readouterr().out


def test_predict_reads_a_list_and_skips(
    segmented: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = f"{segmented / 'images' / '3.png'}\n{segmented / 'images' / 'gone.png'}\n"
    monkeypatch.setattr("sys.stdin", io.StringIO(lines))
    command = ["predict", str(segmented / "run"), "-", f"--out={tmp_path}", "--predict.network=cam"]
    assert main(command) == 3
    out, err = capsys.readouterr()
    assert "1 image was segmented by class activation maps" in out
    assert f"1 image was skipped; {tmp_path / 'failures.csv'}" in err
    assert [path.name for path in (tmp_path / "masks").iterdir()] == ["3.png"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["0.png"], "so nothing was segmented. "),
        (["0.png", "1.png"], "error: None of the 2 images can be read"),
    ],
)
def test_nothing_that_could_be_segmented_is_an_error(
    names: list[str], message: str, segmented: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [tmp_path / name for name in names]
    for file in files:
        file.write_bytes(b"no picture")
    out = tmp_path / "out"
    command = ["predict", str(segmented / "run"), *map(str, files), f"--out={out}"]
    assert main(command) == 2
    text, errors = capsys.readouterr()
    assert message in errors
    assert "0.png: expected" in errors
    assert "segmented" not in text


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["{run}", "--out=o"], 2, "Name what to segment"),
        (["{run}", "gone.jpg", "--out=o"], 2, "gone.jpg: does not exist"),
        (["{run}", "gone.jpg"], 2, "error: --out is missing: folder of the masks"),
        (["{run}", "gone.jpg", "--out"], 2, "--out requires an argument"),
        ([], 2, "error: MODEL is missing: a run (its newest"),
        (["{images}", "{images}", "--out=o"], 4, "holds no model"),
        (
            ["{run}", "{images}", "--out=o", "--predict.scales=0"],
            2,
            "predict.scales (item 1): input should be greater than 0",
        ),
    ],
)
def test_mistakes(
    arguments: list[str],
    code: int,
    message: str,
    segmented: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    places = {"run": str(segmented / "run"), "images": str(segmented / "images")}
    assert main(["predict", *(item.format(**places) for item in arguments)]) == code
    errors = capsys.readouterr().err
    assert message in errors
    assert "Traceback" not in errors
    assert not (tmp_path / "o").exists()
