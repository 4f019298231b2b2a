"""The pages, clicked through in a headless Chromium.

Skipped where Chromium or playwright is missing, unless SWTFORMER_BROWSER_TESTS=required, as in CI.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.app_runs import free_port
from swtformer.app.server import running
from swtformer.datasets.mask_images import read_mask
from swtformer.review.decisions import open_queue
from swtformer.store.run import Run

IS_REQUIRED = os.environ.get("SWTFORMER_BROWSER_TESTS") == "required"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

if IS_REQUIRED:
    import playwright.sync_api as playwright
else:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

pytestmark = [
    pytest.mark.browser,
    # What Gradio asks of pandas is about to go.
    pytest.mark.filterwarnings("ignore::pandas.errors.Pandas4Warning"),
    pytest.mark.skipif(CHROMIUM is None and not IS_REQUIRED, reason="no Chromium is installed"),
]

MILLISECONDS = 150_000
PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def run(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A copy, as decisions are written into it."""
    run = Run(Path(shutil.copytree(drawn, tmp_path_factory.mktemp("browser") / "run")))
    run.decisions_file.unlink(missing_ok=True)
    return run


@pytest.fixture(scope="module")
def address(run: Run) -> Iterator[str]:
    with running(run, port=free_port()) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    assert CHROMIUM is not None, "SWTFORMER_BROWSER_TESTS=required, but no Chromium is on the PATH"
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def page(address: str, browser: Any) -> Iterator[Any]:
    """The app in a new window; whatever it asks another server for is a failure.

    The app is started before playwright, which leaves its event loop running in this thread.
    """
    context = browser.new_context(viewport=PHONE)
    page = context.new_page()
    page.set_default_timeout(MILLISECONDS)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    page.wait_for_selector("#photograph")
    yield page
    context.close()
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []


def upload(page: Any, path: Path) -> None:
    page.set_input_files("#photograph input[type=file]", path)


def says(page: Any, selector: str, text: str) -> None:
    """Wait until an element holds a text."""
    playwright.expect(page.locator(selector)).to_contain_text(text, timeout=MILLISECONDS)


def test_a_photograph_is_segmented_by_keyboard_and_clicks(
    page: Any, photograph: Path, tmp_path: Path
) -> None:
    upload(page, photograph)
    page.wait_for_selector("#legend .legend")
    assert "background" in page.inner_text("#legend")
    assert page.locator("#overlay img").get_attribute("alt").startswith("Mask: background")
    page.get_by_label("Segmentation network").check()
    playwright.expect(page.locator("#threshold input[type=range]")).to_be_disabled(timeout=MILLISECONDS)
    page.get_by_label("CAM", exact=True).check()
    page.get_by_label("dense_crf").check()
    slider = page.locator("#threshold input[type=range]")
    playwright.expect(slider).to_be_enabled(timeout=MILLISECONDS)
    slider.focus()
    page.keyboard.press("End")
    says(page, "#legend", "background 100.0 %")
    playwright.expect(page.get_by_label("the threshold")).to_be_checked(timeout=MILLISECONDS)
    assert page.input_value("#command textarea").endswith(
        "--mask.source cam --mask.policy fixed --mask.threshold 1"
    )
    shown = page.locator("#map-cam img").get_attribute("src")
    page.locator("#shown input").click()
    page.get_by_role("option", name="background").click()
    playwright.expect(page.locator("#map-cam img")).not_to_have_attribute("src", shown, timeout=MILLISECONDS)
    with page.expect_download() as download:
        page.click("#save")
    download.value.save_as(tmp_path / "mask.png")
    assert download.value.suggested_filename == "1.png"
    assert read_mask(tmp_path / "mask.png").shape == (56, 64)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_a_damaged_photograph_gets_a_message_and_the_next_one_a_mask(
    page: Any, photograph: Path, tmp_path: Path
) -> None:
    (tmp_path / "bad.png").write_bytes(photograph.read_bytes()[:500])
    upload(page, tmp_path / "bad.png")
    page.wait_for_selector("#status .bad")
    assert "bad.png: cannot be decoded" in page.inner_text("#status")
    assert not page.is_visible("#legend")
    page.get_by_label("Clear").first.click()
    upload(page, photograph)
    page.wait_for_selector("#legend .legend")
    page.get_by_label("Clear").first.click()
    says(page, "#status", "Drop a photograph")
    upload(page, tmp_path / "bad.png")
    page.wait_for_selector("#status .bad")
    assert page.locator(".toast-body").count() == 0


def test_styles_reach_the_page(page: Any) -> None:
    page.get_by_role("tab", name="Review").click()
    page.wait_for_selector("#review-legend .legend")
    looks = page.evaluate(
        """[...document.querySelectorAll("#review-legend .swatch")].map((item) => {
          const look = getComputedStyle(item);
          return [look.backgroundColor, look.borderStyle, item.style.getPropertyValue("--swatch")];
        })"""
    )
    assert looks[0][:2] == ["rgba(0, 0, 0, 0)", "dashed"]  # the background's has no colour
    assert looks[1][:2] == [looks[1][2].replace(" ", ", "), "solid"]
    # The last rule of the sheet: on a phone the buttons stay at the bottom of the screen.
    position = "getComputedStyle(document.querySelector('.decisions')).position"
    assert page.evaluate(position) == "fixed"
    page.set_viewport_size({"width": 1000, "height": 844})
    assert page.evaluate(position) != "fixed"


def test_the_queue_is_walked_by_keys_and_clicks(page: Any, run: Run) -> None:
    page.get_by_role("tab", name="Review").click()
    page.wait_for_selector("#review-legend .legend")
    says(page, "#about", "2: number 1 of 4")
    page.keyboard.press("c")
    says(page, "#about", "0: number 2 of 4")
    page.click("#accept")
    says(page, "#about", "3: number 3 of 4")
    says(page, "#progress", "2 of 4 reviewed: 1 accepted")
    page.keyboard.press("x")
    says(page, "#about", "1: number 4 of 4")
    assert [item.decision for item in open_queue(run).items] == ["correct", "accept", "reject", None]
    page.reload()
    page.get_by_role("tab", name="Review").click()
    says(page, "#about", "1: number 4 of 4")  # it resumes where it was
    page.get_by_label("corrected masks").check()
    says(page, "#note", "has no corrected masks to review")
    page.get_by_label("pseudo-masks").check()
    says(page, "#about", "1: number 4 of 4")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
