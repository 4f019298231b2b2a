"""Class activation maps on disk: fp16 at stride resolution, packed, one .npz per image, no pickles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from swtformer.errors import NonFiniteError, SwtformerError
from swtformer.store.files import write_with
from swtformer.store.packed_maps import packed, unpacked

Source = Literal["cam", "rcam", "refined"]
"""Maps that masks are made from; "refined" are those that a refiner made."""

STEPS = 512
"""Levels of refined maps between 0 and 1; finer differences are noise and would not compress."""

_NOT_MADE = {
    "rcam": "there are no R-CAMs: the run's method makes CAMs only. Choose the source cam, or train a method "
    "that makes R-CAMs, such as swtformer_v2.",
    "refined": "there are no refined maps; make them with `swtformer refine`.",
}


@dataclass(frozen=True)
class ClassActivationMaps:
    """The maps of one image; only the classes that were mapped are kept.

    Attributes:
        values: (K,) int16 mask values of the mapped classes, class index + 1, rising.
        size: (height, width) of the image in pixels.
        cam: (K, h, w) float16 in [0, 1], each class divided by its own maximum (Eq. 1).
        probabilities: (C,) float32 class probabilities of the classifier, mean over the views.
        rcam: (K+1, h, w) float16 in [0, 1], background first (R-CAM, Sec. 3-5); None where the method makes
            none.
        refined: (K+1, h, w) float16 in [0, 1], background first: what a refiner made; None before `refine`.
            Files hold them in steps of 1/512.
        made_by: fingerprint of model and settings; the maps are stale once it differs.
        made_from: fingerprint of the image file and its labels; the maps are stale once it differs.
    """

    values: np.ndarray
    size: tuple[int, int]
    cam: np.ndarray
    probabilities: np.ndarray
    rcam: np.ndarray | None = None
    refined: np.ndarray | None = None
    made_by: str = ""
    made_from: str = ""

    @property
    def best(self) -> Source:
        """The maps that masks are made from by default: refined ones, else R-CAMs, else CAMs."""
        if self.refined is not None:
            return "refined"
        return "cam" if self.rcam is None else "rcam"

    def channels(self, source: Source) -> np.ndarray:
        """(K+1, h, w) float32 maps in [0, 1], background first; that of CAMs is 1 − max (Eq. 3).

        Raises:
            SwtformerError: there are no maps of this kind.
        """
        if source == "cam":
            cam = self.cam.astype(np.float32).clip(0, 1)
            return np.concatenate([1 - cam.max(axis=0, initial=0)[None], cam])
        own = self.rcam if source == "rcam" else self.refined
        if own is None:
            raise SwtformerError(_NOT_MADE[source])
        return own.astype(np.float32).clip(0, 1)

    def save(self, path: Path) -> None:
        """Write the maps atomically as an npz of packed maps.

        Raises:
            NonFiniteError: a value is not finite; nothing is written.
            ValueError: the shapes of the arrays do not match.
        """
        maps = replace(
            self,
            values=self.values.astype(np.int16),
            cam=self.cam.astype(np.float16),
            probabilities=self.probabilities.astype(np.float32),
            rcam=None if self.rcam is None else self.rcam.astype(np.float16),
            refined=None if self.refined is None else self.refined.astype(np.float16),
        )
        for array in (maps.cam, maps.rcam, maps.refined, maps.probabilities):
            if array is not None and not _are_finite(array):
                raise NonFiniteError(
                    f"{path}: not written, since its maps are not finite; the weights that made them are "
                    "broken. Train with a smaller learning rate."
                )
        maps._check()
        arrays: dict[str, Any] = {
            "values": maps.values,
            "size": maps.size,
            "probabilities": maps.probabilities,
            "made_by": maps.made_by.encode(),
            "made_from": maps.made_from.encode(),
            "cam": packed(maps.cam),
        }
        if maps.rcam is not None:
            arrays["rcam"] = packed(maps.rcam)
        if maps.refined is not None:
            arrays["refined"] = packed(_in_steps(maps.refined))
            arrays["steps"] = STEPS
        write_with(path, lambda stream: np.savez(stream, **arrays))

    @classmethod
    def load(cls, path: Path) -> ClassActivationMaps:
        """Read maps back.

        Raises:
            SwtformerError: the file is missing, damaged, or holds something else; pickles are never executed.
        """
        try:
            if path.exists() and not path.is_file():
                raise ValueError("it is not a regular file")  # a pipe would be waited for
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
                height, width = arrays["size"].tolist()
                maps = cls(
                    values=arrays["values"],
                    size=(height, width),
                    cam=unpacked(arrays["cam"], np.float16),
                    probabilities=arrays["probabilities"],
                    rcam=unpacked(arrays["rcam"], np.float16) if "rcam" in arrays else None,
                    refined=_refined(arrays) if "refined" in arrays else None,
                    made_by=arrays["made_by"].item().decode(),
                    made_from=arrays["made_from"].item().decode(),
                )
            maps._check()
        except FileNotFoundError:
            raise SwtformerError(
                f"{path}: does not exist; make the maps with `swtformer localize`."
            ) from None
        except (NameError, ImportError, MemoryError):
            raise  # not the file's fault; numpy raises whatever else a damaged file makes it raise
        except Exception as error:
            raise SwtformerError(
                f"{path}: cannot be read as class activation maps ({error}); make them again with "
                "`swtformer localize`, refined ones with `swtformer refine`."
            ) from error
        return maps

    def _check(self) -> None:
        """Refuse arrays that do not match, so that no stage has to."""
        count = len(self.values)
        if self.values.ndim != 1 or np.any(np.diff(self.values, prepend=0) < 1):
            raise ValueError(f"class values {self.values.tolist()} do not rise from 1")
        kinds = (
            ("cam", self.cam, count),
            ("rcam", self.rcam, count + 1),
            ("refined", self.refined, count + 1),
        )
        for name, maps, channels in kinds:
            if maps is None:
                continue
            if maps.ndim != 3 or len(maps) != channels:
                raise ValueError(f"expected {channels} {name} maps, got an array of shape {maps.shape}")
            if maps.dtype != np.float16 or not _are_finite(maps):
                raise ValueError(f"expected finite float16 {name} maps")
        if self.probabilities.ndim != 1 or not _are_finite(self.probabilities):
            raise ValueError("expected one finite probability per class")


def _in_steps(maps: np.ndarray) -> np.ndarray:
    """fp16 maps as int16 multiples of 1 / `STEPS`; NumPy computes in fp16 at a fifth of the speed of fp32."""
    return np.rint(maps.astype(np.float32) * STEPS).astype(np.int16)


def _refined(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """The fp16 maps of int16 multiples of 1 / `STEPS`."""
    if "steps" not in arrays or arrays["steps"] != STEPS:
        raise ValueError(f"expected steps of 1/{STEPS}; another version of swtformer refined its maps")
    multiples = unpacked(arrays["refined"], np.int16)
    return (np.arange(STEPS + 1) / STEPS).astype(np.float16).take(multiples, mode="clip")


def _are_finite(numbers: np.ndarray) -> bool:
    """Whether no number is infinite or nan; of fp16 by its bits, as NumPy converts them one by one."""
    if numbers.dtype == np.float16:
        return bool((numbers.view(np.uint16) & 0x7FFF).max(initial=0) < 0x7C00)
    return bool(np.isfinite(numbers).all())


def are_current(path: Path, *, made_by: str, made_from: str) -> bool:
    """Whether a file holds whole maps with these fingerprints."""
    if not path.is_file():
        return False
    try:
        maps = ClassActivationMaps.load(path)
    except SwtformerError:
        return False
    return maps.made_by == made_by and maps.made_from == made_from
