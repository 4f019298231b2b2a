"""What the documents tell people to type works.

Every `sh` and `python` block of the tutorials, of the page about models and of the README is run, in order,
in one folder per reader. What is not as in the text:

- Weights are not downloaded, and sizes are small: every command that takes `--config` gets a file of tiny
  settings (TINY), put above the one that the text names; flags of the text stand above both. Python blocks
  have the words of SUBSTITUTES replaced, nothing else.
- The data are 24 drawn images of 64 px; the photographs in `new` are two of them.
- What a person does in the app and in other tools is done by `decide_in_app` and `correct_by_hand`.
- Python and toml blocks whose first line is a file name are also written to that file in `my-extras`; Python
  ones are run as cells as well. Blocks under the comment `<!-- with my-extras -->` run in a process of their
  own, for which that package is installed.
- Blocks under the comment `<!-- not run: … -->` are not run, and the reason must be one of REASONS. Their
  `swtformer` commands are still parsed by the command line. The README's "Two commands", which install the
  package, are left out.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.documents import Block, blocks
from swtformer.cli import main
from swtformer.cli.entry import build_app
from swtformer.cli.flags import join_numbers
from swtformer.datasets.shapes import draw_shapes
from swtformer.review.decisions import decide, open_queue
from swtformer.settings import REGISTRIES, Settings, merge, read_settings, validate
from swtformer.store.files import write_text
from swtformer.store.run import Run

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
DOCS = ROOT / "docs"

TINY: dict[str, Any] = {
    "model": {"backbone": "mobilenetv2_035", "weights": "none"},
    "train": {"epochs": 1, "batch_size": 8, "crop_px": 64, "workers": 0, "precision": "fp32"},
    "localize": {"scales": [1.0], "flip": False, "precision": "fp32"},
    "pseudo_label": {"margin": 0.02},
    "segment": {"epochs": 1, "batch_size": 8, "crop_px": 64, "long_side_px": 64, "workers": 0},
    "predict": {"precision": "fp32"},
}

SUBSTITUTES = {
    "swtformer.Settings(": "tiny(",
    "swtformer.train(data, out=": "swtformer.train(data, settings=tiny(), out=",
    "pretrained=True": "pretrained=False",
    "count=800, size=(160, 160)": "count=24, size=(64, 64)",
}
"""Words of Python blocks and what is run in their place."""

REASONS = {
    "needs network",
    "needs PASCAL VOC",
    "needs your own images",
    "needs several machines",
    "serves until Ctrl-C",
}

EXTRAS = Path("my-extras")
"""The package that the researcher's tutorial tells to make."""

READERS_OF = {
    "practitioner": [
        DOCS / "tutorials/practitioner.md",
        DOCS / "correcting-masks.md",
        DOCS / "hub-and-onnx.md",
    ],
    "researcher": [DOCS / "tutorials/researcher.md", DOCS / "reproduce.md"],
    "readme": [README],
}
"""Documents that one person reads in one folder, in this order."""

ELSEWHERE = {
    DOCS / f"{name}.md"
    for name in (
        "index",
        "cluster",
        "commands",
        "data-formats",
        "images",
        "json-formats",
        "label-tables",
        "limits",
        "method",
        "results",
        "run-folder",
        "scores",
        "shards",
    )
}
"""Documents without a command to run, except for those that a comment excuses."""


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that a reader starts in: labels.csv, images, masks in `truth`, new photographs in `new`."""
    folder = tmp_path_factory.mktemp("farm")
    drawn = draw_shapes(folder.parent / f"{folder.name}-drawn", count=24, size=(64, 64))
    shutil.copy(drawn / "labels.csv", folder)
    shutil.copytree(drawn / "images", folder / "images")
    shutil.copytree(drawn / "masks", folder / "truth")
    (folder / "new").mkdir()
    for name in ("00002", "00005"):
        shutil.copy(drawn / f"images/{name}.jpg", folder / f"new/{name}.jpg")
    return folder


@pytest.fixture
def folder(photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A reader's working folder; what Python blocks register is taken out again."""
    shutil.copytree(photographs, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    before = {kind: set(registry) for kind, registry in REGISTRIES.items()}
    yield tmp_path
    for kind, names in before.items():
        for name in set(REGISTRIES[kind]) - names:
            REGISTRIES[kind].unregister(name)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("reader", READERS_OF)
def test_blocks_run_in_order(reader: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for document in READERS_OF[reader]:
        names: dict[str, Any] = {"__name__": "example", "tiny": tiny}
        for block in blocks(document):
            if block.heading == "Two commands":
                continue
            note, _, detail = block.note.partition(": ")
            if note == "starts over":
                shutil.rmtree(detail)
            elif note == "by hand":
                correct_by_hand(detail)
            file = re.match(r"# (my_extras/\w+\.py|pyproject\.toml)\n", block.text)
            if file is not None:
                write_text(EXTRAS / file[1], block.text)
            if block.language == "toml":
                continue
            if block.language == "yaml":
                name = block.text.splitlines()[0].removeprefix("# ")
                Path(name).write_text(block.text)
            elif note == "not run":
                check_excused(block, detail)
            elif note == "with my-extras":
                run_with_extras(block)
            elif block.language == "sh":
                for command in commands(block):
                    run_command(command, block, capsys)
            else:
                exec(compile(substituted(block.text), block.place, "exec", dont_inherit=True), names)
            if "swtformer app" in block.text:
                decide_in_app(Run(Path("runs/farm")))


def test_every_substitute_is_needed() -> None:
    text = "".join(
        block.text
        for documents in READERS_OF.values()
        for document in documents
        for block in blocks(document)
        if block.language == "python"
    )
    assert [words for words in SUBSTITUTES if words not in text] == []


def test_every_document_is_read() -> None:
    read = {document for documents in READERS_OF.values() for document in documents}
    assert read | ELSEWHERE == {README, *DOCS.glob("*.md"), *DOCS.glob("tutorials/*.md")}
    for document in ELSEWHERE:
        for block in blocks(document):
            if block.language != "yaml":
                check_excused(block, block.note.removeprefix("not run: "))


def test_a_command_that_does_not_exist_is_noticed(tmp_path: Path) -> None:
    document = tmp_path / "page.md"
    document.write_text(
        "# Page\n\n<!-- not run: needs network -->\n```sh\nswtformer push a b/c --publik\n```\n\n"
        "<!-- not run: too slow -->\n```sh\nswtformer version\n```\n"
    )
    first, second = blocks(document)
    with pytest.raises(AssertionError, match=r"page\.md:4"):
        check_excused(first, "needs network")
    with pytest.raises(AssertionError, match="too slow"):
        check_excused(second, "too slow")


def commands(block: Block) -> list[list[str]]:
    """The words of each command of a block; comments are left out and broken lines joined."""
    lines = block.text.replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def run_command(words: list[str], block: Block, capsys: pytest.CaptureFixture[str]) -> None:
    """Run one command with tiny settings; it must end with exit code 0."""
    assert words[0] == "swtformer", f"{block.place}: {words[0]} is neither run nor excused by a comment"
    code = main(with_tiny_settings(words[1:]))
    said = capsys.readouterr()
    assert code == 0, f"{block.place}: {shlex.join(words)} gave {code}:\n{said.out}\n{said.err}"


def run_with_extras(block: Block) -> None:
    """Run commands where `my-extras` is installed, and import from its format, which cannot be.

    pytest runs in the repository.
    """
    install(EXTRAS)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(EXTRAS.resolve()), *sys.path])}
    if commands(block)[0][0] == "pytest":
        (words,) = commands(block)
        tests = [sys.executable, "-m", *words, "-q", "-p", "no:cacheprovider"]
        passed = subprocess.run(tests, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
        assert passed.returncode == 0, f"{block.place}:\n{passed.stdout}\n{passed.stderr}"
        return
    wanted = [with_tiny_settings(words[1:]) for words in commands(block)]
    wanted.append(["import", "runs/votes", "votes.csv", "--format", "counts"])
    code = (
        "import json, sys\nfrom swtformer.cli import main\n"
        "print(json.dumps([main(words) for words in json.loads(sys.argv[1])]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(wanted)],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    said = f"{block.place}:\n{done.stdout}\n{done.stderr}"
    assert done.returncode == 0, said
    assert json.loads(done.stdout.splitlines()[-1]) == [0] * len(commands(block)) + [2], said
    assert "'counts' is export-only" in done.stderr, said
    assert "once corrected" not in done.stdout, said
    for name in ("focal", "patch_votes", "plain", "smoothing", "ids", "counts", "lines"):
        assert re.search(rf"\b{name}\b", done.stdout), f"{name} is not announced: {said}"


def install(package: Path) -> None:
    """What pip leaves of a package that is installed from its folder: its names and entry points."""
    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    write_text(package / "my_extras/__init__.py", "")
    about = package / f"my_extras-{project['version']}.dist-info"
    write_text(
        about / "METADATA", f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    lines = []
    for group, points in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {place}" for name, place in points.items())]
    write_text(about / "entry_points.txt", "\n".join(lines) + "\n")


def with_tiny_settings(arguments: list[str]) -> list[str]:
    """The arguments with a --config of tiny settings, where the command takes one."""
    command, _, _ = build_app().parse_args(arguments, exit_on_error=False, print_error=False)
    if "config" not in command.__annotations__:
        return arguments
    named: dict[str, Any] = {}
    if "--config" in arguments:
        place = arguments.index("--config")
        named = read_settings(Path(arguments[place + 1]))
        arguments = arguments[:place] + arguments[place + 2 :]
    Path("tiny.yaml").write_text(yaml.safe_dump(merge(named, TINY)))
    return [*arguments, "--config", "tiny.yaml"]


def check_excused(block: Block, reason: str) -> None:
    """A block that is not run has a known reason, and commands that the command line understands."""
    assert reason in REASONS, f"{block.place}: {reason!r} is not a known reason to skip it"
    for words in commands(block):
        if words[0] == "swtformer":
            try:
                build_app().parse_args(join_numbers(words[1:]), exit_on_error=False, print_error=False)
            except Exception as error:
                raise AssertionError(f"{block.place}: {shlex.join(words)}: {error}") from error


def tiny(**sections: Any) -> Settings:
    """Settings of the text, with tiny ones put above them."""
    return validate(Settings, merge(sections, TINY), where="test")


def substituted(text: str) -> str:
    """A Python block as it is run."""
    for words, replacement in SUBSTITUTES.items():
        text = text.replace(words, replacement)
    return text


def decide_in_app(run: Run) -> None:
    """What a reviewer clicks: the two least sure masks are to be corrected."""
    queue = open_queue(run)
    for item in queue.items[:2]:
        decide(run, item.review.id, "correct", version=item.version)


def correct_by_hand(what: str) -> None:
    """Do what the person does whom the text names a tool and a file that it exports."""
    tools = {
        "corrected.json is what Label Studio exports": (correct_in_label_studio, "tasks.json"),
        "corrected.zip is what CVAT exports": (correct_in_cvat, "masks.zip"),
    }
    correct, uploaded = tools[what]
    correct(Path(uploaded), Path(what.split()[0]))


def correct_in_cvat(uploaded: Path, exported: Path) -> None:
    """What CVAT exports: the folders of its format and nothing else, without photographs."""
    with zipfile.ZipFile(uploaded) as old, zipfile.ZipFile(exported, "w") as new:
        names = [name for name in old.namelist() if not name.startswith("JPEGImages/")]
        assert {"labelmap.txt", "swtformer.json"} <= set(names)
        assert len(names) < len(old.namelist())
        for name in set(names) - {"swtformer.json"}:
            new.writestr(name, old.read(name))


def correct_in_label_studio(tasks: Path, exported: Path) -> None:
    """What Label Studio exports: predictions that a person looked at are annotations, here as they were."""
    content = json.loads(tasks.read_text())
    for task in content:
        task["annotations"] = [{"id": 1, "result": task.pop("predictions")[0]["result"]}]
    exported.write_text(json.dumps(content))
