"""The results that README and docs quote are those of the benchmarks' own pages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RESULTS = (ROOT / "docs/results.md").read_text(encoding="utf-8")


def section(heading: str) -> str:
    return RESULTS.split(f"## {heading}\n")[1].split("\n## ")[0]


def numbers(text: str) -> set[str]:
    return set(re.findall(r"\b\d+\.\d+\b", text))


@pytest.mark.parametrize(
    ("heading", "page"),
    [
        ("Maps", "voc-subset"),
        ("Refined maps", "refiners"),
        ("Today's recipe, trained briefly", "recipes"),
    ],
)
def test_every_figure_is_on_the_page_that_is_named(heading: str, page: str) -> None:
    text = section(heading)
    assert f"`benchmarks/{page}.md`" in text
    figures = numbers(text)
    assert len(figures) >= 5
    assert figures - numbers((ROOT / f"benchmarks/{page}.md").read_text(encoding="utf-8")) == set()


def test_rows_of_maps_are_copied_whole() -> None:
    page = (ROOT / "benchmarks/voc-subset.md").read_text(encoding="utf-8").splitlines()
    rows = [line for line in section("Maps").splitlines() if line.startswith("| `")]
    assert len(rows) == 4
    assert [row for row in rows if row not in page] == []


def test_the_readme_rounds_what_the_results_say() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8").split("## Results")[1].split("\n## ")[0]
    rounded = {f"{float(number):.1f}" for number in numbers(RESULTS)}
    assert len(numbers(readme)) == 12
    assert numbers(readme) - rounded == set()
