"""What a refiner starts from, and how a learned one is fitted to a run, once."""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from swtformer.backbones.base import Backbone
from swtformer.datasets.images import read_image
from swtformer.datasets.label_images import require_same_size
from swtformer.datasets.read_ahead import read_ahead
from swtformer.datasets.records import Record
from swtformer.engine.checkpoint_files import (
    epoch_file,
    newest_checkpoint,
    read_checkpoint,
    remove_older,
    write_checkpoint,
)
from swtformer.errors import CheckpointError, DataError, ImageError, SettingsError, SwtformerError
from swtformer.labelling.start_maps import all_channels
from swtformer.methods.pretrained import from_pretrained
from swtformer.precision import pick_precision
from swtformer.progress import Progress
from swtformer.refiners import Example, LearnedRefiner
from swtformer.settings import Settings, shaping
from swtformer.store.files import digest, file_stamp, sha256, write_with
from swtformer.store.maps import ClassActivationMaps, Made
from swtformer.store.models import WEIGHTS
from swtformer.store.run import Run

logger = logging.getLogger("swtformer")

FIT = "fit"
"""Metadata of the weights' file: what they were fitted from and their digest. It is one entry, since the
order of several would change the file from one call to the next."""


@dataclass(frozen=True)
class Start:
    """The maps that refinement starts from.

    Attributes:
        source: CAMs or R-CAMs.
        power: of the background of CAMs (`start_maps.all_channels`).
    """

    source: Made
    power: float

    def tensors(self, image: np.ndarray, maps: ClassActivationMaps) -> tuple[Tensor, Tensor]:
        """An (H, W, 3) uint8 image as (3, H, W) floats in [0, 1], and its (K+1, h, w) maps.

        Raises:
            SwtformerError: the image is not of the size that the maps were made for, or R-CAMs are wanted and
                were not made.
        """
        try:
            require_same_size(maps.size, "the file of its maps", image.shape[:2], "the image")
        except DataError as error:
            raise SwtformerError(f"{error} Make the maps again with `swtformer localize`.") from None
        pixels = torch.from_numpy(image).permute(2, 0, 1).float() / 255
        return pixels, all_channels(maps, self.source, power=self.power)


class _Examples(Sequence[Example]):
    """The images and maps of a run, read at each access."""

    def __init__(
        self, run: Run, records: Sequence[Record], start: Start, exif: Literal["raw", "apply"]
    ) -> None:
        self._run = run
        self._records = records
        self._start = start
        self._exif = exif

    def __len__(self) -> int:
        return len(self._records)

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> _Examples: ...
    def __getitem__(self, index: int | slice) -> Example | _Examples:
        if isinstance(index, slice):
            return _Examples(self._run, self._records[index], self._start, self._exif)
        record = self._records[index]
        maps = ClassActivationMaps.load(self._run.map_file(record.id))
        image, channels = self._start.tensors(read_image(record.image, exif=self._exif), maps)
        return Example(image, channels, torch.from_numpy(maps.values.astype(np.int64)))


def fit_or_load(
    refiner: LearnedRefiner,
    run: Run,
    records: Sequence[Record],
    start: Start,
    *,
    settings: Settings,
    progress: Progress,
) -> str:
    """Give the refiner its weights: those that lie in the run if they come from the same, else fitted ones.

    A fit that was stopped goes on after its last whole epoch and ends with the weights of one that was not.

    Args:
        refiner: gets the weights.
        run: holds the maps, the model whose backbone the network starts from, and the weights under refined/.
        records: images with maps; those that cannot be read are left out of the fit.
        start: maps to fit on.
        settings: the seed, data and refine sections are used.
        progress: told about the reading and by the fit.

    Returns:
        SHA-256 of the weights' file.

    Raises:
        SwtformerError: no image can be used.
        CheckpointError: the run's model is missing or damaged.
        NonFiniteError: the fit diverged.
        SettingsError: the fit's arithmetic is not for this device.
    """
    refiner.build(_backbone(run))
    path = run.refined_model(settings.refine.method)
    fitted_from = _fingerprint(run, records, start, settings)
    weights = _whole_weights(path, fitted_from)
    if weights is not None:
        try:
            refiner.network.load_state_dict(weights)
        except (RuntimeError, KeyError):
            refiner.build(_backbone(run))  # of another network: fitted again
        else:
            refiner.network.to(refiner.device).eval()
            return sha256(path)
    arithmetic = pick_precision(refiner.options.fit_precision, refiner.device.type)
    usable = _usable(run, records, start, settings, progress)
    facts = fitted_from, arithmetic, [record.id for record in usable]
    states = _States(run.refined_fit(settings.refine.method), digest(*facts))
    refiner.fit(
        _Examples(run, usable, start, settings.data.exif),
        seed=settings.seed,
        states=states,
        progress=progress,
    )
    weights = {name: value.cpu().contiguous() for name, value in refiner.network.state_dict().items()}
    payload = save(weights, {FIT: f"{fitted_from} {_digest(weights)}"})
    write_with(path, lambda stream: stream.write(payload))
    states.remove()
    return sha256(path)


def _backbone(run: Run) -> Backbone:
    model = from_pretrained(run.path)
    backbone = model.reusable_features()
    if backbone is None:
        raise SettingsError(
            f"{run.path}: the method {model.settings.method!r} has no pyramid of features to learn from; "
            "choose a refiner without training, such as --refine.method par."
        )
    return backbone


@dataclass(frozen=True)
class _States:
    """The states of a fit that is not over, as checkpoints in a folder; those of another fit do not count.

    Attributes:
        folder: of this refiner's fits in this run.
        fitted_from: equal for fits that take the same steps.
    """

    folder: Path
    fitted_from: str

    def newest(self) -> dict[str, Any] | None:
        """That of the last whole epoch; the user is told where damaged ones leave none."""
        if not any(self.folder.glob("epoch-*.ckpt")):
            return None
        try:
            kept = read_checkpoint(newest_checkpoint(self.folder))
        except CheckpointError as error:
            logger.warning("%s\nThe fit starts over.", error)
            return None
        return dict(kept["state"]) if kept["fitted_from"] == self.fitted_from else None

    def save(self, epoch: int, state: dict[str, Any]) -> None:
        """Write a checkpoint; those of another fit go first, since their numbers may be higher."""
        if epoch == 1:
            self.remove()
        write_checkpoint(epoch_file(self.folder, epoch), {"fitted_from": self.fitted_from, "state": state})
        remove_older(self.folder)

    def remove(self) -> None:
        """Remove the folder."""
        if self.folder.is_dir():
            shutil.rmtree(self.folder)


def _whole_weights(path: Path, fitted_from: str) -> dict[str, Tensor] | None:
    """The weights of a file; None where it is missing, damaged or of another fit."""
    try:
        with safe_open(path, framework="pt") as file:
            fit = (file.metadata() or {}).get(FIT)
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (FileNotFoundError, SafetensorError):
        return None
    return weights if fit == f"{fitted_from} {_digest(weights)}" else None


def _digest(weights: Mapping[str, Tensor]) -> str:
    """SHA-256 of all names and values."""
    hashing = hashlib.sha256()
    for name in sorted(weights):
        hashing.update(f"{name} {weights[name].dtype} {tuple(weights[name].shape)}\n".encode())
        hashing.update(weights[name].numpy().tobytes())
    return hashing.hexdigest()


def _usable(
    run: Run, records: Sequence[Record], start: Start, settings: Settings, progress: Progress
) -> list[Record]:
    """The records whose image and maps can be read."""
    usable = []
    reader = read_ahead(records, exif=settings.data.exif, threads=settings.refine.workers)
    for done, (record, image) in enumerate(reader, start=1):
        progress("check images", done, len(records))
        if isinstance(image, ImageError):
            continue  # recorded as a failure when it is to be refined
        try:
            start.tensors(image, ClassActivationMaps.load(run.map_file(record.id)))
        except SwtformerError:
            continue  # the same
        usable.append(record)
    if not usable:
        raise SwtformerError(f"None of the {len(records)} images with maps can be read.")
    return usable


def _fingerprint(run: Run, records: Sequence[Record], start: Start, settings: Settings) -> str:
    """Equal for fits that would come out equal; what only shapes the walk afterwards is no part of it."""
    options = shaping(settings.plugin_options("refiner"), "refiner", fit=True)
    fitting = {"method": settings.refine.method, **options}
    weights = sha256(run.model / WEIGHTS)
    hashing = hashlib.sha256(f"{settings.seed} {fitting} {start} {settings.data.exif} {weights}".encode())
    for record in records:
        hashing.update(f"\x1e{record.id} {file_stamp(record.image)}".encode())
        try:
            maps = ClassActivationMaps.load(run.map_file(record.id))
        except SwtformerError:
            continue  # recorded as a failure when it is to be refined
        hashing.update(f"\x1f{maps.made_by} {maps.made_from}".encode())
    return hashing.hexdigest()[:32]
