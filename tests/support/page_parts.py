"""A page of the app without browser or server: its widgets by their ids, and what it calls by name."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import gradio as gr


def built(fill: Callable[[gr.Blocks], None]) -> gr.Blocks:
    """Blocks with a page in them."""

    async def build() -> gr.Blocks:  # in a loop, as Gradio never closes those that it makes itself
        with gr.Blocks() as blocks:
            fill(blocks)
        return blocks

    return asyncio.run(build())


def widget(page: gr.Blocks, elem_id: str) -> Any:
    """The widget of an id."""
    (block,) = [block for block in page.blocks.values() if getattr(block, "elem_id", None) == elem_id]
    return block


def handler(page: gr.Blocks, name: str) -> Callable[..., Any]:
    """What the page calls under a name, whichever widget asks first."""
    named = [function.fn for function in page.fns.values() if name in (function.name, function.api_name)]
    assert named[0] is not None
    return named[0]
