"""Code blocks of Markdown documents, with the comments that stand right above them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

BLOCK = re.compile(
    r"^(?:<!-- (?P<note>[^\n]*) -->\n)?```(?P<language>sh|python|yaml|toml)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Attributes:
        place: document and line, for messages.
        heading: text of the heading that it stands under.
        language: sh, python, yaml or toml.
        note: text of the HTML comment right above it; empty where there is none.
        text: what it holds.
    """

    place: str
    heading: str
    language: str
    note: str
    text: str


def blocks(document: Path) -> list[Block]:
    """The sh, python, yaml and toml blocks of a document, in order."""
    markdown = document.read_text(encoding="utf-8")
    found = []
    for match in BLOCK.finditer(markdown):
        before = markdown[: match.start("language")]
        headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```$", "", before, flags=re.M | re.S), re.M)
        found.append(
            Block(
                place=f"{document.name}:{before.count(chr(10)) + 1}",
                heading=headings[-1] if headings else "",
                language=match["language"],
                note=match["note"] or "",
                text=match["text"],
            )
        )
    return found
