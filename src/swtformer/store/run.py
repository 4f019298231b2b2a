"""The run folder: its layout, what it was made with, what was skipped. No other module knows the layout."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from swtformer.errors import SwtformerError
from swtformer.settings import Settings, dump_settings, read_settings, validate
from swtformer.store.files import read_json, write_text


@dataclass(frozen=True)
class Run:
    """Paths of one run folder; nothing is created by looking at it.

    A run serves wherever a path does (`os.PathLike`), such as in `predict(run, …)`.

    Attributes:
        path: the folder.
    """

    path: Path

    def __init__(self, path: str | os.PathLike[str]) -> None:
        object.__setattr__(self, "path", Path(path))  # the class is frozen

    def __fspath__(self) -> str:
        return str(self.path)

    @property
    def settings_file(self) -> Path:
        """settings.yaml: all settings that the run was trained with."""
        return self.path / "settings.yaml"

    @property
    def environment_file(self) -> Path:
        """environment.json: versions, machine, data fingerprint, command lines."""
        return self.path / "environment.json"

    @property
    def classes_file(self) -> Path:
        """classes.json: class names in order; a mask holds index + 1."""
        return self.path / "classes.json"

    @property
    def metrics_file(self) -> Path:
        """metrics.csv: one row per epoch, losses and validation mAP."""
        return self.path / "metrics.csv"

    @property
    def checkpoints(self) -> Path:
        """Folder of resumable training states."""
        return self.path / "checkpoints"

    @property
    def model(self) -> Path:
        """Folder of the finished model: config.json and model.safetensors."""
        return self.path / "model"

    @property
    def maps(self) -> Path:
        """Folder of class activation maps, one .npz per image."""
        return self.path / "maps"

    @property
    def masks(self) -> Path:
        """Folder of label images, one palette .png per image."""
        return self.path / "masks"

    @property
    def masks_file(self) -> Path:
        """masks/masks.json: how the masks were made (source, policy, threshold)."""
        return self.masks / "masks.json"

    @property
    def maps_file(self) -> Path:
        """maps/maps.json: how the maps were made (scales, flip, fingerprint of model and settings)."""
        return self.maps / "maps.json"

    def map_file(self, id: str) -> Path:
        """File of one image's maps."""
        return self.maps / f"{id}.npz"

    def mask_file(self, id: str) -> Path:
        """File of one image's mask."""
        return self.masks / f"{id}.png"

    def map_ids(self) -> list[str]:
        """Ids of the images that have maps, sorted."""
        files = self.maps.rglob("*.npz")
        return sorted(file.relative_to(self.maps).as_posix().removesuffix(".npz") for file in files)

    @property
    def refined(self) -> Path:
        """Folder of maps that follow the images' edges, one .npz per image."""
        return self.path / "refined"

    @property
    def refined_file(self) -> Path:
        """refined/refined.json: how they were made (method, settings, data, fingerprint)."""
        return self.refined / "refined.json"

    @property
    def refined_scores_file(self) -> Path:
        """refined/scores.json: what `evaluate --evaluate.maps refined` measured."""
        return self.refined / "scores.json"

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

    @property
    def pseudo_masks(self) -> Path:
        """Folder of label images to train on, one palette .png per image, 255 where the evidence is weak."""
        return self.path / "pseudo_masks"

    @property
    def pseudo_masks_file(self) -> Path:
        """pseudo_masks/pseudo_masks.json: how they were made."""
        return self.pseudo_masks / "pseudo_masks.json"

    def pseudo_mask_file(self, id: str) -> Path:
        """File of one image's pseudo-mask."""
        return self.pseudo_masks / f"{id}.png"

    @property
    def review_file(self) -> Path:
        """pseudo_masks/review.csv: every image and its confidence, the least sure first."""
        return self.pseudo_masks / "review.csv"

    @property
    def decisions_file(self) -> Path:
        """pseudo_masks/decisions.csv: what people who looked at the pseudo-masks decided."""
        return self.pseudo_masks / "decisions.csv"

    @property
    def pseudo_mask_scores_file(self) -> Path:
        """pseudo_masks/scores.json: what `run` measured of the pseudo-masks."""
        return self.pseudo_masks / "scores.json"

    @property
    def corrected_masks(self) -> Path:
        """Folder of masks that came back from another tool; its corrections.json says which were changed."""
        return self.path / "corrected_masks"

    @property
    def segmentation(self) -> Path:
        """Folder of the segmentation network's training, with the layout of a run.

        Further networks lie beside it, in folders whose names start with its name; see
        `store.models.finished_networks`.
        """
        return self.path / "segmentation"

    @property
    def training_ids_file(self) -> Path:
        """training_ids.json: ids of the images that a segmentation network was trained on."""
        return self.path / "training_ids.json"

    @property
    def predictions(self) -> Path:
        """Folder of a trained network's masks of the images that `run` scores, and of their scores."""
        return self.path / "predictions"

    @property
    def scores_file(self) -> Path:
        """scores.json: what `evaluate` measured."""
        return self.path / "scores.json"

    @property
    def failures_file(self) -> Path:
        """failures.csv: the images that were skipped, with stage and reason."""
        return self.path / "failures.csv"

    @property
    def report_file(self) -> Path:
        """report/index.html: the self-contained report."""
        return self.path / "report" / "index.html"

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
        return tuple(read_json(self.classes_file))


class RefinedRun(Run):
    """The same run with the maps that `refine` made in the place of those of `localize`."""

    @property
    def maps(self) -> Path:
        """Folder of the refined maps."""
        return self.refined

    @property
    def maps_file(self) -> Path:
        """refined/refined.json."""
        return self.refined_file

    @property
    def masks(self) -> Path:
        """refined/masks, which no command writes: the rule of the run's masks is not meant for these maps."""
        return self.refined / "masks"

    @property
    def scores_file(self) -> Path:
        """refined/scores.json."""
        return self.refined_scores_file
