"""The maps and masks of one photograph by a run's models; maps are kept, so that thresholds cost nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import quote
from typing import Literal

import numpy as np
import torch
from PIL import Image

from swtformer.allocator import keep_freed_memory
from swtformer.datasets.images import has_rotation, image_size, read_image
from swtformer.datasets.value_range import settle
from swtformer.errors import DataError, ImageError, SettingsError, SwtformerError, nearest
from swtformer.inference.predictor import CamPredictor, SegmentationPredictor, load_predictor
from swtformer.labelling.mask_rule import label_image, rule_for
from swtformer.labelling.start_maps import all_channels, power_for
from swtformer.precision import pick_device
from swtformer.refiners import REFINERS, LearnedRefiner, create_refiner
from swtformer.report.pictures import thumbnail
from swtformer.settings import MaskSettings, PredictSettings, channels
from swtformer.store.maps import ClassActivationMaps, Source
from swtformer.store.masks import MaskRule, write_mask
from swtformer.store.models import newest_network
from swtformer.store.notes import Made, RefinedNotes, read_notes
from swtformer.store.run import Run

SEEN_PX = 1024
"""Photographs with a longer side are shrunk to it before a model sees them; their masks are enlarged."""

MAX_PIXELS = 50_000_000
"""Larger uploads are refused from their header."""

MOST_CLASSES = 20
"""Classes that are mapped at most: memory and time grow with them."""

Views = Literal["one", "many"]
Background = Literal["map", "threshold"]
LabelSource = Source | Literal["network"]

DEFAULT_REFINER = "par"


@dataclass(frozen=True)
class Study:
    """One photograph and what the models made of it.

    Attributes:
        name: of the file, without extension.
        size: (height, width) of the photograph.
        photograph: (h, w, 3) uint8 RGB as the models saw it, at most `SEEN_PX` long.
        maps: CAMs, R-CAMs where the method makes them, and maps that `refiner` refined.
        predicted: (h, w) uint8 labels of the segmentation network; None where the run has none.
        remarks: what the user should know.
    """

    name: str
    size: tuple[int, int]
    photograph: np.ndarray
    maps: ClassActivationMaps
    refiner: str
    predicted: np.ndarray | None
    remarks: tuple[str, ...]


class Studio:
    """A run's models, ready for photographs; one object serves all visitors.

    Attributes:
        classes: class names; a label is index + 1.
        sources: what masks can be made from, the plainest first.
        refiners: names of the refiners that need no training, the default first.
        exif: how photographs are read by default.
        threshold: initial background score.
    """

    def __init__(self, run: Run) -> None:
        """Load the models.

        Raises:
            SwtformerError: the folder is not a run, or a model is missing or damaged.
        """
        keep_freed_memory()
        self.run = run
        self._settings = run.settings()
        loaded = load_predictor(run.first.path, PredictSettings(network="cam", window_px=SEEN_PX))
        if not isinstance(loaded, CamPredictor):
            raise SettingsError(f"{run.path} is not a run with a model that makes maps.")
        self._maps = loaded
        self._network: SegmentationPredictor | None = None
        newest = newest_network(run) or newest_network(run.first)  # the last round has none of its own
        if newest is not None:
            network = load_predictor(newest.path, PredictSettings(network="segmentation", window_px=SEEN_PX))
            assert isinstance(network, SegmentationPredictor)
            self._network = network
        self.classes = loaded.classes
        if channels(loaded.images) != 3:
            raise SettingsError(
                f"{run.path} reads {channels(loaded.images)} bands, and the app shows red, green and blue; "
                "use `swtformer predict`."
            )
        self.images = loaded.images
        self.exif = loaded.images.exif
        self.threshold = (
            self._settings.mask.threshold if loaded.rule.threshold is None else loaded.rule.threshold
        )
        self.sources: tuple[LabelSource, ...] = (
            "cam",
            *(("rcam",) if "rcam" in loaded.makes else ()),
            "refined",
            *(("network",) if self._network is not None else ()),
        )
        untrained = (name for name, kind in REFINERS.items() if not issubclass(kind, LearnedRefiner))
        self.refiners = tuple(sorted(untrained, key=lambda name: (name != DEFAULT_REFINER, name)))

    def study(
        self,
        path: Path,
        *,
        classes: Sequence[str] = (),
        views: Views = "one",
        refiner: str = DEFAULT_REFINER,
        exif: Literal["raw", "apply"] | None = None,
    ) -> Study:
        """Read a photograph and run the models on it.

        Args:
            path: any file; it is judged by its content.
            classes: names of those in the picture; the model chooses where there are none.
            views: the photograph and its mirror image (one), or both at all scales of `localize` (many).
            refiner: name of the refiner that makes the maps follow the picture's edges.
            exif: as stored (raw) or turned upright (apply); as the run's own images where None.

        Raises:
            ImageError: the file cannot be read whole, or is too large.
            DataError: a class is unknown, or there are more than `MOST_CLASSES`.
        """
        exif = exif or self.exif
        present = self._indices(classes)
        image, remarks = self._read(path, exif)
        seen = np.array(thumbnail(image, side_px=SEEN_PX))  # a thumbnail may be read-only
        scales = self._settings.localize.scales if views == "many" else (1.0,)
        maps = self._maps.maps(seen, present=present, scales=scales)
        if len(maps.values) > MOST_CLASSES:
            likely = np.argsort(-maps.probabilities)[:MOST_CLASSES].tolist()
            maps = self._maps.maps(seen, present=likely, scales=scales)
            remarks.append(f"Only the {MOST_CLASSES} most probable classes are mapped.")
        if seen.shape != image.shape:
            remarks.append(
                f"The models saw it in {seen.shape[1]}×{seen.shape[0]} px; the mask is enlarged to its size."
            )
        return Study(
            name=path.stem,
            size=(image.shape[0], image.shape[1]),
            photograph=seen,
            maps=self._refined(seen, maps, refiner),
            refiner=refiner,
            predicted=None if self._network is None else self._network.predict(seen).labels,
            remarks=tuple(remarks),
        )

    def refine(self, study: Study, refiner: str) -> Study:
        """The study with refined maps of another refiner; the network does not run."""
        if study.refiner == refiner:
            return study
        return replace(study, maps=self._refined(study.photograph, study.maps, refiner), refiner=refiner)

    def for_many(self, source: LabelSource, background: Background, threshold: float, refiner: str) -> str:
        """The command that makes such masks of many images, or the nearest one.

        `predict` alone makes the same masks of new photographs: by the segmentation network, or by the rule
        that the run's masks follow. Other rules and refiners have commands for the run's own images alone.

        Returns:
            A command line, or a sentence about one and the command line on the next line.
        """
        run = quote(str(self.run.path))
        if source == "network":
            return f"swtformer predict {run} PHOTOS --predict.network segmentation --out FOLDER"
        predict = f"swtformer predict {run} PHOTOS --predict.network cam --out FOLDER"
        if source == "refined":
            return (
                "No command makes this mask. The one below refines the maps of the run's own images and "
                "makes pseudo-masks from them, by --pseudo_label.rule and not by the background chosen here. "
                "`predict`, for new photographs, does not refine.\n"
                f"swtformer refine {run} --refine.method {refiner} && swtformer pseudo-label {run}"
            )
        rule = rule_of(source, background, threshold)
        if (rule.source, rule.threshold) == (self._maps.rule.source, self._maps.rule.threshold):
            return predict
        policy = f"fixed --mask.threshold {threshold:g}" if rule.policy == "fixed" else "argmax"
        return (
            "This replaces the masks of the run's own images by masks of this rule, made from the maps of "
            f"`localize`. From then on `{predict}` follows the rule for new photographs.\n"
            f"swtformer mask {run} --mask.source {rule.source} --mask.policy {policy}"
        )

    def _indices(self, classes: Sequence[str]) -> list[int] | None:
        if not classes:
            return None
        unknown = [name for name in classes if name not in self.classes]
        if unknown:
            raise DataError(f"Unknown class {unknown[0]!r}. {nearest(unknown[0], self.classes)}")
        if len(classes) > MOST_CLASSES:
            raise DataError(f"Choose at most {MOST_CLASSES} classes; got {len(classes)}.")
        return [self.classes.index(name) for name in classes]

    def _read(self, path: Path, exif: Literal["raw", "apply"]) -> tuple[np.ndarray, list[str]]:
        """The photograph and remarks; messages give the file's name without its folder on the server."""
        try:
            settings = self.images.model_copy(update={"exif": exif})
            height, width = image_size(path, settings)
            if height * width > MAX_PIXELS:
                raise ImageError(
                    f"{path.name}: has {width}×{height} pixels, at most {MAX_PIXELS:,} are taken here; use "
                    "`swtformer predict`."
                )
            settings, told = settle([path], settings, set_by="as for the model")
            image = read_image(path, settings, thorough=True)
            is_turned = exif == "raw" and has_rotation(path)
        except DataError as error:
            raise ImageError(str(error).replace(str(path), path.name)) from None
        if not is_turned:
            return image, list(told)
        return image, [
            *told,
            "Its EXIF orientation was not applied: picture and mask lie on the stored pixel grid, as the "
            "run's masks do.",
        ]

    def _refined(self, photograph: np.ndarray, maps: ClassActivationMaps, method: str) -> ClassActivationMaps:
        """The maps with refined ones, made from the R-CAMs or else from the CAMs."""
        source: Made = "cam" if maps.rcam is None else "rcam"
        own = self._settings.refiner if method == self._settings.refine.method else {}
        refiner = create_refiner(method, own, source=source, device=pick_device("auto"))
        channels = all_channels(maps, source, power=self._background_power())
        image = torch.tensor(photograph).permute(2, 0, 1).float() / 255
        return replace(maps, refined=refiner.refine(image, channels).to(torch.float16).numpy())

    def _background_power(self) -> float:
        """That of the run's refined maps, else the one that matches the threshold of its masks."""
        notes = read_notes(self.run.refined_file, RefinedNotes)
        noted = None if notes is None else notes.background_power
        return noted or self._settings.refine.background_power or power_for(self.threshold)


def labels_of(study: Study, source: LabelSource, background: Background, threshold: float) -> np.ndarray:
    """(h, w) uint8 label image of a photograph as the models saw it.

    Args:
        study: the photograph.
        source: what the mask is made from; `background` and `threshold` do not apply to the network.
        background: its own map competes with the classes (map; for CAMs 1 − max), or it has the score
            `threshold` everywhere.
        threshold: in [0, 1].

    Raises:
        SwtformerError: there is no such source.
    """
    if source == "network":
        if study.predicted is None:
            raise SwtformerError("The run has no segmentation network; `swtformer segment` trains one.")
        return study.predicted
    return label_image(study.maps, rule_of(source, background, threshold)).numpy()


def rule_of(source: Source, background: Background, threshold: float) -> MaskRule:
    """The mask rule of a choice of maps and background; see `labels_of`."""
    policy: Literal["argmax", "fixed"] = "fixed" if background == "threshold" else "argmax"
    return rule_for(source, MaskSettings(policy=policy, threshold=threshold))


def write_full_size(study: Study, labels: np.ndarray, folder: Path) -> Path:
    """Write a mask of the photograph's own size as palette PNG, enlarged without mixing labels."""
    height, width = study.size
    full = Image.fromarray(labels).resize((width, height), Image.Resampling.NEAREST)
    path = folder / f"{study.name}.png"
    write_mask(path, np.asarray(full))
    return path


def class_maps(study: Study, label: int) -> dict[LabelSource, np.ndarray]:
    """The (h, w) maps of one label, by source; 0 is the background, which CAMs have as 1 − max (Eq. 3)."""
    place = 0 if label == 0 else study.maps.values.tolist().index(label) + 1
    sources: list[Source] = ["cam", "refined"] if study.maps.rcam is None else ["cam", "rcam", "refined"]
    return {source: study.maps.channels(source)[place] for source in sources}
