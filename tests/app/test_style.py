"""The keys of the review page; how the pages look is tested in a browser."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import gradio as gr

from swtformer.app import style
from swtformer.app.server import build
from swtformer.app.study import Studio
from swtformer.store.run import Run


def test_every_key_presses_a_button_and_is_named_on_the_page(drawn: Path, studio: Studio) -> None:
    async def built() -> gr.Blocks:  # in a loop, as Gradio never closes those that it makes itself
        return build(Run(drawn), studio)

    blocks = list(asyncio.run(built()).blocks.values())
    listed = re.search(r"const keys = {(.+?)}", style.SHORTCUTS)
    assert listed is not None
    keys = dict(re.findall(r'(\w): "(\w+)"', listed[1]))
    assert len(keys) == 6
    assert set(keys.values()) <= {block.elem_id for block in blocks if isinstance(block, gr.Button)}
    text = "".join(str(block.value) for block in blocks if isinstance(block, gr.HTML))
    assert {key.lower() for key in re.findall(r"<kbd>(.)</kbd>", text)} == set(keys)
