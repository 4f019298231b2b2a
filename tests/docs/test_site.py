"""The documentation site builds without a warning, as its own words say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; broken links, unknown names and malformed docstrings are errors."""
    folder = tmp_path_factory.mktemp("site")
    made = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", str(DOCS), str(folder)],
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr
    return folder


def test_every_source_page_is_in_the_site(site: Path) -> None:
    pages = [page.relative_to(DOCS) for page in DOCS.rglob("*.md") if "_build" not in page.parts]
    assert len(pages) > 6
    assert [page for page in pages if not (site / page.with_suffix(".html")).is_file()] == []


def test_the_public_functions_are_in_the_reference(site: Path) -> None:
    import swtformer

    text = "".join(page.read_text() for page in (site / "reference").rglob("*.html"))
    documented = set(re.findall(r'id="swtformer\.([a-zA-Z_.]+)"', text))
    assert set(swtformer.__all__) - {"__version__"} <= {name.split(".")[-1] for name in documented}


def test_nothing_is_fetched_from_elsewhere_when_a_page_is_read(site: Path) -> None:
    for page in site.rglob("*.html"):
        loaded = re.findall(r'<(?:script|img|link)[^>]*(?:src|href)="(https?://[^"]+)"', page.read_text())
        assert loaded == [], page


def test_networks_show_what_they_are_built_from(site: Path) -> None:
    page = (site / "reference" / "methods.html").read_text()
    assert "PyramidMethod(backbone: Backbone, settings: ModelSettings, classes" in re.sub("<[^>]+>", "", page)
