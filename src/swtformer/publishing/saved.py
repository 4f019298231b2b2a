"""Which saved model a run, a folder or a name on the hub stands for."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from swtformer.errors import CheckpointError
from swtformer.hub.access import model_folder
from swtformer.methods import Method
from swtformer.methods.pretrained import from_pretrained
from swtformer.segmentation.network import SegmentationNetwork
from swtformer.segmentation.pretrained import is_network, load_network
from swtformer.store.models import newest_network
from swtformer.store.run import Run

Network = Literal["auto", "cam", "segmentation"]
"""Which of a run's two networks; auto takes the newest segmentation network where there is one."""


@dataclass(frozen=True)
class SavedModel:
    """A model on disk.

    Attributes:
        folder: holds config.json and model.safetensors.
        kind: "cam" for a model that makes maps, "segmentation" for a segmentation network.
        trained: the run folder of its own training; None where the model lies by itself.
    """

    folder: Path
    kind: Literal["cam", "segmentation"]
    trained: Run | None

    def load(self) -> Method | SegmentationNetwork:
        """The model in eval mode on the CPU.

        Raises:
            CheckpointError: a file is damaged or does not fit.
        """
        return load_network(self.folder) if self.kind == "segmentation" else from_pretrained(self.folder)


def find_model(source: str | os.PathLike[str], network: Network = "auto") -> SavedModel:
    """Find the model that is meant.

    Args:
        source: a run, the folder of a saved model of either kind, or a hub id "owner/name".
        network: which one of a run; of other sources, what it must be.

    Raises:
        CheckpointError: there is no such model.
    """
    run = Run(Path(source))
    newest = None if network == "cam" else newest_network(run)
    folder = model_folder(source if newest is None else newest.path)
    kind: Literal["cam", "segmentation"] = "segmentation" if is_network(folder) else "cam"
    if network not in ("auto", kind):
        made_by = "swtformer segment" if network == "segmentation" else "swtformer train"
        held = "a segmentation network" if kind == "segmentation" else "a model that makes maps"
        raise CheckpointError(f"{folder}: holds {held}; the one that was asked for comes from `{made_by}`.")
    trained = Run(folder.parent)
    return SavedModel(folder, kind, trained if trained.settings_file.is_file() else None)
