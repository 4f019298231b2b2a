"""Readers of data sets: each turns files on disk into an ImageSet of records with image-level labels."""

from swtformer.datasets.holdout import split_off
from swtformer.datasets.records import ImageSet, Problem, Record
from swtformer.datasets.registry import open_dataset, recognise

__all__ = ["ImageSet", "Problem", "Record", "open_dataset", "recognise", "split_off"]
