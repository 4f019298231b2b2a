"""Class activation maps on disk: fp16 at stride resolution, one .npz per image, no pickles."""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from swtformer.errors import NonFiniteError, SwtformerError
from swtformer.store.files import write_with


@dataclass(frozen=True)
class ClassActivationMaps:
    """The maps of one image; only the classes that were mapped are kept.

    Attributes:
        values: (K,) int16 mask values of the mapped classes, class index + 1, rising.
        size: (height, width) of the image in pixels.
        cam: (K, h, w) float16 in [0, 1], each class divided by its own maximum (Eq. 1).
        refined: (K+1, h, w) float16 in [0, 1], background first (R-CAM, Sec. 3-5); None for V1.
        probabilities: (C,) float32 class probabilities of the classifier, mean over the views.
        made_by: fingerprint of model and settings; stale maps are made again.
        made_from: fingerprint of the image file and its labels; maps of others are made again.
    """

    values: np.ndarray
    size: tuple[int, int]
    cam: np.ndarray
    refined: np.ndarray | None
    probabilities: np.ndarray
    made_by: str = ""
    made_from: str = ""

    def save(self, path: Path) -> None:
        """Write the maps atomically as compressed npz.

        Raises:
            NonFiniteError: a value is not finite; nothing is written.
            ValueError: the arrays do not belong together.
        """
        maps = replace(
            self,
            values=self.values.astype(np.int16),
            cam=self.cam.astype(np.float16),
            refined=None if self.refined is None else self.refined.astype(np.float16),
            probabilities=self.probabilities.astype(np.float32),
        )
        for array in (maps.cam, maps.refined, maps.probabilities):
            if array is not None and not np.isfinite(array).all():
                raise NonFiniteError(
                    f"{path}: not written, since its maps are not finite; the weights that made them are "
                    "broken. Train with a smaller learning rate."
                )
        maps._check()
        arrays: dict[str, Any] = {
            "values": maps.values,
            "size": np.asarray(maps.size, dtype=np.int32),
            "cam": maps.cam,
            "probabilities": maps.probabilities,
            "made_by": np.asarray(maps.made_by),
            "made_from": np.asarray(maps.made_from),
        }
        if maps.refined is not None:
            arrays["refined"] = maps.refined
        write_with(path, lambda stream: np.savez_compressed(stream, **arrays))

    @classmethod
    def load(cls, path: Path) -> ClassActivationMaps:
        """Read maps back.

        Raises:
            SwtformerError: the file is missing, damaged, or holds no maps; pickles are never executed.
        """
        try:
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
                height, width = arrays["size"].tolist()
                maps = cls(
                    values=arrays["values"],
                    size=(height, width),
                    cam=arrays["cam"],
                    refined=arrays.get("refined"),
                    probabilities=arrays["probabilities"],
                    made_by=str(arrays["made_by"]),
                    made_from=str(arrays["made_from"]),
                )
            maps._check()
        except FileNotFoundError:
            raise SwtformerError(
                f"{path}: does not exist; make the maps with `swtformer localize`."
            ) from None
        except _UNREADABLE as error:
            raise SwtformerError(
                f"{path}: holds no whole class activation maps ({error}); make them again with "
                "`swtformer localize`."
            ) from None
        return maps

    def _check(self) -> None:
        """Refuse arrays that do not belong together, so that no stage has to."""
        count = len(self.values)
        if self.values.ndim != 1 or np.any(np.diff(self.values, prepend=0) < 1):
            raise ValueError(f"class values {self.values.tolist()} do not rise from 1")
        for name, maps, channels in (("cam", self.cam, count), ("refined", self.refined, count + 1)):
            if maps is None:
                continue
            if maps.ndim != 3 or len(maps) != channels:
                raise ValueError(f"expected {channels} {name} maps, got an array of shape {maps.shape}")
            if maps.dtype != np.float16 or not np.isfinite(maps).all():
                raise ValueError(f"expected finite float16 {name} maps")
        if self.probabilities.ndim != 1 or not np.isfinite(self.probabilities).all():
            raise ValueError("expected one finite probability per class")


def are_current(path: Path, *, made_by: str, made_from: str) -> bool:
    """Whether a file holds whole maps that were made so, and from these; others are to be made again."""
    if not path.is_file():
        return False
    try:
        maps = ClassActivationMaps.load(path)
    except SwtformerError:
        return False  # truncated or foreign
    return maps.made_by == made_by and maps.made_from == made_from


_UNREADABLE = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    TypeError,  # a bare array instead of an archive
    # What damaged zip archives raise besides: bad stream, unknown compression, encryption flag, absurd shape.
    zipfile.BadZipFile,
    zlib.error,
    RuntimeError,
    MemoryError,
)
