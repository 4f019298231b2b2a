"""One photograph to a label image, by a segmentation network or by a model that makes maps."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, final

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from swtformer.hub.access import find_model
from swtformer.inference.kept_maps import maps_of
from swtformer.inference.onnx_network import OnnxNetwork
from swtformer.inference.windows import GRID, patches
from swtformer.labelling.mask_rule import label_image, rule_for
from swtformer.methods import Method
from swtformer.precision import autocast, pick_device
from swtformer.segmentation import SegmentationNetwork
from swtformer.segmentation.pretrained import load_model
from swtformer.settings import LocalizeSettings, MaskSettings, PredictSettings
from swtformer.store.maps import ClassActivationMaps
from swtformer.store.masks import MaskRule, read_rule
from swtformer.store.models import ONNX, WEIGHTS
from swtformer.store.run import Run


@dataclass(frozen=True)
class Prediction:
    """What a model says about one photograph.

    Attributes:
        labels: (H, W) uint8; 0 background, k+1 for class index k.
        probabilities: (C+1, ceil(H/4), ceil(W/4)) float16, background first; None unless asked for.
    """

    labels: np.ndarray
    probabilities: np.ndarray | None


class Predictor(ABC):
    """A model that is ready for photographs.

    Attributes:
        kind: "segmentation" or "cam".
        folder: where the model lies; an ONNX model's file.
        classes: class names; a label is index + 1.
        exif: how photographs are to be read.
    """

    kind: ClassVar[Literal["segmentation", "cam"]]
    classes: tuple[str, ...]

    def __init__(
        self,
        network: Any,
        settings: PredictSettings,
        *,
        folder: Path,
        exif: Literal["raw", "apply"],
        device: str,
    ) -> None:
        self._network, self._settings, self._device = network, settings, device
        self.folder, self.exif, self.classes = folder, exif, network.classes

    @property
    def weights(self) -> Path:
        """File of the weights."""
        return self.folder if self.folder.suffix == ONNX else self.folder / WEIGHTS

    @property
    @abstractmethod
    def about(self) -> dict[str, Any]:
        """How labels come about: fields of `PredictionNotes`."""

    @abstractmethod
    def predict(self, image: np.ndarray) -> Prediction:
        """Segment an (H, W, 3) uint8 RGB photograph of any size."""


def load_predictor(source: str | os.PathLike[str], settings: PredictSettings) -> Predictor:
    """Load a model for prediction onto the device of the settings.

    Args:
        source: a run (its newest segmentation network, else its CAM model), the folder of a saved model of
            either kind, a hub id "owner/name", or FILE.onnx of a segmentation network, which runs on the CPU.
        settings: which of a run's models, and how it predicts.

    Raises:
        CheckpointError: there is no such model, or it is damaged.
        SettingsError: the accelerator is not there.
    """
    run = Run(Path(source))
    exif = _exif(run, settings)
    if run.path.suffix == ONNX:
        network = OnnxNetwork(run.path)
        return SegmentationPredictor(network, settings, folder=run.path, exif=exif, device="cpu")
    saved, device = find_model(source, settings.network), pick_device(settings.accelerator)
    model = load_model(saved).to(device)
    place: dict[str, Any] = {"folder": saved.folder, "exif": exif, "device": device}
    if isinstance(model, SegmentationNetwork):
        return SegmentationPredictor(model, settings, **place)
    return CamPredictor(model, settings, **place, rule=_mask_rule(run, model))


@final
class SegmentationPredictor(Predictor):
    """Labels of the highest class probability, averaged over scales and mirror images."""

    kind = "segmentation"
    _network: SegmentationNetwork | OnnxNetwork

    @property
    def about(self) -> dict[str, Any]:
        """See `Predictor.about`."""
        return self._network.settings.model_dump(mode="json", include={"encoder", "decoder"})

    def predict(self, image: np.ndarray) -> Prediction:
        """See `Predictor.predict`; images above `window_px` are seen window by window."""
        height, width = image.shape[:2]
        labels = np.empty((height, width), np.uint8)
        coarse = None
        if self._settings.probabilities:
            coarse = np.empty((len(self.classes) + 1, -(-height // GRID), -(-width // GRID)), np.float16)
        pixels = torch.from_numpy(image).permute(2, 0, 1).to(self._device)
        with autocast(self._settings.precision, self._device):
            for rows, columns, probabilities in patches(self._network, pixels, settings=self._settings):
                labels[rows, columns] = probabilities.argmax(0).to(torch.uint8).cpu().numpy()
                if coarse is not None:
                    cells = F.avg_pool2d(probabilities, GRID, ceil_mode=True, count_include_pad=False)
                    y, x = rows.start // GRID, columns.start // GRID
                    coarse[:, y : y + cells.shape[1], x : x + cells.shape[2]] = cells.cpu().numpy()
        return Prediction(labels, coarse)


@final
class CamPredictor(Predictor):
    """Labels from class activation maps of the classes that the classifier finds.

    Maps need the whole view, so images above `window_px` are shrunk to it, and their labels enlarged.

    Attributes:
        rule: what turns maps into labels.
        makes: what its maps are: "cam", and "rcam" where it refines them itself.
    """

    kind = "cam"
    _network: Method

    def __init__(self, model: Method, settings: PredictSettings, *, rule: MaskRule, **place: Any) -> None:
        super().__init__(model, settings, **place)
        self.rule, self.makes = rule, model.makes

    @property
    def about(self) -> dict[str, Any]:
        """See `Predictor.about`; a backbone is named only where the method uses one."""
        features = self._network.reusable_features()
        backbone = {} if features is None else {"backbone": features.name}
        return {"method": self._network.settings.method, **backbone, **vars(self.rule)}

    def predict(self, image: np.ndarray) -> Prediction:
        """See `Predictor.predict`."""
        height, width = image.shape[:2]
        seen = image
        if max(height, width) > self._settings.window_px:
            picture = Image.fromarray(image)
            picture.thumbnail((self._settings.window_px, self._settings.window_px), Image.Resampling.BICUBIC)
            seen = np.asarray(picture)
        maps = self.maps(seen)
        labels = label_image(maps, self.rule).numpy()
        if seen is not image:
            labels = np.asarray(Image.fromarray(labels).resize((width, height), Image.Resampling.NEAREST))
        wanted = self._settings.probabilities
        return Prediction(labels, self._shares(maps, (height, width)) if wanted else None)

    def maps(
        self,
        image: np.ndarray,
        *,
        present: Collection[int] | None = None,
        scales: tuple[float, ...] | None = None,
    ) -> ClassActivationMaps:
        """Maps of an (H, W, 3) uint8 RGB photograph, which is seen whole.

        Args:
            image: any size from 1 px.
            present: class indices from 0; the classifier chooses where None.
            scales: of the views; those of the settings where None.
        """
        options = LocalizeSettings(
            scales=scales or self._settings.scales, flip=self._settings.flip, stride=GRID
        )
        labels = None
        if present is not None:
            labels = torch.zeros(1, len(self.classes), device=self._device)
            labels[0, list(present)] = 1
        pixels = torch.tensor(image).permute(2, 0, 1)[None].to(self._device)
        with autocast(self._settings.precision, self._device):
            made = self._network.maps(pixels, labels, settings=options)
        return maps_of(made, 0, size=(image.shape[0], image.shape[1]))

    def _shares(self, maps: ClassActivationMaps, size: tuple[int, int]) -> np.ndarray:
        """Maps of all classes, each cell divided by its sum; no calibrated probabilities."""
        channels = maps.channels(maps.best)
        everything = np.zeros((len(self.classes) + 1, *channels.shape[1:]), np.float32)
        everything[0] = channels[0]
        everything[maps.values] = channels[1:]
        everything[0, everything.sum(0) < 1e-6] = 1  # no map says anything: background
        shares = torch.from_numpy(everything / everything.sum(0))
        grid = (-(-size[0] // GRID), -(-size[1] // GRID))
        resized = F.interpolate(shares[None], grid, mode="bilinear", align_corners=False)[0]
        return resized.numpy().astype(np.float16)


def _exif(run: Run, settings: PredictSettings) -> Literal["raw", "apply"]:
    if settings.exif != "auto":
        return settings.exif
    return run.settings().data.exif if run.settings_file.is_file() else "raw"


def _mask_rule(run: Run, model: Method) -> MaskRule:
    """How the run's masks were made, else what its settings mean for a single photograph."""
    settings = run.settings().mask if run.settings_file.is_file() else MaskSettings()
    return read_rule(run) or rule_for("rcam" if "rcam" in model.makes else "cam", settings)
