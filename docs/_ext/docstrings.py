"""Docstrings as they are written here: `|x|` is an absolute value and `#` nothing special, in no markup."""

from __future__ import annotations

from typing import Any

from sphinx.application import Sphinx


def escape_bars(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Keep reStructuredText from reading |x| as a substitution; bars in code stay as they are."""
    for number, line in enumerate(lines):
        parts = line.split("`")
        parts[::2] = [part.replace("|", r"\|") for part in parts[::2]]
        lines[number] = "`".join(parts)


def setup(app: Sphinx) -> dict[str, Any]:
    """Run before napoleon turns the sections into fields."""
    app.connect("autodoc-process-docstring", escape_bars, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
