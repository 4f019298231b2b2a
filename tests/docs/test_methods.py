"""Every method has a page, which the index lists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from swtformer.settings import METHODS

FOLDER = Path(__file__).parents[2] / "docs/methods"
INDEX = (FOLDER / "index.md").read_text(encoding="utf-8")
PAGES = sorted(page.name for page in FOLDER.glob("*.md") if page.name != "index.md")


@pytest.mark.parametrize("name", METHODS.own_names)
def test_a_page_says_how_a_method_is_chosen(name: str) -> None:
    chosen = re.compile(rf"`--model\.method {name}\b")
    assert [page for page in PAGES if chosen.search((FOLDER / page).read_text(encoding="utf-8"))] != []


@pytest.mark.parametrize("name", METHODS.own_names)
def test_every_method_has_one_row_of_the_index(name: str) -> None:
    rows = [line for line in INDEX.splitlines() if line.startswith("|")]
    assert len([row for row in rows if f"`{name}`" in row.split("|")[1]]) == 1


@pytest.mark.parametrize("page", PAGES)
def test_every_page_is_linked_from_a_row_of_the_index(page: str) -> None:
    assert [line for line in INDEX.splitlines() if line.startswith("|") and f"]({page})" in line] != []
