"""The table of equations names functions that exist."""

from __future__ import annotations

import pydoc
import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs/method.md"


def test_functions_of_the_equations_exist() -> None:
    table = PAGE.read_text(encoding="utf-8").split("## 8. Equations and functions")[1]
    named = re.findall(r"`([a-z_]+(?:\.[A-Za-z_]+)+)`", table.split("|---|---|---|")[1])
    assert len(named) >= 10
    packages = ("swtformer" if name.startswith("methods.") else "swtformer.functional" for name in named)
    places = [f"{package}.{name}" for package, name in zip(packages, named, strict=True)]
    assert [place for place in places if not callable(pydoc.locate(place))] == []
