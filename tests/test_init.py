from __future__ import annotations

import pkgutil
import subprocess
import sys
from importlib.metadata import version

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


def test_the_list_of_names_is_complete_and_sorted() -> None:
    assert sorted(swtformer.__all__) == swtformer.__all__
    assert set(swtformer._HOMES) | {"__version__"} == set(swtformer.__all__)
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
