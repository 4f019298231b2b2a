"""Saved segmentation networks, and saved models of either kind, loaded again."""

from __future__ import annotations

import os

from swtformer.hub.access import SavedModel
from swtformer.methods import Method
from swtformer.methods.pretrained import from_pretrained
from swtformer.segmentation.network import SegmentationNetwork
from swtformer.store.models import holds_model, kind_of
from swtformer.store.run import Run


def load_network(source: str | os.PathLike[str]) -> SegmentationNetwork:
    """Load a segmentation network in eval mode on the CPU.

    Args:
        source: a run (its newest segmentation network is used), the folder of a training or of a saved
            network, or a hub id "owner/name".

    Raises:
        CheckpointError: there is no such network, it is a model that makes maps, or it is damaged.
        SwtformerError: segmentation-models-pytorch is not installed, or the hub cannot be reached or has no
            such model.
    """
    return SegmentationNetwork.from_pretrained(source)


def load_model(saved: SavedModel) -> Method | SegmentationNetwork:
    """Load a saved model of either kind in eval mode on the CPU.

    Raises:
        CheckpointError: a file is damaged or does not fit.
    """
    return (SegmentationNetwork if saved.kind == "segmentation" else Method).read(saved.folder)


def map_maker(run: Run) -> Method | SegmentationNetwork:
    """The model that makes a run's maps, in eval mode on the CPU.

    That is the model that `train` made or, in a later round, the segmentation network of the round before.

    Raises:
        CheckpointError: there is none, or it is damaged.
    """
    if holds_model(run.path) and kind_of(run.model) == "segmentation":
        return SegmentationNetwork.read(run.model)
    return from_pretrained(run.path)
