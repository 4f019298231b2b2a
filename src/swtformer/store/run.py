"""The run folder: its layout, and what it was made with."""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import count, takewhile
from pathlib import Path

from swtformer.errors import SwtformerError
from swtformer.settings import Settings, dump_settings, read_settings, validate
from swtformer.store.files import read_json_as, write_text

ROUND = "round-"
"""Start of the name of a later round's folder; its number follows."""

PSEUDO_MASKS_FILE = "pseudo_masks.json"
"""File beside pseudo-masks that says how they were made; it is written when all of them are."""

REVIEW_FILE = "review.csv"
"""File beside pseudo-masks with every image and its confidence, the least sure first."""


class _Place:
    """A file or folder of a run, by its path in the run folder; it gives the whole path."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, run: Run, kind: type[Run]) -> Path:
        return run.path / self._name


@dataclass(frozen=True, init=False)
class Run:
    """Paths of one run folder; nothing is created by looking at it.

    A run serves wherever a path does (`os.PathLike`), such as in `predict(run, …)`.

    Attributes:
        path: the folder.
    """

    path: Path

    settings_file = _Place("settings.yaml")
    """All settings that the run was trained with."""
    environment_file = _Place("environment.json")
    """Versions, machine, data fingerprint, command lines."""
    classes_file = _Place("classes.json")
    """Class names in order; a mask holds index + 1."""
    labels_file = _Place("labels.jsonl")
    """Id and class names of every image of the training, validation included."""
    metrics_file = _Place("metrics.csv")
    """One row per epoch, losses and validation mAP."""
    checkpoints = _Place("checkpoints")
    """Folder of resumable training states."""
    model = _Place("model")
    """Folder of the finished model: config.json and model.safetensors."""
    maps = _Place("maps")
    """Folder of class activation maps, one .npz per image."""
    maps_file = _Place("maps/maps.json")
    """How the maps were made (scales, flip, fingerprint of model and settings)."""
    masks = _Place("masks")
    """Folder of label images, one palette .png per image."""
    masks_file = _Place("masks/masks.json")
    """How the masks were made (source, policy, threshold)."""
    refined = _Place("refined")
    """Folder of maps that follow the images' edges, one .npz per image."""
    refined_file = _Place("refined/refined.json")
    """How they were made (method, settings, data, fingerprint)."""
    pseudo_masks = _Place("pseudo_masks")
    """Folder of label images to train on, one palette .png per image, 255 where the evidence is weak."""
    pseudo_masks_file = _Place(f"pseudo_masks/{PSEUDO_MASKS_FILE}")
    """How they were made; it is written when all of them are."""
    review_file = _Place(f"pseudo_masks/{REVIEW_FILE}")
    """Every image and its confidence, the least sure first."""
    decisions_file = _Place("pseudo_masks/decisions.csv")
    """What people who looked at the pseudo-masks decided."""
    pseudo_mask_scores_file = _Place("pseudo_masks/scores.json")
    """What `run` measured of the pseudo-masks."""
    corrected_masks = _Place("corrected_masks")
    """Folder of masks that came back from another tool; its corrections.json says which were changed."""
    segmentation = _Place("segmentation")
    """Folder of the segmentation network's training, with the layout of a run. Further networks lie beside
    it, in folders whose names start with its name (`store.models.finished_networks`)."""
    training_ids_file = _Place("training_ids.json")
    """Ids of the images that a segmentation network was trained on."""
    predictions = _Place("predictions")
    """Folder of a trained network's masks of the images that `run` scores, and of their scores."""
    predictions_file = _Place("predictions.json")
    """How `predict` made the masks of a folder, and with which model."""
    areas_file = _Place("areas.json")
    """The photographs that `predict` segmented, with the areas of the classes."""
    scores_file = _Place("scores.json")
    """What `evaluate` measured."""
    failures_file = _Place("failures.csv")
    """The images that were skipped, with stage and reason."""
    report_file = _Place("report/index.html")
    """The self-contained report."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        object.__setattr__(self, "path", Path(path))  # the class is frozen

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"

    def __fspath__(self) -> str:
        return str(self.path)

    def linked_folders(self) -> list[Path]:
        """Its folders that are links, such as to a larger disk."""
        folders = (
            self.checkpoints,
            self.model,
            self.maps,
            self.masks,
            self.refined,
            self.pseudo_masks,
            self.corrected_masks,
            self.segmentation,
            self.predictions,
        )
        return [folder for folder in folders if folder.is_symlink()]

    def round(self, number: int) -> Run:
        """The run of a later round of `run`, in a folder of this one; of the first round, this run."""
        return self if number == 1 else Run(self.path / f"{ROUND}{number}")

    @property
    def first(self) -> Run:
        """The run whose later round this is; the run itself if it is not a later round."""
        parent = Run(self.path.absolute().parent)
        is_round = self.path.name.startswith(ROUND) and parent.settings_file.is_file()
        return parent if is_round else self

    def rounds(self) -> list[Run]:
        """The runs of the later rounds that have begun, in order."""
        later = (self.round(number) for number in count(2))
        return list(takewhile(lambda run: run.settings_file.is_file(), later))

    def map_file(self, id: str) -> Path:
        """File of one image's maps."""
        return self.maps / f"{id}.npz"

    def map_ids(self) -> list[str]:
        """Ids of the images that have maps, sorted."""
        files = self.maps.rglob("*.npz")
        return sorted(file.relative_to(self.maps).as_posix().removesuffix(".npz") for file in files)

    def mask_file(self, id: str) -> Path:
        """File of one image's mask."""
        return self.masks / f"{id}.png"

    def refined_map_file(self, id: str) -> Path:
        """File of one image's refined maps."""
        return self.refined / f"{id}.npz"

    def refined_model(self, method: str) -> Path:
        """Weights of a learned refiner."""
        return self.refined / f"{method}.safetensors"

    def refined_fit(self, method: str) -> Path:
        """Folder of a learned refiner's fit: metrics.csv, and checkpoints until the fit is finished."""
        return self.refined / f"{method}-fit"

    def refined_fit_file(self, method: str) -> Path:
        """<method>-fit/fit.json: what a learned refiner was fitted from."""
        return self.refined_fit(method) / "fit.json"

    def pseudo_mask_file(self, id: str) -> Path:
        """File of one image's pseudo-mask."""
        return self.pseudo_masks / f"{id}.png"

    def settings(self) -> Settings:
        """The settings that the run was made with."""
        if not self.settings_file.is_file():
            raise SwtformerError(
                f"{self.path} is not a run folder: it has no settings.yaml. Make one with "
                "`swtformer train DATA --out RUN`."
            )
        return validate(Settings, read_settings(self.settings_file), where=str(self.settings_file))

    def write_settings(self, settings: Settings) -> None:
        """Write settings.yaml."""
        write_text(self.settings_file, dump_settings(settings))

    def classes(self) -> tuple[str, ...]:
        """Class names of the run."""
        return read_json_as(
            self.classes_file, tuple[str, ...], remedy='Copy the list "classes" of model/config.json there.'
        )


class RefinedRun(Run):
    """The same run with the maps that `refine` made in the place of those of `localize`."""

    maps = _Place("refined")
    """Folder of the refined maps."""
    maps_file = _Place("refined/refined.json")
    """How they were made."""
    masks = _Place("refined/masks")
    """Never written: the rule of the run's masks is not meant for these maps."""
    masks_file = _Place("refined/masks/masks.json")
    """Never written either."""
    scores_file = _Place("refined/scores.json")
    """What was measured of these maps."""
