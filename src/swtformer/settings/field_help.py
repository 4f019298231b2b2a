"""The docstring under a field is its help.

Pydantic can read it too (`use_attribute_docstrings`), but reads the source again for every class, which took
a tenth of the time of `--help`.
"""

from __future__ import annotations

import ast
import functools
import inspect
import sys
from itertools import pairwise

from pydantic import BaseModel


def describe_fields(base: type[BaseModel]) -> None:
    """`describe` all subclasses of a class."""
    for section in base.__subclasses__():
        describe(section)
        describe_fields(section)


def describe(section: type[BaseModel]) -> None:
    """Give the fields of a section the docstrings under them, its own or inherited, as descriptions."""
    described: dict[str, str] = {}
    for owner in reversed(section.__mro__):
        if issubclass(owner, BaseModel) and owner is not BaseModel:
            described |= _docstrings(owner.__module__).get(owner.__name__, {})
    for name, field in section.model_fields.items():
        field.description = described.get(name)


@functools.cache
def _docstrings(module: str) -> dict[str, dict[str, str]]:
    """Docstrings under the fields of a module's classes, by class and field."""
    found: dict[str, dict[str, str]] = {}
    for owner in ast.parse(inspect.getsource(sys.modules[module])).body:
        if isinstance(owner, ast.ClassDef):
            for statement, following in pairwise(owner.body):
                match statement, following:
                    case ast.AnnAssign(target=ast.Name(name)), ast.Expr(ast.Constant(str(text))):
                        found.setdefault(owner.name, {})[name] = inspect.cleandoc(text)
    return found
