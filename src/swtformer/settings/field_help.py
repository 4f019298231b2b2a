"""The docstring under a field is its help.

Pydantic can read it too (`use_attribute_docstrings`), but reads the source again for every class, which took
a tenth of the time of `--help`.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from itertools import pairwise

from pydantic import BaseModel


def describe_fields(base: type[BaseModel]) -> None:
    """Give the fields of all subclasses of `base` the docstrings under them as descriptions.

    Args:
        base: the class; its subclasses so far each have another name.
    """
    sections = list(_subclasses(base))
    docstrings = {}
    for module in {section.__module__ for section in sections}:
        docstrings.update(_docstrings(inspect.getsource(sys.modules[module])))
    for section in sections:
        _describe(section, docstrings)


def describe(section: type[BaseModel]) -> None:
    """The same for one section and the sections that it inherits from, such as a plug-in's."""
    docstrings = {}
    for owner in section.__mro__:
        if issubclass(owner, BaseModel) and owner is not BaseModel:
            docstrings.update(_docstrings(inspect.getsource(sys.modules[owner.__module__])))
    _describe(section, docstrings)


def _describe(section: type[BaseModel], docstrings: dict[tuple[str, str], str]) -> None:
    for name, field in section.model_fields.items():
        owners = (owner.__name__ for owner in section.__mro__)
        field.description = next(
            (docstrings[owner, name] for owner in owners if (owner, name) in docstrings), None
        )


def _docstrings(source: str) -> dict[tuple[str, str], str]:
    """Docstrings of a module's fields by (class, field)."""
    found = {}
    for owner in ast.parse(source).body:
        if isinstance(owner, ast.ClassDef):
            for statement, following in pairwise(owner.body):
                match statement, following:
                    case ast.AnnAssign(target=ast.Name(name)), ast.Expr(ast.Constant(str(text))):
                        found[owner.name, name] = inspect.cleandoc(text)
    return found


def _subclasses(base: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for section in base.__subclasses__():
        yield section
        yield from _subclasses(section)
