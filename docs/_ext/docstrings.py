"""Docstrings as they are written here: `|x|` is an absolute value and `#` nothing special, in no markup.

Classes with huggingface_hub's mixin show what their `__init__` takes, where autodoc would show its `__new__`.
"""

from __future__ import annotations

from typing import Any

from huggingface_hub import ModelHubMixin
from sphinx.application import Sphinx
from sphinx.util.inspect import signature, stringify_signature


def escape_bars(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Keep reStructuredText from reading |x| as a substitution; bars in code stay as they are."""
    for number, line in enumerate(lines):
        parts = line.split("`")
        parts[::2] = [part.replace("|", r"\|") for part in parts[::2]]
        lines[number] = "`".join(parts)


def show_init(
    app: Sphinx, what: str, name: str, obj: Any, options: object, given: str | None, returned: str | None
) -> tuple[str, None] | None:
    """Give the arguments of `__init__`; None leaves autodoc's."""
    if what != "class" or not issubclass(obj, ModelHubMixin):
        return None
    found = signature(obj.__init__, bound_method=True)
    return stringify_signature(found, show_return_annotation=False, unqualified_typehints=True), None


def setup(app: Sphinx) -> dict[str, Any]:
    """Run before napoleon turns the sections into fields."""
    app.connect("autodoc-process-signature", show_init)
    app.connect("autodoc-process-docstring", escape_bars, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
