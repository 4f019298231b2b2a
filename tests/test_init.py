from __future__ import annotations

import ast
import pkgutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import swtformer

LIGHT = """
import sys
import swtformer
from swtformer import Run, Settings, SwtformerError, __version__
heavy = {"torch", "torchvision", "timm", "lightning", "numpy"} & set(sys.modules)
sys.exit(f"imported: {heavy}" if heavy else 0)
"""


@pytest.mark.parametrize("name", swtformer.__all__)
def test_every_public_name_is_there(name: str) -> None:
    value = getattr(swtformer, name)
    assert name == "__version__" or callable(value)


def test_type_checkers_see_the_names_that_are_loaded() -> None:
    tree = ast.parse(Path(swtformer.__file__).read_text(encoding="utf-8"))
    (typed,) = [node for node in tree.body if isinstance(node, ast.If)]
    names = [item.asname for node in typed.body if isinstance(node, ast.ImportFrom) for item in node.names]
    assert {*names, "__version__", "write_report"} - {"_report"} == set(swtformer.__all__)
    assert set(swtformer.__all__) <= set(dir(swtformer))


def test_version_is_that_of_the_distribution() -> None:
    assert swtformer.__version__ == version("swtformer")


def test_unknown_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="module 'swtformer' has no attribute 'trian'"):
        swtformer.trian  # noqa: B018


def test_no_module_hides_a_name() -> None:
    modules = {module.name for module in pkgutil.iter_modules(swtformer.__path__)}
    assert "report" in modules
    assert not modules & set(swtformer.__all__)


def test_importing_the_package_is_light() -> None:
    result = subprocess.run(
        [sys.executable, "-c", LIGHT], capture_output=True, text=True, check=False, timeout=120
    )
    assert (result.returncode, result.stderr) == (0, "")
