"""Styles and keys match the pages that use them; how the pages look is tested in a browser."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import gradio as gr
import pytest

from swtformer.app import style
from swtformer.app.server import build
from swtformer.app.study import Studio
from swtformer.store.run import Run


def test_every_key_presses_a_button_and_is_shown_on_the_page(drawn: Path, studio: Studio) -> None:
    async def built() -> gr.Blocks:  # in a loop, as Gradio never closes those that it makes itself
        return build(Run(drawn), studio)

    blocks = list(asyncio.run(built()).blocks.values())
    listed = re.search(r"const keys = {(.+?)}", style.SHORTCUTS)
    assert listed is not None
    keys = dict(re.findall(r'(\w): "(\w+)"', listed[1]))
    assert len(keys) == 6
    assert set(keys.values()) <= {block.elem_id for block in blocks if isinstance(block, gr.Button)}
    shown = "".join(str(block.value) for block in blocks if isinstance(block, gr.HTML))
    assert {key.lower() for key in re.findall(r"<kbd>(.)</kbd>", shown)} == set(keys)


def test_every_rule_is_for_something_that_a_page_has() -> None:
    pages = "".join(
        path.read_text(encoding="utf-8")
        for path in Path(style.__file__).parent.glob("*.py")
        if path.name != "style.py"
    )
    names = set(re.findall(r"(?:^|[\s,])\.([a-z][a-z-]+)", style.CSS, re.MULTILINE)) - {"gradio-container"}
    assert {"legend", "swatch", "decisions", "keys"} <= names
    assert [name for name in sorted(names) if name not in pages] == []


@pytest.mark.parametrize("text", [style.CSS, style.SHORTCUTS])
def test_nothing_is_fetched_from_the_network(text: str) -> None:
    assert not re.search(r"url\(|@import|https?:|src=|href=|fetch\(", text)
