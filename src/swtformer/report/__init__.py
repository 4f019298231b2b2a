"""The HTML report: reads what a run folder holds and draws it; nothing in it needs torch."""

from swtformer.report.page import render

__all__ = ["render"]
