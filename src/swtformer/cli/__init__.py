"""The command line: one command per stage, and the only package that prints."""

from swtformer.cli.entry import main

__all__ = ["main"]
