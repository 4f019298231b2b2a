from __future__ import annotations

import logging
import os
import re
import shlex
import signal
import subprocess
import sys
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from support.launched import files_below
from support.squares import draw_squares, quick_settings
from swtformer import __version__
from swtformer.cli import commands, main
from swtformer.cli.entry import COMMANDS as LISTED
from swtformer.cli.entry import build_app
from swtformer.cli.outcome import Outcome
from swtformer.cli.signals import Stopped
from swtformer.errors import CheckpointError, DataError, NonFiniteError
from swtformer.methods import create_model
from swtformer.methods.pretrained import save_pretrained
from swtformer.settings import ModelSettings
from swtformer.store.run import Run

COMMANDS = (
    "demo",
    "run",
    "data check",
    "train",
    "localize",
    "mask",
    "refine",
    "pseudo-label",
    "segment",
    "predict",
    "evaluate",
    "export",
    "import",
    "onnx",
    "push",
    "pull",
    "report",
    "app",
    "plugins",
    "version",
)
IMPORTED = """
import sys
from swtformer.cli import main
assert main(sys.argv[1:]) == 0
heavy = {"torch", "torchvision", "timm", "lightning", "huggingface_hub", "numpy", "PIL", "yaml", "email"}
heavy &= set(sys.modules)
sys.exit(f"imported: {heavy}" if heavy else 0)
"""
LAUNCHED = """
import os, signal, sys
from pathlib import Path
from swtformer.cli import main
from swtformer.store.maps import ClassActivationMaps
save, marker = ClassActivationMaps.save, Path(sys.argv[2], "killed")

def killing(maps, path):
    if os.environ["RANK"] == "1" and path.stem == "3" and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    save(maps, path)

ClassActivationMaps.save = killing
sys.exit(main(sys.argv[1:]))
"""


def fail_with(error: BaseException) -> Any:
    def version() -> None:
        raise error

    return version


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_imports_nothing_heavy(command: str) -> None:
    result = subprocess.run(
        [sys.executable, "-c", IMPORTED, *command.split(), "--help"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert result.stderr == ""
    assert result.returncode == 0
    assert "Usage: swtformer" in result.stdout


def test_help_lists_the_commands_in_the_order_of_work(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    places = [text.index(f"│ {name.split()[0]} ") for name in COMMANDS]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("command", "shown", "hidden"),
    [
        (
            "train",
            ["--seed", "--data.split", "--model.method", "--method", "--train.epochs"],
            ["--localize."],
        ),
        ("localize", ["--data.split", "--localize.scales"], ["--train.", "--seed"]),
        ("mask", ["--mask.policy"], ["--data.", "--train."]),
        ("evaluate", ["--data.masks", "--evaluate.policies", "--predictions"], ["--localize."]),
        ("data check", ["--data.strict", "--strict", "--sheet"], ["--train."]),
        ("report", ["--verbose"], ["--data."]),
        ("demo", ["--out", "--seed"], ["--train."]),
    ],
)
def test_help_shows_the_sections_that_concern_a_command(
    command: str, shown: list[str], hidden: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command.split(), "--help"]) == 0
    text = capsys.readouterr().out
    assert all(flag in text for flag in shown)
    assert not any(flag in text for flag in hidden)


def test_help_gives_text_choices_and_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["mask", "--help"]) == 0
    words = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "auto|cam|rcam" in words
    assert "Background score of the fixed policy. [default: 0.15]" in words


@pytest.mark.parametrize("arguments", [["--version"], ["version"]])
def test_version(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    assert capsys.readouterr().out == f"{__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], 'Unknown command "trian". Did you mean "train"?'),
        (
            ["mask", "run", "--mask.polcy=fixed"],
            "Unknown option: --mask.polcy. Did you mean --mask.policy?",
        ),
        (["mask", "run", "--train.epochs=5"], "Unknown option: --train.epochs. See"),
        (["mask", "run", "more"], "Unexpected arguments: more. See `swtformer mask --help`."),
        (["mask"], "RUN is missing: run folder, as `swtformer train --out` made it."),
        (["train", "data"], "error: --out is missing: "),
        (["train", "data", "--out"], "--out requires an argument"),
        (["train", "data", "--out=o", "--seed=1", "--seed=2"], "--seed specified multiple times."),
        (["train", "data", "--out=o", "--resume", "maybe"], "Unexpected arguments: maybe."),
        (
            ["train", "data", "--out=o", "--train.epochs=many"],
            "train.epochs: input should be a valid integer",
        ),
        (["data", "check", "data", "--data.strict=perhaps"], "--data.strict"),
    ],
)
def test_usage_mistakes(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert message in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("error", "code"),
    [(DataError("no such class"), 2), (CheckpointError("damaged"), 4), (NonFiniteError("step 3"), 5)],
)
def test_errors_give_one_message_and_their_exit_code(
    error: Exception, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commands, "version", fail_with(error))
    assert main(["version"]) == code
    assert capsys.readouterr() == ("", f"error: {error}\n")


def test_unexpected_errors_are_shown_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commands, "version", fail_with(ZeroDivisionError("by nothing")))
    assert main(["version"]) == 1
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert err.splitlines()[-2] == "ZeroDivisionError: by nothing"
    assert err.splitlines()[-1].startswith("error: ZeroDivisionError. This is a bug")


def test_out_of_memory_is_no_bug(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(commands, "version", fail_with(RuntimeError("CUDA out of memory. Tried to allocate")))
    assert main(["version"]) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: Out of memory. Lower the batch size")


def test_a_reader_that_leaves_early_is_no_error() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "swtformer", "train", "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    process.wait(timeout=60)


def test_libraries_are_quiet_and_our_log_is_heard(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def version() -> Outcome:
        warnings.warn("a library's advice", stacklevel=1)
        logging.getLogger("swtformer.training").warning("resuming from the checkpoint before it")
        return Outcome()

    monkeypatch.setattr(commands, "version", version)
    assert main(["version"]) == 0
    assert capsys.readouterr().err == "WARNING: resuming from the checkpoint before it\n"


def test_nothing_stays_changed_after_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    handlers, filters = list(logging.getLogger("swtformer").handlers), list(warnings.filters)
    assert main(["version"]) == 0
    assert logging.getLogger("swtformer").handlers == handlers
    assert list(warnings.filters) == filters


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "", "--out", "run"],
        ["train", "data", "--out", ""],
        ["train", "data", "--out="],
        ["export", "masks", "--format", "voc", "--out", "new", "--data", ""],
    ],
)
def test_an_empty_path_is_not_the_current_folder(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    assert "got an empty path" in capsys.readouterr().err
    assert not any(tmp_path.iterdir())


def test_what_the_system_refuses_is_said_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "/data/a.jpg")

    monkeypatch.setattr("swtformer.cli.entry._run", refuse)
    assert main(["version"]) == 2
    assert capsys.readouterr().err == "error: /data/a.jpg: Permission denied.\n"


def test_letters_that_the_terminal_lacks_are_escaped(tmp_path: Path) -> None:
    for name in ("Löwe", "猫"):
        (tmp_path / "データ" / name).mkdir(parents=True)
        Image.new("RGB", (9, 9)).save(tmp_path / "データ" / name / f"{name}.png")
    for encoding, expected in (("ascii", "L\\xf6we"), ("latin-1", "Löwe")):
        done = subprocess.run(
            [sys.executable, "-m", "swtformer", "data", "check", str(tmp_path / "データ")],
            capture_output=True,
            check=False,
            env={**os.environ, "PYTHONIOENCODING": encoding},
            timeout=60,
        )
        assert done.returncode == 0
        assert expected in done.stdout.decode(encoding)
        assert "\\u732b" in done.stdout.decode(encoding)


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_stream_that_the_caller_closed_is_no_fault(closed: str) -> None:
    command = f"{shlex.quote(sys.executable)} -m swtformer version {closed}"
    assert subprocess.run(["sh", "-c", command], check=False, timeout=60).returncode == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_under_stdout_is_told_in_one_line() -> None:
    command = f"{shlex.quote(sys.executable)} -m swtformer version > /dev/full"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert done.stderr == "error: No space left on device.\n"


@pytest.mark.parametrize(
    "error", [ImportError("already registered"), DataError("no openpyxl"), OSError(5), None]
)
def test_a_signal_that_a_library_swallowed_or_made_its_own_error_is_a_stop(
    error: Exception | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def version() -> None:
        with suppress(Stopped):
            signal.raise_signal(signal.SIGINT)
        if error is not None:
            raise error

    monkeypatch.setattr(commands, "version", version)
    assert main(["version"]) == 130
    assert capsys.readouterr().err == "\nStopped by SIGINT.\n"


def _classifier(folder: Path) -> Run:
    run = Run(folder)
    run.write_settings(quick_settings())
    torch.manual_seed(0)
    settings = ModelSettings(method="swtformer_v2", backbone="swin_nano", weights="none")
    save_pretrained(create_model(settings, ("red", "green")), run.model)
    return run


@pytest.mark.timeout(900)
def test_torchrun_starts_again_when_a_process_is_killed(tmp_path: Path) -> None:
    """Images that are skipped are no reason to start again: the exit code is 0, and 3 without a launcher."""
    (tmp_path / "images").mkdir()
    drawn = draw_squares(tmp_path / "images")
    rows = [
        f"images/{each.id}.png,{';'.join(drawn.classes[k] for k in each.present or ())}"
        for each in drawn.records
    ]
    (tmp_path / "images" / "8.png").write_bytes(b"no image")
    (tmp_path / "labels.csv").write_text("\n".join(["image,labels", *rows]))
    one, two = _classifier(tmp_path / "one"), _classifier(tmp_path / "two")
    shared = (str(tmp_path / "labels.csv"), "--data.classes", "red,green", "--localize.accelerator", "cpu")
    assert main(["localize", str(one.path), *shared]) == 3

    script = tmp_path / "launched.py"
    script.write_text(LAUNCHED)
    launcher = ("torch.distributed.run", "--standalone", "--nproc-per-node=2", "--max-restarts=1")
    done = subprocess.run(
        [sys.executable, "-m", *launcher, str(script), "localize", str(two.path), *shared],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (two.path / "killed").exists()
    assert re.findall(r"Maps of (\d+) images made, (\d+) were kept", done.stdout) != []
    assert files_below(two.maps) == files_below(one.maps)
    assert two.failures_file.read_bytes() == one.failures_file.read_bytes()


def test_the_list_of_commands_has_the_first_paragraphs_of_their_descriptions() -> None:
    whole = build_app()
    for command in LISTED:
        app = whole["data"] if command.usage.startswith("data ") else whole
        assert command.summary == (app[command.name].help or "").partition("\n")[0], command.name


def test_help_loads_no_settings() -> None:
    code = (
        "import sys; from swtformer.cli import main; main(['--help']); "
        "sys.exit(' '.join({'pydantic', 'yaml'} & sys.modules.keys()) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert all(command.name in done.stdout.split() for command in LISTED if command.name != "check")


def test_a_command_is_found_wherever_its_name_stands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help", "version"]) == 0
    assert "Print the version." in capsys.readouterr().out
    assert main(["version"]) == 0
    assert capsys.readouterr().out.strip() == __version__
