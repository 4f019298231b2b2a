"""The wheel and the source archive hold all that the program needs, and nothing large.

Both are built as for a release: the wheel comes from the source archive. The installed wheel then does a
small job in a process whose working folder is outside the checkout and in which no extra can be imported.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("build", reason="needs the extra dev")
pytest.importorskip("hatchling", reason="needs the extra dev")

ROOT = Path(__file__).parents[1]

JOB = """
import sys
from pathlib import Path

for extra in ("gradio", "onnx", "onnxruntime", "onnxscript", "pydensecrf", "segmentation_models_pytorch"):
    sys.modules[extra] = None  # importing it is an error

import swtformer
from swtformer.cli import main
from swtformer.datasets.shapes import draw_shapes

assert Path(swtformer.__file__).is_relative_to(sys.argv[1]), swtformer.__file__
draw_shapes("shapes", count=12, size=(64, 64))
small = "--model.backbone swin_nano --model.weights none --train.epochs 1 --train.batch_size 4"
for command in (
    f"train shapes --out run {small} --train.crop_px 64 --train.workers 0 --train.precision fp32",
    "localize run --localize.scales 1 --localize.precision fp32",
    "mask run",
    "evaluate run",
    "report run",
):
    code = main(command.split())
    assert code == 0, f"{command} gave {code}"
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source archive and the wheel."""
    folder = tmp_path_factory.mktemp("dist")
    _python("-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT), cwd=folder)
    return folder


def test_the_source_archive_is_small_and_complete(built: Path) -> None:
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as stream:
        sizes = {item.name.partition("/")[2]: item.size for item in stream.getmembers()}
    assert {"LICENSE", "README.md", "CHANGELOG.md", "CITATION.cff", "docs/demo.png"} <= set(sizes)
    assert {
        "src/swtformer/py.typed",
        "tests/test_distribution.py",
        "src/swtformer/configs/laptop.yaml",
    } <= set(sizes)
    assert {name: size for name, size in sizes.items() if size > 500_000} == {}
    assert sum(sizes.values()) < 8_000_000


def test_the_wheel_works_outside_the_checkout(built: Path, tmp_path: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as stream:
        names = stream.namelist()
    assert {name.split("/")[0].partition("-")[0] for name in names} == {"swtformer"}
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert "swtformer/py.typed" in names
    site = tmp_path / "site"
    pip = ("-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--disable-pip-version-check")
    _python(*pip, "--target", str(site), str(wheel), cwd=tmp_path)
    assert "Exit codes" in _python(str(site / "bin/swtformer"), "--help", cwd=tmp_path, site=site)
    _python("-c", JOB, str(site), cwd=tmp_path, site=site)
    assert len(list((tmp_path / "run/masks").rglob("*.png"))) == 10
    assert "<style>" in (tmp_path / "run/report/index.html").read_text()


def _python(*arguments: str, cwd: Path, site: Path | None = None) -> str:
    """Run Python with the packages of `site` before all others; what it wrote, if it succeeded."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if site is not None:
        environment["PYTHONPATH"] = str(site)
    done = subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
