"""One photograph to a label image, by a segmentation network or by a model that makes maps."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, final

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from PIL.Image import Resampling
from torch import Tensor

from swtformer.datasets.pixels.large_images import LargeImage
from swtformer.errors import SettingsError
from swtformer.hub.access import find_model
from swtformer.inference.kept_maps import maps_of
from swtformer.inference.onnx_network import OnnxNetwork
from swtformer.inference.windows import GRID, class_probabilities, decided, spans
from swtformer.labelling.mask_rule import label_image, rule_for
from swtformer.methods import Method, checked_maps
from swtformer.precision import autocast, pick_device, use_onednn
from swtformer.segmentation import SegmentationNetwork
from swtformer.segmentation.pretrained import load_model
from swtformer.settings import ImageSettings, LocalizeSettings, MaskSettings, PredictSettings, channels
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
        images: how photographs are to be read.
    """

    kind: ClassVar[Literal["segmentation", "cam"]]
    classes: tuple[str, ...]

    def __init__(
        self,
        network: Any,
        settings: PredictSettings,
        *,
        folder: Path,
        images: ImageSettings,
        device: str,
    ) -> None:
        self._network, self._settings, self._device = network, settings, device
        self.folder, self.images, self.classes = folder, images, network.classes

    @property
    def largest_side_px(self) -> int | None:
        """Long side of the largest image that it was trained on; None where that makes no difference."""
        return None

    @property
    def weights(self) -> Path:
        """File of the weights."""
        return self.folder if self.folder.suffix == ONNX else self.folder / WEIGHTS

    @property
    @abstractmethod
    def about(self) -> dict[str, Any]:
        """How labels come about: fields of `PredictionNotes`."""

    @abstractmethod
    def predict(self, image: np.ndarray, *, is_scene: bool = False) -> Prediction:
        """Segment an (H, W, 3) uint8 RGB image of any size; see `PredictSettings.seen_as` for scenes."""


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
    if run.path.suffix == ONNX:
        network = OnnxNetwork(run.path)
        images = _images(network, settings)
        return SegmentationPredictor(network, settings, folder=run.path, images=images, device="cpu")
    saved, device = find_model(source, settings.network), pick_device(settings.accelerator)
    model = load_model(saved).to(device)
    if device == "cpu":
        use_onednn(model)
    place: dict[str, Any] = {"folder": saved.folder, "images": _images(model, settings), "device": device}
    if isinstance(model, SegmentationNetwork):
        return SegmentationPredictor(model, settings, **place)
    made = LocalizeSettings()
    if run.settings_file.is_file():
        own = run.settings()
        made, model.has_background = own.localize, own.data.background == "label"
    return CamPredictor(model, settings, **place, rule=_mask_rule(run, model), localize=made)


@final
class SegmentationPredictor(Predictor):
    """Labels of the highest class probability, averaged over scales and mirror images."""

    kind = "segmentation"
    _network: SegmentationNetwork | OnnxNetwork

    @property
    def about(self) -> dict[str, Any]:
        """See `Predictor.about`."""
        return self._network.settings.model_dump(mode="json", include={"encoder", "decoder"})

    @property
    def largest_side_px(self) -> int | None:
        """See `Predictor.largest_side_px`."""
        settings = self._network.settings
        return None if settings.long_side_px is None else settings.largest_side_px

    def predict(self, image: np.ndarray, *, is_scene: bool = False) -> Prediction:
        """See `Predictor.predict`; what the network sees larger than `window_px` is predicted in windows."""
        made = list(self.predict_rows(image, is_scene=is_scene))
        coarse = [cells for _, cells in made if cells is not None]
        labels = np.concatenate([labels for labels, _ in made])
        return Prediction(labels, np.concatenate(coarse, axis=1) if coarse else None)

    def predict_rows(
        self, image: np.ndarray | LargeImage, *, is_scene: bool = False
    ) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        """The same from top to bottom, in parts that each take one row of windows.

        Yields:
            (rows, W) labels, and their probabilities where they are asked for.
        """
        height, width = image.shape[:2]
        settings = self._settings
        factor = self._network.settings.scale_of(max(height, width), is_scene=is_scene)
        # Windows of the image, which the network sees at `window_px`.
        overlap = max(2 * GRID, round(settings.overlap_px / factor / GRID) * GRID)
        window = max(2 * overlap + GRID, round(settings.window_px / factor / GRID) * GRID)
        for seen, rows in spans(height, window=window, overlap=overlap):
            strip = image[seen]
            labels = np.empty((rows.stop - rows.start, width), np.uint8)
            coarse = None
            if settings.probabilities:
                size = (len(self.classes) + 1, -(-len(labels) // GRID), -(-width // GRID))
                coarse = np.empty(size, np.float16)
            for across, columns in spans(width, window=window, overlap=overlap):
                part = strip[:, across]
                probabilities = self._probabilities(part, factor)
                top, left = rows.start - seen.start, columns.start - across.start
                kept = (
                    slice(top, top + rows.stop - rows.start),
                    slice(left, left + columns.stop - columns.start),
                )
                made, cells = decided(probabilities, part.shape[:2], kept, cells=coarse is not None)
                labels[:, columns] = made.cpu().numpy()
                if coarse is not None and cells is not None:
                    first = columns.start // GRID
                    coarse[:, :, first : first + cells.shape[2]] = cells.cpu().numpy()
            yield labels, coarse

    def _probabilities(self, part: np.ndarray, factor: float) -> Tensor:
        """(C+1, h, w) of an (H, W, D) window at the size at which the network sees it."""
        if factor != 1:
            height, width = (max(1, round(side * factor)) for side in part.shape[:2])
            part = _by_bands(part, lambda picture: picture.resize((width, height), Resampling.BICUBIC))
        pixels = torch.from_numpy(np.ascontiguousarray(part)).permute(2, 0, 1)[None].to(self._device)
        settings = self._settings
        with autocast(settings.precision, self._device):
            return class_probabilities(
                self._network,
                pixels,
                scales=settings.scales,
                flip=settings.flip,
                presence=settings.presence,
            )[0]


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

    def __init__(
        self,
        model: Method,
        settings: PredictSettings,
        *,
        rule: MaskRule,
        localize: LocalizeSettings,
        **place: Any,
    ) -> None:
        super().__init__(model, settings, **place)
        self._localize = localize
        self.rule, self.makes = rule, model.makes

    @property
    def about(self) -> dict[str, Any]:
        """See `Predictor.about`; a backbone is named only where the method uses one."""
        features = self._network.reusable_features()
        backbone = {} if features is None else {"backbone": features.name}
        return {"method": self._network.settings.method, **backbone, **vars(self.rule)}

    def predict(self, image: np.ndarray, *, is_scene: bool = False) -> Prediction:
        """See `Predictor.predict`; a scene is seen whole as well."""
        height, width = image.shape[:2]
        seen = image
        if max(height, width) > self._settings.window_px:
            seen = _thumbnail(image, self._settings.window_px)
        maps = self.maps(seen)
        labels = label_image(maps, self.rule).numpy()
        if seen is not image:
            labels = np.asarray(Image.fromarray(labels).resize((width, height), Resampling.NEAREST))
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
            scales=scales or self._settings.scales,
            flip=self._settings.flip,
            stride=GRID,
            long_side_px=self._localize.long_side_px,
            seeds=self._localize.seeds,
        )
        labels = None
        if present is not None:
            labels = torch.zeros(1, len(self.classes), device=self._device)
            labels[0, list(present)] = 1
        pixels = torch.tensor(image).permute(2, 0, 1)[None].to(self._device)
        with autocast(self._settings.precision, self._device):
            made = checked_maps(self._network, pixels, labels, settings=options)
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


def _thumbnail(image: np.ndarray, side_px: int) -> np.ndarray:
    """An (H, W, D) image with no side above `side_px`."""

    def shrunk(picture: Image.Image) -> Image.Image:
        picture.thumbnail((side_px, side_px), Resampling.BICUBIC)
        return picture

    return _by_bands(image, shrunk)


def _by_bands(image: np.ndarray, change: Callable[[Image.Image], Image.Image]) -> np.ndarray:
    """An (H, W, D) image after a change of size, RGB in one go and other bands one by one."""
    if image.shape[2] == 3:
        return np.array(change(Image.fromarray(np.ascontiguousarray(image))))
    bands = [change(Image.fromarray(np.ascontiguousarray(band))) for band in np.moveaxis(image, 2, 0)]
    return np.stack([np.asarray(band) for band in bands], axis=2)


def _images(model: Method | SegmentationNetwork | OnnxNetwork, settings: PredictSettings) -> ImageSettings:
    """How photographs are read: as those that the model was trained on, unless the settings say otherwise."""
    given = {"range": settings.range, "bands": settings.bands, "page": settings.page}
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if settings.exif != "auto":
        changes["exif"] = settings.exif
    images = model.images.model_copy(update=changes)
    if channels(images) != channels(model.images):
        raise SettingsError(
            f"predict.bands names {channels(images)} bands; the model was trained on "
            f"{channels(model.images)}."
        )
    return images


def _mask_rule(run: Run, model: Method) -> MaskRule:
    """How the run's masks were made, else what its settings mean for a single photograph."""
    settings = run.settings().mask if run.settings_file.is_file() else MaskSettings()
    return read_rule(run) or rule_for("rcam" if "rcam" in model.makes else "cam", settings)
