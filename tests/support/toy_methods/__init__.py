"""Toy methods, one file for each kind of training or map making that is not a pyramid with one pass.

They are small and learn little: they show that the contract of `Method` has room for their kind, and the
contract tests run over them as over everything that is registered.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from support.toy_methods.re_clustered import ReClustered
from support.toy_methods.tokens import Tokens
from support.toy_methods.two_branches import TwoBranches
from support.toy_methods.two_passes import TwoPasses
from swtformer.methods import METHODS, Method

TOYS: dict[str, type[Method]] = {
    "toy_two_passes": TwoPasses,
    "toy_re_clustered": ReClustered,
    "toy_tokens": Tokens,
    "toy_two_branches": TwoBranches,
}
"""Toys by the names that they are registered under."""


@contextmanager
def registered_toys() -> Iterator[None]:
    """The toys are methods like others inside the block."""
    for name, toy in TOYS.items():
        METHODS.register(name)(toy)
    try:
        yield
    finally:
        for name in TOYS:
            METHODS.unregister(name)
